-- +goose NO TRANSACTION
-- +goose Up
-- What was deleted by rule is written down.

CREATE TABLE IF NOT EXISTS store.erasures
(
    at DateTime64(6, 'UTC') COMMENT 'when it was deleted',
    run_id String COMMENT 'run of the job that did it',
    rule LowCardinality(String) COMMENT 'rule that asked for it',
    place LowCardinality(String) COMMENT 'what it was deleted from: a view, a table or a subject of the bus',
    amount UInt64 COMMENT 'how many rows or messages',
    before DateTime64(6, 'UTC') COMMENT 'what is older than this had to go'
)
ENGINE = MergeTree
ORDER BY (at, rule, place)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'what retention has deleted: how much of what, and by which rule';

-- Nothing here is ever changed or deleted.
CREATE TABLE IF NOT EXISTS audit.cuts
(
    through UInt64 COMMENT 'last row of audit.accesses that was taken off the chain',
    hash String COMMENT 'its hash, to which the next row is linked',
    before DateTime64(6, 'UTC') COMMENT 'rows that were older than this had to go',
    at DateTime64(6, 'UTC') COMMENT 'when it was cut'
)
ENGINE = MergeTree
ORDER BY through
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'where the chain of audit.accesses was cut when its oldest rows had had their time';
