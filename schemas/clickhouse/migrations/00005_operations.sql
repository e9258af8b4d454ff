-- +goose NO TRANSACTION
-- +goose Up
-- What the flow writes about itself. People read the views in ops. No table here holds a value of a record (I7).

CREATE TABLE IF NOT EXISTS store.load_log
(
    table_name LowCardinality(String) COMMENT 'table that was loaded, with its database',
    first_sequence UInt64 COMMENT 'first stream sequence of the range',
    last_sequence UInt64 COMMENT 'last stream sequence of the range',
    rows UInt64 COMMENT 'rows that the range became in this table',
    bytes UInt64 COMMENT 'bytes of those rows in memory, uncompressed',
    reason LowCardinality(String) COMMENT 'why the range ended where it does: rows, bytes, age or end',
    contracts Map(LowCardinality(String), String) COMMENT 'dataset -> version and hash of the contract it was read with',
    dataset_rows Map(LowCardinality(String), UInt64) COMMENT 'dataset -> rows in this table',
    dataset_sequences Map(LowCardinality(String), UInt64) COMMENT 'dataset -> its last stream sequence in the range',
    token String COMMENT 'deduplication token of the load (I3)',
    started_at DateTime64(6, 'UTC') COMMENT 'load began',
    finished_at DateTime64(6, 'UTC') COMMENT 'load was acknowledged by ClickHouse'
)
ENGINE = ReplacingMergeTree(finished_at)
ORDER BY (table_name, first_sequence, last_sequence)
SETTINGS non_replicated_deduplication_window = 10000, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'one row for each load of a range into a table; the same range loaded again replaces its row';

CREATE TABLE IF NOT EXISTS store.quarantine_log
(
    dataset LowCardinality(String) COMMENT 'dataset of the row',
    source_department LowCardinality(String) COMMENT 'department whose dataset it is (数源部门)',
    owner_zh LowCardinality(String) COMMENT 'who has to mend it, in Chinese',
    owner_en LowCardinality(String) COMMENT 'who has to mend it, in English',
    source LowCardinality(String) COMMENT 'source that delivered it',
    unit String COMMENT 'what it was read from: a file''s name, a table',
    row Int64 COMMENT 'place in that unit: line of a file, ordinal in a transaction',
    field LowCardinality(String) COMMENT 'field of the contract that is at fault; empty when the whole row is',
    code LowCardinality(String) COMMENT 'reason, for machines',
    message String COMMENT 'reason, for people; never quotes a value (I7)',
    contract_version Int64 COMMENT 'version of the contract that refused it',
    contract_hash LowCardinality(String) COMMENT 'hash of that contract''s text',
    sequence UInt64 COMMENT 'stream sequence of the message that carried it',
    version UInt64 COMMENT 'the row''s version: identifies it, with the dataset',
    quarantined_at DateTime64(6, 'UTC') COMMENT 'when it was refused',
    event UInt64 COMMENT 'stream sequence of what happened to it last: the highest is its present state',
    state Enum8('waiting' = 1, 'released' = 2, 'dropped' = 3) COMMENT 'waiting, released (sent through the flow again) or dropped',
    state_reason String COMMENT 'why it is in that state',
    state_at DateTime64(6, 'UTC') COMMENT 'since when'
)
ENGINE = ReplacingMergeTree(event)
ORDER BY (dataset, version)
SETTINGS non_replicated_deduplication_window = 10000, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'rows that a contract refused, without their values; the bytes wait in the stream (I5)';

CREATE TABLE IF NOT EXISTS store.bus
(
    bus String COMMENT 'identifies the bus and the key of the pseudonyms that this warehouse was loaded with'
)
ENGINE = MergeTree
ORDER BY tuple()
COMMENT 'which bus this warehouse belongs to: versions are stream sequences and mean nothing on another';

CREATE TABLE IF NOT EXISTS store.run_log
(
    run_id String COMMENT 'identifies the run',
    job LowCardinality(String) COMMENT 'name of the job',
    source LowCardinality(String) COMMENT 'source it worked on; empty when none',
    started_at DateTime64(6, 'UTC') COMMENT 'when it began',
    finished_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when it ended; NULL while it runs',
    outcome LowCardinality(String) COMMENT 'running, ok, failed, cancelled or skipped',
    changes UInt64 COMMENT 'changes that were read',
    rows UInt64 COMMENT 'rows that were written',
    message String COMMENT 'what a person should know of it; never quotes a value (I7)',
    event UInt64 COMMENT 'counts the reports on this run, from 0: the highest counts'
)
ENGINE = ReplacingMergeTree(event)
ORDER BY run_id
SETTINGS non_replicated_deduplication_window = 10000, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'runs of jobs, as the run ledger knows them';

-- Nothing in this table is ever replaced or collapsed: each row's hash covers the one before it.
CREATE TABLE IF NOT EXISTS audit.accesses
(
    sequence UInt64 COMMENT 'place in the chain, from 1',
    at DateTime64(6, 'UTC') COMMENT 'when the decision was taken, before anything was read (I8)',
    caller LowCardinality(String) COMMENT 'system that asked',
    clerk String COMMENT 'pseudonym of the official on whose behalf it asked',
    purpose LowCardinality(String) COMMENT 'purpose it gave',
    item_code LowCardinality(String) COMMENT 'service item it gave (实施编码)',
    case_number String COMMENT 'live case it gave (办件编号)',
    person_id UUID COMMENT 'person it asked about; zero when none was found',
    fields Array(LowCardinality(String)) COMMENT 'fields it asked for',
    decision LowCardinality(String) COMMENT 'granted or refused',
    reason String COMMENT 'why; never quotes a value (I7)',
    hash String COMMENT 'hash of this row and of previous_hash, in hexadecimal',
    previous_hash String COMMENT 'hash of the row before; empty for the first'
)
ENGINE = MergeTree
ORDER BY sequence
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'every access to personal data that was asked for, granted or not: a tamper-evident chain';
