CREATE OR REPLACE VIEW ops.erasures
(
    at DateTime64(6, 'UTC') COMMENT 'when it was deleted',
    run_id String COMMENT 'run of the job that did it, as in ops.runs',
    rule LowCardinality(String) COMMENT 'rule that asked for it',
    place LowCardinality(String) COMMENT 'what it was deleted from: a view, a table or a subject of the bus',
    amount UInt64 COMMENT 'how many rows or messages',
    before DateTime64(6, 'UTC') COMMENT 'what is older than this had to go'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT at, run_id, rule, place, amount, before
FROM store.erasures
COMMENT 'what retention has deleted: how much of what, and by which rule'
