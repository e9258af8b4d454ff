CREATE OR REPLACE VIEW ops.loads
(
    table_name LowCardinality(String) COMMENT 'table that was loaded, with its database',
    first_sequence UInt64 COMMENT 'first stream sequence of the range',
    last_sequence UInt64 COMMENT 'last stream sequence of the range',
    rows UInt64 COMMENT 'rows that the range became in this table',
    bytes UInt64 COMMENT 'bytes of those rows in memory, uncompressed',
    reason LowCardinality(String) COMMENT 'why the range ended where it does: rows, bytes, age or end',
    contracts Map(LowCardinality(String), String) COMMENT 'dataset -> version and hash of the contract it was read with',
    dataset_rows Map(LowCardinality(String), UInt64) COMMENT 'dataset -> rows in this table',
    token String COMMENT 'deduplication token of the load (I3)',
    started_at DateTime64(6, 'UTC') COMMENT 'load began',
    finished_at DateTime64(6, 'UTC') COMMENT 'load was acknowledged by ClickHouse'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT table_name, first_sequence, last_sequence, rows, bytes, reason, contracts, dataset_rows, token, started_at, finished_at
FROM store.load_log FINAL
COMMENT 'loads: which range of the stream became which rows, and why it ended there'
