-- +goose NO TRANSACTION
-- +goose Up
-- Personal values are sealed at rest (docs/decisions/0040). A row's texts that name somebody stand together in the column sealed,
-- and their own columns are empty; in rows from before, it is the other way about, until they are sealed by and by.
ALTER TABLE restricted.person_records
    ADD COLUMN IF NOT EXISTS sealed String COMMENT 'name, number, telephone, address and household, encrypted; empty where the row has none of them' CODEC(NONE),
    ADD COLUMN IF NOT EXISTS sealed_key UInt32 COMMENT 'number of the key that they are encrypted with; 0 when they are not',
    ADD COLUMN IF NOT EXISTS content_hash UInt64 COMMENT 'keyed hash of what the department says, by which reconcile compares; 0 in rows from before' CODEC(NONE),
    ADD COLUMN IF NOT EXISTS number_sex LowCardinality(String) COMMENT 'sex that a sealed citizen number says',
    ADD COLUMN IF NOT EXISTS number_year UInt16 COMMENT 'year of birth that a sealed citizen number says; 0 when there is none';
ALTER TABLE restricted.organisation_records
    ADD COLUMN IF NOT EXISTS sealed String COMMENT 'name, code, telephone and address, encrypted; empty where the row has none of them' CODEC(NONE),
    ADD COLUMN IF NOT EXISTS sealed_key UInt32 COMMENT 'number of the key that they are encrypted with; 0 when they are not',
    ADD COLUMN IF NOT EXISTS content_hash UInt64 COMMENT 'keyed hash of what the department says, by which reconcile compares; 0 in rows from before' CODEC(NONE);
ALTER TABLE restricted.verdicts
    ADD COLUMN IF NOT EXISTS sealed String COMMENT 'reviewer and reason, encrypted; empty where the row has none of them' CODEC(NONE),
    ADD COLUMN IF NOT EXISTS sealed_key UInt32 COMMENT 'number of the key that they are encrypted with; 0 when they are not',
    ADD COLUMN IF NOT EXISTS content_hash UInt64 COMMENT 'keyed hash of what was decided; 0 in rows from before' CODEC(NONE);
