-- +goose NO TRANSACTION
-- +goose Up
-- Personal data, for the sharing interface alone (I7). The columns are those of schemas/canonical; a test compares them.
-- A record's versions collapse to the latest, and to none when that one is deleted: read with FINAL.
-- The deduplication window makes a load that is sent again with its token do nothing (I3).

CREATE TABLE IF NOT EXISTS restricted.person_records
(
    record_id UUID COMMENT 'the record: keyed hash of dataset, record key and role' CODEC(NONE),
    source LowCardinality(String) COMMENT 'the source that delivered it',
    dataset LowCardinality(String) COMMENT 'the dataset it belongs to',
    source_department LowCardinality(String) COMMENT 'the department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written' CODEC(T64, LZ4),
    version UInt64 COMMENT 'orders the versions of one record: stream sequence and row' CODEC(T64, LZ4),
    deleted UInt8 COMMENT '1 when this version says that the record is gone',
    person_id UUID COMMENT 'the person this record was resolved to',
    link_rule LowCardinality(String) COMMENT 'why: exact_number, or alone',
    role LowCardinality(String) COMMENT 'which party of the source row this is',
    name String COMMENT 'name (姓名)',
    id_number String COMMENT 'citizen number in its 18-digit form (公民身份号码); empty when absent or invalid',
    sex LowCardinality(String) COMMENT 'male, female or unknown (性别)',
    birth_date Nullable(Date32) COMMENT 'date of birth (出生日期)',
    phone String COMMENT 'telephone, digits only (联系电话)',
    address String COMMENT 'address as written (住址)',
    division LowCardinality(String) COMMENT 'administrative division of the address, GB/T 2260 (行政区划)',
    household String COMMENT 'number of the household (户号)',
    status LowCardinality(String) COMMENT 'normal, moved, deceased as the department says (人员状态)'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (dataset, record_id)
SETTINGS min_parts_to_merge_at_once = 32, non_replicated_deduplication_window = 10000, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'what one department\'s record says about one person; the evidence that identity works on';

CREATE TABLE IF NOT EXISTS restricted.organisation_records
(
    record_id UUID COMMENT 'the record: keyed hash of dataset, record key and role' CODEC(NONE),
    source LowCardinality(String) COMMENT 'the source that delivered it',
    dataset LowCardinality(String) COMMENT 'the dataset it belongs to',
    source_department LowCardinality(String) COMMENT 'the department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written' CODEC(T64, LZ4),
    version UInt64 COMMENT 'orders the versions of one record: stream sequence and row' CODEC(T64, LZ4),
    deleted UInt8 COMMENT '1 when this version says that the record is gone',
    organisation_id UUID COMMENT 'the organisation this record was resolved to',
    link_rule LowCardinality(String) COMMENT 'why: exact_number, or alone',
    role LowCardinality(String) COMMENT 'which party of the source row this is',
    name String COMMENT 'name (单位名称)',
    organisation_code String COMMENT 'unified social credit code, GB 32100 (统一社会信用代码)',
    type LowCardinality(String) COMMENT 'kind of organisation (单位类型)',
    phone String COMMENT 'telephone, digits only (联系电话)',
    address String COMMENT 'address as written (住所)',
    division LowCardinality(String) COMMENT 'administrative division, GB/T 2260 (行政区划)'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (dataset, record_id)
SETTINGS min_parts_to_merge_at_once = 32, non_replicated_deduplication_window = 10000, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'what one department\'s record says about one organisation';
