-- +goose NO TRANSACTION
-- +goose Up
ALTER TABLE prepared.state ADD COLUMN IF NOT EXISTS process_from Nullable(UInt32) COMMENT 'how cases went is prepared from this month on, such as 202607; 1: of all months; NULL: it is not prepared' AFTER metrics;
