-- +goose NO TRANSACTION
-- +goose Up
-- The log of accesses lives in the stream AUDIT; the table is its projection. Rows from before stay as they are, and the
-- stream's first entry follows the last of them.

ALTER TABLE audit.accesses MODIFY COMMENT 'every access to personal data that was asked for, granted or not: what the log on the stream AUDIT says, a tamper-evident chain';

ALTER TABLE audit.accesses COMMENT COLUMN hash 'hash of this row and of previous_hash, in hexadecimal: SHA-256, or SM3 with sm3: before it';

ALTER TABLE audit.cuts MODIFY COMMENT 'where the chain of audit.accesses was cut when its oldest rows had had their time; the stream AUDIT holds the same, signed';
