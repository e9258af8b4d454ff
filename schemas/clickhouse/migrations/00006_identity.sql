-- +goose NO TRANSACTION
-- +goose Up
-- Records whose person or organisation changes after they were loaded, what people decided, and by which model records
-- are matched. The columns are those of schemas/canonical; a test compares them.

ALTER TABLE restricted.person_records COMMENT COLUMN link_rule 'why: exact_number (a valid number), matched (by weight of evidence), verdict (a person decided) or alone (nothing to go by)';
ALTER TABLE restricted.organisation_records COMMENT COLUMN link_rule 'why: exact_number (a valid number), matched (by weight of evidence), verdict (a person decided) or alone (nothing to go by)';

-- Nothing here is ever taken back: the newest link of a record counts.
CREATE TABLE IF NOT EXISTS store.links
(
    record_id UUID COMMENT 'the record that belongs to another party now' CODEC(NONE),
    party LowCardinality(String) COMMENT 'person or organisation',
    kind LowCardinality(String) COMMENT 'merge when two parties turned out to be one, split when one turned out to be two',
    previous_id UUID COMMENT 'the party it belonged to before',
    party_id UUID COMMENT 'the party it belongs to since',
    rule LowCardinality(String) COMMENT 'why: exact_number (a valid number), matched (by weight of evidence), verdict (a person decided) or alone (nothing to go by)',
    weight Nullable(Int64) COMMENT 'weight of the evidence that decided, in thousandths of a bit; NULL when no pair of records did',
    record_a UUID COMMENT 'the one record of the pair that decided; zero when none did',
    record_b UUID COMMENT 'the other record of the pair that decided',
    model LowCardinality(String) COMMENT 'name, version and hash of the model that decided',
    effective_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when the change that brought it about reached the county' CODEC(T64, LZ4),
    version UInt64 COMMENT 'stream sequence and row of the change that brought it about: orders the links of a record' CODEC(T64, LZ4)
)
ENGINE = ReplacingMergeTree
ORDER BY (record_id, version)
SETTINGS non_replicated_deduplication_window = 10000, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'one row for each record whose person or organisation changed after it was loaded, by a merge or a split';

CREATE TABLE IF NOT EXISTS restricted.verdicts
(
    record_id UUID COMMENT 'the record: keyed hash of dataset, record key and role' CODEC(NONE),
    source LowCardinality(String) COMMENT 'the source that delivered it',
    dataset LowCardinality(String) COMMENT 'the dataset it belongs to',
    source_department LowCardinality(String) COMMENT 'the department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written' CODEC(T64, LZ4),
    version UInt64 COMMENT 'orders the versions of one record: stream sequence and row' CODEC(T64, LZ4),
    deleted UInt8 COMMENT '1 when this version says that the record is gone',
    party LowCardinality(String) COMMENT 'person or organisation',
    record_a String COMMENT 'the one record, as a UUID',
    record_b String COMMENT 'the other record, as a UUID; greater than record_a',
    verdict LowCardinality(String) COMMENT 'same, different or unsure',
    reviewer String COMMENT 'who decided, by name (判定人)',
    reviewer_id LowCardinality(String) COMMENT 'pseudonym of who decided',
    decided_at Nullable(DateTime64(6, 'UTC')) COMMENT 'decided (判定时间)' CODEC(T64, LZ4),
    reason String COMMENT 'why, in the reviewer''s words, which may name people (理由)'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (dataset, record_id)
SETTINGS non_replicated_deduplication_window = 10000, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'what a person decided about two records: one party or two; holds on all later data until it is withdrawn (人工判定)';

CREATE TABLE IF NOT EXISTS store.models
(
    record_id UUID COMMENT 'the record: keyed hash of dataset, record key and role' CODEC(NONE),
    source LowCardinality(String) COMMENT 'the source that delivered it',
    dataset LowCardinality(String) COMMENT 'the dataset it belongs to',
    source_department LowCardinality(String) COMMENT 'the department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written' CODEC(T64, LZ4),
    version UInt64 COMMENT 'orders the versions of one record: stream sequence and row' CODEC(T64, LZ4),
    deleted UInt8 COMMENT '1 when this version says that the record is gone',
    party LowCardinality(String) COMMENT 'person or organisation',
    model LowCardinality(String) COMMENT 'name and version of the model',
    text String COMMENT 'the model''s document, YAML',
    chosen_by LowCardinality(String) COMMENT 'pseudonym of who chose it',
    chosen_at Nullable(DateTime64(6, 'UTC')) COMMENT 'chosen (启用时间)' CODEC(T64, LZ4)
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (dataset, record_id)
SETTINGS non_replicated_deduplication_window = 10000, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'the model by which records are matched, from the moment it was chosen on (匹配模型)';
