CREATE OR REPLACE VIEW ops.lag
(
    dataset LowCardinality(String) COMMENT 'the dataset',
    last_sequence UInt64 COMMENT 'its last stream sequence that was loaded',
    last_loaded_at DateTime64(6, 'UTC') COMMENT 'when that load was acknowledged',
    rows UInt64 COMMENT 'rows that it became in all tables, every version counted'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT dataset, max(last) AS last_sequence, max(finished_at) AS last_loaded_at, sum(dataset_rows[dataset]) AS rows
FROM
(
    SELECT finished_at, dataset_rows, arrayJoin(dataset_sequences) AS pair, pair.1 AS dataset, pair.2 AS last
    FROM store.load_log FINAL
)
GROUP BY dataset
COMMENT 'how far each dataset has come; what is not loaded yet is known to the stream alone'
