-- +goose NO TRANSACTION
-- +goose Up
-- What the program knows from its files and writes at every start. Read with FINAL.

CREATE TABLE IF NOT EXISTS store.calendar
(
    date Date32 COMMENT 'a day of a year whose working calendar is published',
    working UInt8 COMMENT '1 on a working day, make-up days (调休) included',
    workday_index Int32 COMMENT 'working days from the first day of the calendar to this day, both included',
    holiday_zh LowCardinality(String) COMMENT 'name of the holiday that rules this day, in Chinese; empty when none does',
    holiday_en LowCardinality(String) COMMENT 'name of the holiday that rules this day, in English; empty when none does',
    version UInt64 COMMENT 'orders the versions of a day',
    deleted UInt8 COMMENT '1 when the day is no longer part of the calendar'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY date
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'the official working calendar, with make-up days';

CREATE TABLE IF NOT EXISTS store.departments
(
    code LowCardinality(String) COMMENT 'code of the department, as the data uses it',
    name_zh String COMMENT 'name in Chinese',
    name_en String COMMENT 'name in English',
    version UInt64 COMMENT 'orders the versions of a department',
    deleted UInt8 COMMENT '1 when county.yaml no longer names it'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY code
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'names of the departments, from county.yaml';

CREATE TABLE IF NOT EXISTS store.bus
(
    bus String COMMENT 'id of the bus that this warehouse is loaded from: the versions of its rows are sequences of it'
)
ENGINE = MergeTree
ORDER BY bus
COMMENT 'one row: which bus the warehouse belongs to';
