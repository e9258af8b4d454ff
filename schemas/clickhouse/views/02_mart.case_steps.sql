CREATE OR REPLACE VIEW mart.case_steps
(
    record UUID COMMENT 'the record: the same in every load',
    dataset LowCardinality(String) COMMENT 'dataset it belongs to',
    source LowCardinality(String) COMMENT 'source that delivered it',
    source_department LowCardinality(String) COMMENT 'department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written',
    case_number String COMMENT 'case number (办件编号)',
    step String COMMENT 'number of the step in the source',
    kind LowCardinality(String) COMMENT 'step (环节), supplement (补正), special (特别程序) or reopened (重新办理: from a closing until the case was taken up again)',
    stops UInt8 COMMENT '1 when the legal clock stands still during it: supplements, special procedures and the time between a closing and a reopening',
    activity LowCardinality(String) COMMENT 'what was done (环节名称)',
    started_at Nullable(DateTime64(6, 'UTC')) COMMENT 'started (环节开始时间)',
    ended_at Nullable(DateTime64(6, 'UTC')) COMMENT 'ended (环节结束时间); some sources fill a missing end with the start',
    result LowCardinality(String) COMMENT 'pass, return or other (环节结果)',
    handler LowCardinality(String) COMMENT 'pseudonym of the official or team (办理人)',
    department LowCardinality(String) COMMENT 'department that did it',
    end_known UInt8 COMMENT '0 when it has no end, or when the end is the start and the contract says ends_filled: the source writes the start where it knows no end'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT
    record_id AS record, dataset, source, source_department, source_time, case_number, step,
    if(s.kind = '', 'step', s.kind) AS kind,
    s.kind IN ('supplement', 'special', 'reopened') AS stops,
    activity, started_at, ended_at, result, handler, department,
    ended_at IS NOT NULL AND NOT (dataset IN ({filled}) AND ifNull(ended_at = started_at, 0)) AS end_known
FROM store.case_steps AS s FINAL
COMMENT 'steps of cases as they stand now; supplements and special procedures stop the legal clock (环节, 补正, 特别程序)'
