-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE IF NOT EXISTS store.material_rules
(
    material_code LowCardinality(String) COMMENT 'kind of material, county-wide (材料编码)',
    valid_days UInt32 COMMENT 'days for which a paper without an end is valid, from its first day or else from the day on which it was handed in; 0 without end',
    compared Array(LowCardinality(String)) COMMENT 'columns in which two papers have to be alike to be the same one: document, issuer, valid_from, valid_until; empty where a newer issue alone is a change',
    newer_issue UInt8 COMMENT '1 when a later first day of validity makes it another paper, whatever its number',
    source String COMMENT 'the rule or practice that this restates',
    jurisdiction_zh String COMMENT 'whose rule it is, in Chinese',
    jurisdiction_en String COMMENT 'whose rule it is, in English',
    version UInt64 COMMENT 'orders the versions of a rule',
    deleted UInt8 COMMENT '1 when there is no such rule any more'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY material_code
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'how long papers are valid and what changes them, by kind of material, from the files of the nation, the province and the county';
