CREATE OR REPLACE VIEW ops.runs
(
    run_id String COMMENT 'identifies the run: the job @ the time it was due',
    job LowCardinality(String) COMMENT 'name of the job',
    source LowCardinality(String) COMMENT 'source it worked on; empty when none',
    started_at DateTime64(6, 'UTC') COMMENT 'when its last attempt began; when it was decided, for a run without attempts',
    finished_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when it ended; NULL while it runs',
    outcome LowCardinality(String) COMMENT 'running, waiting, ok, failed, cancelled or skipped',
    changes UInt64 COMMENT 'changes that were read',
    rows UInt64 COMMENT 'rows that were written',
    message String COMMENT 'what a person should know of it; never quotes a value (I7)',
    attempt UInt32 COMMENT 'the present or last attempt, from 1; 0 when none was made',
    cause LowCardinality(String) COMMENT 'schedule, missed, after, hand or backfill; empty before there were causes',
    due_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when it was due',
    interval_from Nullable(DateTime64(6, 'UTC')) COMMENT 'begin of the data interval that it is about; NULL when it has none',
    interval_to Nullable(DateTime64(6, 'UTC')) COMMENT 'end of the data interval, excluded',
    node LowCardinality(String) COMMENT 'process that ran it, by its id',
    owner LowCardinality(String) COMMENT 'who looks after the job'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT run_id, job, source, started_at, finished_at, outcome, changes, rows, message, attempt, cause, due_at, interval_from, interval_to, node, owner
FROM store.run_log FINAL
COMMENT 'runs of jobs'
