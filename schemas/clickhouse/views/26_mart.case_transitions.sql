CREATE OR REPLACE VIEW mart.case_transitions
(
    case_number String COMMENT 'case number (办件编号)',
    item_code LowCardinality(String) COMMENT 'service item (实施编码); empty when the case is not known',
    department LowCardinality(String) COMMENT 'department that handles the case; empty when the case is not known',
    channel LowCardinality(String) COMMENT 'channel of the case (申请渠道)',
    began_at DateTime64(6, 'UTC') COMMENT 'applied for, or its first step when the case is not known: the cohort',
    position UInt64 COMMENT 'number of the step that it leads from, from 1; 0 for the beginning',
    from_activity String COMMENT 'activity that it leads from; empty for the beginning of the case',
    to_activity String COMMENT 'activity that it leads to; empty for the end of the case',
    seconds Float64 COMMENT 'from the start of the one to the start of the other; of the last step to its end; 0 for the beginning',
    working_seconds Float64 COMMENT 'of these, covered by work (mart.case_traces)',
    waiting_seconds Float64 COMMENT 'of these, waiting',
    untold_seconds Float64 COMMENT 'of these, neither known to be the one nor the other'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT
    case_number, item_code, department, channel, began_at,
    toUInt64(x.1) AS position, x.2 AS from_activity, x.3 AS to_activity, x.4 + x.5 + x.6 AS seconds,
    x.4 AS working_seconds, x.5 AS waiting_seconds, x.6 AS untold_seconds
FROM
(
    SELECT case_number, item_code, department, channel, began_at,
        arrayJoin(arrayZip(range(length(trace) + 1), arrayPushFront(trace, ''), arrayPushBack(trace, ''),
            arrayPushFront(working, 0), arrayPushFront(waiting, 0), arrayPushFront(untold, 0))) AS x
    FROM mart.case_traces
)
COMMENT 'one row for each time that one activity directly followed another in a case (直接后继)'
