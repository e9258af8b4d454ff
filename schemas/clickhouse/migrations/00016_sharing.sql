-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE IF NOT EXISTS store.sharing_acts
(
    record_id UUID COMMENT 'the record: keyed hash of dataset, record key and role' CODEC(NONE),
    source LowCardinality(String) COMMENT 'the source that delivered it',
    dataset LowCardinality(String) COMMENT 'the dataset it belongs to',
    source_department LowCardinality(String) COMMENT 'the department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written' CODEC(T64, LZ4),
    received_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when this version reached the county: its message was stored on the bus' CODEC(T64, LZ4),
    version UInt64 COMMENT 'orders the versions of one record: stream sequence and row' CODEC(T64, LZ4),
    deleted UInt8 COMMENT '1 when this version says that the record is gone',
    request String COMMENT 'the request (申请编号)',
    number Nullable(Int64) COMMENT 'place of the act among those of its request, from 1' CODEC(T64, LZ4),
    act LowCardinality(String) COMMENT 'submit, give_back, resubmit, approve, refuse, withdraw, deliver, suspend, resume, revoke or review',
    acted_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when (办理时间)' CODEC(T64, LZ4),
    department LowCardinality(String) COMMENT 'department that acted',
    acted_by LowCardinality(String) COMMENT 'pseudonym of who acted',
    shared_dataset LowCardinality(String) COMMENT 'dataset that is asked for, of a submission (目录项)',
    owner LowCardinality(String) COMMENT 'department whose dataset it is, of a submission (数源部门)',
    sharing_type LowCardinality(String) COMMENT 'unconditional or conditional, of a submission (共享类型)',
    terms String COMMENT 'what is asked for, or granted: JSON with fields, purpose, items, rows, from and until',
    reason String COMMENT 'why, in the words of who acted (理由)',
    ground String COMMENT 'legal ground of a refusal (不予共享依据)'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (dataset, record_id)
SETTINGS non_replicated_deduplication_window = 10000, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'what a department did about a request for data, or the grant that came of it (共享申请办理记录)';
