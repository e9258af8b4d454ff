CREATE OR REPLACE VIEW mart.links
(
    record UUID COMMENT 'the department''s record: the same in every load',
    dataset LowCardinality(String) COMMENT 'dataset it belongs to',
    department LowCardinality(String) COMMENT 'department whose dataset it is (数源部门)',
    role LowCardinality(String) COMMENT 'which party of the source row it is',
    person_id UUID COMMENT 'person it was resolved to, as a pseudonym',
    rule LowCardinality(String) COMMENT 'why: exact_number, or alone'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT record_id AS record, dataset, source_department AS department, role, person_id, link_rule AS rule
FROM restricted.person_records FINAL
COMMENT 'which person each department''s record was resolved to, and why'
