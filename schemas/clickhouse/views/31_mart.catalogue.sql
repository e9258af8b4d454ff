CREATE OR REPLACE VIEW mart.catalogue
(
    dataset LowCardinality(String) COMMENT 'dataset: an item of the catalogue (目录项)',
    department LowCardinality(String) COMMENT 'department whose dataset it is (数源部门)',
    title_zh String COMMENT 'title in Chinese',
    title_en String COMMENT 'title in English',
    sharing LowCardinality(String) COMMENT 'unconditional, conditional or none (共享类型)',
    ground String COMMENT 'legal ground, where it is not shared (不予共享依据)',
    update_cycle LowCardinality(String) COMMENT 'realtime, daily, weekly, monthly, yearly or irregular (更新周期)',
    contract_version UInt64 COMMENT 'version of its contract'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT dataset, department, title_zh, title_en, sharing, ground, update_cycle, contract_version
FROM store.catalogue FINAL
COMMENT 'the catalogue of what the county can share (政务信息资源目录)'
