CREATE OR REPLACE VIEW mart.ratings
(
    record UUID COMMENT 'the record: the same in every load',
    dataset LowCardinality(String) COMMENT 'dataset it belongs to',
    source LowCardinality(String) COMMENT 'source that delivered it',
    source_department LowCardinality(String) COMMENT 'department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written',
    person_id UUID COMMENT 'person it is about, as a pseudonym; zero when none',
    organisation_id UUID COMMENT 'organisation it is about, as a pseudonym; zero when none',
    case_number String COMMENT 'case number (办件编号)',
    department LowCardinality(String) COMMENT 'department that handled the case; empty when the case is not known',
    item_code LowCardinality(String) COMMENT 'service item of the case (实施编码); empty when the case is not known',
    applied_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when the case was applied for; NULL when the case is not known',
    rated_at Nullable(DateTime64(6, 'UTC')) COMMENT 'rated (评价时间)',
    score Nullable(Int64) COMMENT '1 best to 5 worst (满意度)',
    channel LowCardinality(String) COMMENT 'where the rating was given (评价渠道)'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT
    r.record_id AS record, dataset, source, source_department, source_time,
    if(p.version > r.version, p.party_id, r.person_id) AS person_id,
    if(o.version > r.version, o.party_id, r.organisation_id) AS organisation_id,
    r.case_number AS case_number, c.department AS department, c.item_code AS item_code, c.applied_at AS applied_at, rated_at, score, channel
FROM store.ratings AS r FINAL
LEFT ANY JOIN store.current_links AS p ON r.person_record = p.record
LEFT ANY JOIN store.current_links AS o ON r.organisation_record = o.record
LEFT JOIN
(
    SELECT case_number, max(department) AS department, max(item_code) AS item_code, max(applied_at) AS applied_at
    FROM store.cases FINAL
    GROUP BY case_number
) AS c ON r.case_number = c.case_number
COMMENT 'satisfaction ratings as they stand now, with their case''s department, item and date (好差评)'
