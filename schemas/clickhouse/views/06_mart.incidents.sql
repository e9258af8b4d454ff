CREATE OR REPLACE VIEW mart.incidents
(
    record UUID COMMENT 'the record: the same in every load',
    dataset LowCardinality(String) COMMENT 'dataset it belongs to',
    source LowCardinality(String) COMMENT 'source that delivered it',
    source_department LowCardinality(String) COMMENT 'department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written',
    person_id UUID COMMENT 'person it is about, as a pseudonym; zero when none',
    organisation_id UUID COMMENT 'organisation it is about, as a pseudonym; zero when none',
    incident_number String COMMENT 'number (工单编号)',
    origin LowCardinality(String) COMMENT 'hotline, grid ... (来源)',
    category LowCardinality(String) COMMENT 'category (类别)',
    department LowCardinality(String) COMMENT 'department it was assigned to (承办部门)',
    division LowCardinality(String) COMMENT 'administrative division, GB/T 2260 (行政区划)',
    reported_at Nullable(DateTime64(6, 'UTC')) COMMENT 'reported (受理时间)',
    assigned_at Nullable(DateTime64(6, 'UTC')) COMMENT 'assigned (派单时间)',
    closed_at Nullable(DateTime64(6, 'UTC')) COMMENT 'closed (办结时间)',
    reopened Nullable(Int64) COMMENT 'times it was opened again (退回重办次数)',
    score Nullable(Int64) COMMENT 'satisfaction, 1 best to 5 worst (满意度)',
    open UInt8 COMMENT '1 while it is not closed',
    seconds Nullable(Int64) COMMENT 'from report to closing, wall clock; to mart.as_of while open'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS WITH (SELECT at FROM mart.as_of) AS as_of
SELECT
    record_id AS record, dataset, source, source_department, source_time,
    if(p.version > i.version, p.party_id, i.person_id) AS person_id,
    if(o.version > i.version, o.party_id, i.organisation_id) AS organisation_id,
    incident_number, origin, category, department, division, reported_at, assigned_at, closed_at, reopened, score,
    closed_at IS NULL AS open,
    intDiv(toUnixTimestamp64Micro(ifNull(closed_at, as_of)) - toUnixTimestamp64Micro(reported_at), 1000000) AS seconds
FROM store.incidents AS i FINAL
LEFT ANY JOIN store.current_links AS p ON i.person_record = p.record
LEFT ANY JOIN store.current_links AS o ON i.organisation_record = o.record
COMMENT '12345 calls and grid incidents as they stand now (诉求, 网格事件)'
