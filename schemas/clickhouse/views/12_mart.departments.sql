CREATE OR REPLACE VIEW mart.departments
(
    code LowCardinality(String) COMMENT 'code of the department, as the data uses it',
    name_zh String COMMENT 'name in Chinese',
    name_en String COMMENT 'name in English'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT code, name_zh, name_en
FROM store.departments FINAL
COMMENT 'names of the departments, from county.yaml'
