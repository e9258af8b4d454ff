-- +goose NO TRANSACTION
-- +goose Up
-- What the catalogue said at a time, and by which deadlines requests are judged: written at every start from the program's
-- and the county's files.

CREATE TABLE IF NOT EXISTS store.catalogue_versions
(
    number UInt32 COMMENT 'version of the catalogue, from 1',
    hash String COMMENT 'SHA-256 of its items: the same contracts give the same',
    since DateTime64(6, 'UTC') COMMENT 'taken into use',
    items UInt32 COMMENT 'how many items it has',
    document String COMMENT 'the items, JSON' CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree
ORDER BY number
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'versions of the catalogue: none is changed or removed';

CREATE TABLE IF NOT EXISTS store.sharing_limits
(
    deadline LowCardinality(String) COMMENT 'reply_unconditional, reply_conditional, delivery, correction or catalogue',
    in_force Date32 COMMENT 'first day on which it is so',
    days UInt32 COMMENT 'working days after the day of the event that starts it',
    jurisdiction_zh String COMMENT 'whose limit is the tightest, in Chinese',
    jurisdiction_en String COMMENT 'whose limit is the tightest, in English',
    rule String COMMENT 'the rule that sets it',
    version UInt64 COMMENT 'orders the versions of a limit',
    deleted UInt8 COMMENT '1 when the rules do not say so any more'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (deadline, in_force)
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'deadlines of sharing as the layers of rules come to: the tightest of nation, province and county';
