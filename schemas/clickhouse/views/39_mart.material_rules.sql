CREATE OR REPLACE VIEW mart.material_rules
(
    material_code LowCardinality(String) COMMENT 'kind of material, county-wide (材料编码)',
    valid_days Nullable(UInt32) COMMENT 'days for which a paper without an end is valid, from its first day or else from the day on which it was handed in, both included; NULL without end',
    compared Array(LowCardinality(String)) COMMENT 'columns of mart.submissions in which two papers have to be alike to be the same one; empty where a newer issue alone is a change',
    newer_issue UInt8 COMMENT '1 when a later first day of validity makes it another paper, whatever its number',
    source String COMMENT 'the rule or practice that this restates',
    jurisdiction_zh String COMMENT 'whose rule it is, in Chinese',
    jurisdiction_en String COMMENT 'whose rule it is, in English'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT material_code, nullIf(valid_days, 0) AS valid_days, compared, newer_issue, source, jurisdiction_zh, jurisdiction_en
FROM store.material_rules FINAL
COMMENT 'how long papers are valid and what changes them, by kind of material (材料有效期与变更规则); a kind that is not here is valid without end and changed by another document'
