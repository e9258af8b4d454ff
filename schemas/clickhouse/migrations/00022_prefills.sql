-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE IF NOT EXISTS store.material_acts
(
    record_id UUID COMMENT 'the record: keyed hash of dataset, record key and role' CODEC(NONE),
    source LowCardinality(String) COMMENT 'the source that delivered it',
    dataset LowCardinality(String) COMMENT 'the dataset it belongs to',
    source_department LowCardinality(String) COMMENT 'the department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written' CODEC(T64, LZ4),
    received_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when this version reached the county: its message was stored on the bus' CODEC(T64, LZ4),
    version UInt64 COMMENT 'orders the versions of one record: stream sequence and row' CODEC(T64, LZ4),
    deleted UInt8 COMMENT '1 when this version says that the record is gone',
    prefill String COMMENT 'the prefill: one for a case and an applicant',
    case_number String COMMENT 'case number (办件编号)',
    department LowCardinality(String) COMMENT 'department whose case it is (办理部门)',
    item_code LowCardinality(String) COMMENT 'code of the service item (实施编码)',
    material_code LowCardinality(String) COMMENT 'kind of material, county-wide (材料编码)',
    act LowCardinality(String) COMMENT 'use or decline',
    acted_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when (办理时间)' CODEC(T64, LZ4),
    reason LowCardinality(String) COMMENT 'why it was declined: outdated, wrong, other_person, original_needed, out_of_order or other',
    shared_dataset LowCardinality(String) COMMENT 'item of the catalogue that it was met from (目录项)'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (dataset, record_id)
SETTINGS non_replicated_deduplication_window = 10000, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'what became of a material that shared data met: used, or asked for all the same (共享材料使用记录)';

-- A resident asks at the counter who looked at their records: without it, the whole log is read.
ALTER TABLE audit.accesses ADD INDEX IF NOT EXISTS person person_id TYPE bloom_filter(0.01) GRANULARITY 4;
