-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE IF NOT EXISTS store.catalogue
(
    dataset LowCardinality(String) COMMENT 'dataset: an item of the catalogue (目录项)',
    department LowCardinality(String) COMMENT 'department whose dataset it is (数源部门)',
    title_zh String COMMENT 'title in Chinese',
    title_en String COMMENT 'title in English',
    sharing LowCardinality(String) COMMENT 'unconditional, conditional or none (共享类型)',
    ground String COMMENT 'legal ground, where it is not shared (不予共享依据)',
    update_cycle LowCardinality(String) COMMENT 'realtime, daily, weekly, monthly, yearly or irregular (更新周期)',
    contract_version UInt64 COMMENT 'version of its contract',
    version UInt64 COMMENT 'orders the versions of an item',
    deleted UInt8 COMMENT '1 when there is no such contract any more'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY dataset
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'the catalogue of what the county can share, from the contracts';
