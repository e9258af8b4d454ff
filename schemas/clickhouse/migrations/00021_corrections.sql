-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE IF NOT EXISTS store.correction_acts
(
    record_id UUID COMMENT 'the record: keyed hash of dataset, record key and role' CODEC(NONE),
    source LowCardinality(String) COMMENT 'the source that delivered it',
    dataset LowCardinality(String) COMMENT 'the dataset it belongs to',
    source_department LowCardinality(String) COMMENT 'the department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written' CODEC(T64, LZ4),
    received_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when this version reached the county: its message was stored on the bus' CODEC(T64, LZ4),
    version UInt64 COMMENT 'orders the versions of one record: stream sequence and row' CODEC(T64, LZ4),
    deleted UInt8 COMMENT '1 when this version says that the record is gone',
    correction String COMMENT 'the report (校核编号)',
    number Nullable(Int64) COMMENT 'place of the act among those of its report, from 1' CODEC(T64, LZ4),
    act LowCardinality(String) COMMENT 'report, accept, refuse or correct',
    acted_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when (办理时间)' CODEC(T64, LZ4),
    department LowCardinality(String) COMMENT 'department that acted; shire when the record was seen to have changed',
    acted_by LowCardinality(String) COMMENT 'pseudonym of who acted',
    shared_dataset LowCardinality(String) COMMENT 'dataset that the error is in, of a report (目录项)',
    field LowCardinality(String) COMMENT 'field that the error is in, of a report',
    owner LowCardinality(String) COMMENT 'department whose dataset it is, of a report (数源部门)'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (dataset, record_id)
SETTINGS non_replicated_deduplication_window = 10000, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'what a department did about an error in shared data (数据校核记录)';
