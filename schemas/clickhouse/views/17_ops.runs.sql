CREATE OR REPLACE VIEW ops.runs
(
    run_id String COMMENT 'identifies the run',
    job LowCardinality(String) COMMENT 'name of the job',
    source LowCardinality(String) COMMENT 'source it worked on; empty when none',
    started_at DateTime64(6, 'UTC') COMMENT 'when it began',
    finished_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when it ended; NULL while it runs',
    outcome LowCardinality(String) COMMENT 'running, ok, failed, cancelled or skipped',
    changes UInt64 COMMENT 'changes that were read',
    rows UInt64 COMMENT 'rows that were written',
    message String COMMENT 'what a person should know of it; never quotes a value (I7)'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT run_id, job, source, started_at, finished_at, outcome, changes, rows, message
FROM store.run_log FINAL
COMMENT 'runs of jobs'
