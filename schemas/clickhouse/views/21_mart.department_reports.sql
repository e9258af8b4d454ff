CREATE OR REPLACE VIEW mart.department_reports
(
    record UUID COMMENT 'the record: the same in every load',
    dataset LowCardinality(String) COMMENT 'dataset it belongs to',
    source LowCardinality(String) COMMENT 'source that delivered it',
    source_department LowCardinality(String) COMMENT 'department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written',
    department LowCardinality(String) COMMENT 'department that it is about (报送部门)',
    subject LowCardinality(String) COMMENT 'what was counted: cases (收件), incidents (诉求), decisions (决议), training (参训人次)',
    month Date32 COMMENT 'first day of the month that it is about (报送月份)',
    reported Int64 COMMENT 'how many the department says there were (报送数)'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT
    record_id AS record, dataset, source, source_department, source_time, department, subject,
    toDate32(toStartOfMonth(assumeNotNull(r.month))) AS month, assumeNotNull(r.reported) AS reported
FROM store.department_reports AS r FINAL
WHERE r.month IS NOT NULL AND r.reported IS NOT NULL
COMMENT 'what departments report that they had in a month, as it stands now (报送数)'
