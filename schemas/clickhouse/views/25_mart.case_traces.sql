-- What of a case's life is known to be work: the time covered by steps whose end is known. From the end of such a step to the
-- start of the next is waiting. After a step whose end is missing, or is filled with its start, nobody can tell work from waiting: that is
-- untold. The three add up to the whole. Supplements and special procedures are no steps here.
CREATE OR REPLACE VIEW mart.case_traces
(
    case_number String COMMENT 'case number (办件编号)',
    item_code LowCardinality(String) COMMENT 'service item (实施编码); empty when the case is not known',
    department LowCardinality(String) COMMENT 'department that handles the case; empty when the case is not known',
    channel LowCardinality(String) COMMENT 'channel of the case (申请渠道)',
    began_at DateTime64(6, 'UTC') COMMENT 'applied for, or its first step when the case is not known: the cohort',
    trace Array(String) COMMENT 'its activities in the order in which they started: its variant',
    starts Array(DateTime64(6, 'UTC')) COMMENT 'when each of them started',
    steps UInt64 COMMENT 'number of steps',
    extra_steps UInt64 COMMENT 'steps that repeat an activity: steps less different activities',
    seconds Float64 COMMENT 'from its first step''s start to its last end that is known',
    working Array(Float64) COMMENT 'seconds from the start of each step that are covered by work, up to the start of the next one',
    waiting Array(Float64) COMMENT 'seconds of waiting from each step to the next one; 0 for the last',
    untold Array(Float64) COMMENT 'seconds from each step to the next one of which nobody can tell whether they were work; 0 for the last',
    working_seconds Float64 COMMENT 'sum of working',
    waiting_seconds Float64 COMMENT 'sum of waiting',
    untold_seconds Float64 COMMENT 'sum of untold'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT
    t.case_number AS case_number, c.item_code AS item_code, c.department AS department, c.channel AS channel,
    ifNull(c.applied_at, starts[1]) AS began_at,
    trace, starts, toUInt64(length(trace)) AS steps, steps - arrayUniq(trace) AS extra_steps,
    (covered[-1] - begins[1]) / 1e6 AS seconds,
    arrayMap((b, m, n) -> (least(m, n) - b) / 1e6, begins, covered, nexts) AS working,
    arrayMap((m, n, known, last) -> if(known AND NOT last, greatest(n - m, 0), 0) / 1e6, covered, nexts, known_ends, lasts) AS waiting,
    arrayMap((m, n, known, last) -> if(known OR last, 0, greatest(n - m, 0)) / 1e6, covered, nexts, known_ends, lasts) AS untold,
    arraySum(working) AS working_seconds, arraySum(waiting) AS waiting_seconds, arraySum(untold) AS untold_seconds
FROM
(
    SELECT
        case_number,
        -- Of steps that start at the same moment the number decides, 9 before 10.
        arraySort(groupArray((assumeNotNull(started_at), length(step), step, toString(activity), ifNull(ended_at, started_at)))) AS events,
        arrayMap(e -> e.4, events) AS trace,
        arrayMap(e -> e.1, events) AS starts,
        arrayMap(e -> toUnixTimestamp64Micro(e.1), events) AS begins,
        arrayMap(e -> assumeNotNull(e.5) > e.1, events) AS known_ends,
        arrayMap(e -> greatest(toUnixTimestamp64Micro(assumeNotNull(e.5)), toUnixTimestamp64Micro(e.1)), events) AS ends,
        arrayReduceInRanges('max', arrayMap(i -> (1, i), arrayEnumerate(ends)), ends) AS covered,
        arrayPushBack(arrayPopFront(begins), covered[-1]) AS nexts,
        arrayMap(i -> i = length(begins), arrayEnumerate(begins)) AS lasts
    FROM store.case_steps FINAL
    WHERE kind IN ('', 'step') AND started_at IS NOT NULL
    GROUP BY case_number
) AS t
LEFT JOIN
(
    SELECT case_number, max(item_code) AS item_code, max(department) AS department, max(channel) AS channel, max(applied_at) AS applied_at
    FROM store.cases FINAL
    GROUP BY case_number
) AS c ON t.case_number = c.case_number
COMMENT 'the life of each case as a sequence of activities, with what of it was work and what was waiting (办件轨迹)'
