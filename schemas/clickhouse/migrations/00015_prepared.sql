-- +goose NO TRANSACTION
-- +goose Up
-- Figures of a large county are prepared after its loads: sums and curves over months, in tables of this database that are
-- written anew each time. Their names end with the number of their preparation; the last row of prepared.state tells which to read.

CREATE DATABASE IF NOT EXISTS prepared COMMENT 'figures of a large county, computed beforehand from mart: what dashboards read';

CREATE TABLE IF NOT EXISTS prepared.state
(
    number UInt64 COMMENT 'number of the preparation: the tables of which it ends the names are complete',
    definitions String COMMENT 'hash of the metric definitions that they were made by',
    views String COMMENT 'hash of the views that they were made from',
    seen String COMMENT 'what the warehouse held: no new preparation is needed while it is the same',
    metrics Array(String) COMMENT 'metrics that are prepared',
    as_of Nullable(DateTime64(6, 'UTC')) COMMENT 'mart.as_of: up to when the data spoke',
    first_applied_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when the first case was applied for',
    began_at DateTime64(6, 'UTC') COMMENT 'loads up to here are in the figures',
    ready_at DateTime64(6, 'UTC') COMMENT 'when the figures were ready'
)
ENGINE = MergeTree
ORDER BY number
COMMENT 'preparations that are complete; the last one counts';
