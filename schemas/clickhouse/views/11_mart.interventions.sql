CREATE OR REPLACE VIEW mart.interventions
(
    record UUID COMMENT 'the record: the same in every load',
    dataset LowCardinality(String) COMMENT 'dataset it belongs to',
    source LowCardinality(String) COMMENT 'source that delivered it',
    source_department LowCardinality(String) COMMENT 'department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written',
    intervention LowCardinality(String) COMMENT 'its short name',
    kind LowCardinality(String) COMMENT 'data_link, council_decision, observation_visit ... (类型)',
    title_zh String COMMENT 'title in Chinese',
    title_en String COMMENT 'title in English',
    starts_on Nullable(Date32) COMMENT 'first day in force (开始日期)',
    department LowCardinality(String) COMMENT 'department in scope; empty for all',
    item_code LowCardinality(String) COMMENT 'service item in scope; empty for all',
    metric LowCardinality(String) COMMENT 'the metric it claims to move',
    claim String COMMENT 'what is claimed, in words'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT
    record_id AS record, dataset, source, source_department, source_time,
    intervention, kind, title_zh, title_en, starts_on, department, item_code, metric, claim
FROM store.interventions FINAL
COMMENT 'what the county did to serve better, since when, with what claim (改革举措)'
