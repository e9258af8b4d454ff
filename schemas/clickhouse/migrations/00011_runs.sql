-- +goose NO TRANSACTION
-- +goose Up
-- Runs have attempts, causes and data intervals.

ALTER TABLE store.run_log
    ADD COLUMN IF NOT EXISTS attempt UInt32 COMMENT 'the present or last attempt, from 1; 0 when none was made' AFTER message,
    ADD COLUMN IF NOT EXISTS cause LowCardinality(String) COMMENT 'schedule, missed, after, hand or backfill; empty before there were causes' AFTER attempt,
    ADD COLUMN IF NOT EXISTS due_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when it was due' AFTER cause,
    ADD COLUMN IF NOT EXISTS interval_from Nullable(DateTime64(6, 'UTC')) COMMENT 'begin of the data interval that it is about; NULL when it has none' AFTER due_at,
    ADD COLUMN IF NOT EXISTS interval_to Nullable(DateTime64(6, 'UTC')) COMMENT 'end of the data interval, excluded' AFTER interval_from,
    ADD COLUMN IF NOT EXISTS node LowCardinality(String) COMMENT 'process that ran it, by its id' AFTER interval_to,
    ADD COLUMN IF NOT EXISTS owner LowCardinality(String) COMMENT 'who looks after the job' AFTER node;
