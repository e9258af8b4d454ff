CREATE OR REPLACE VIEW mart.material_acts
(
    record UUID COMMENT 'the record: the same in every load',
    dataset LowCardinality(String) COMMENT 'dataset it belongs to',
    source LowCardinality(String) COMMENT 'source that delivered it',
    source_department LowCardinality(String) COMMENT 'department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written',
    case_number String COMMENT 'case number (办件编号)',
    department LowCardinality(String) COMMENT 'department whose case it is (办理部门)',
    item_code LowCardinality(String) COMMENT 'code of the service item (实施编码)',
    material_code LowCardinality(String) COMMENT 'kind of material, county-wide (材料编码)',
    act LowCardinality(String) COMMENT 'use or decline',
    acted_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when (办理时间)',
    reason LowCardinality(String) COMMENT 'why it was declined: outdated, wrong, other_person, original_needed, out_of_order or other',
    shared_dataset LowCardinality(String) COMMENT 'item of the catalogue that it was met from (目录项); empty of a decline'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT record_id AS record, dataset, source, source_department, source_time, case_number, department, item_code, material_code, act, acted_at, reason, shared_dataset
FROM store.material_acts FINAL
COMMENT 'what became of the materials that shared data met: used, or asked for all the same, and why (共享材料使用记录)'
