-- A month that nobody reported is there without a number: it is not known how much is missing, and that is not the same as
-- nothing. A department has stopped when it delivered in each of the three months up to its last one and nothing since, unless it
-- reports that there was nothing. Months are complete ones; later ones are there only if somebody reported them.
CREATE OR REPLACE VIEW mart.coverage
(
    department LowCardinality(String) COMMENT 'the department',
    subject LowCardinality(String) COMMENT 'what is counted: cases (收件, by application), incidents (诉求, by report), decisions (决议), training (参训人次)',
    month Date32 COMMENT 'first day of the month, in the county''s time zone',
    starts_at DateTime64(6, 'UTC') COMMENT 'the moment at which the month begins',
    captured Int64 COMMENT 'how many the platform has of that month',
    reported Nullable(Int64) COMMENT 'how many the department says there were (报送数); NULL when it has not said',
    stopped UInt8 COMMENT '1 when the department used to deliver every month and since before this month delivers nothing'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS WITH
    (SELECT addMonths(toStartOfMonth(toDate32(addDays(toDate32(at, {zone}), 1))), -1) FROM mart.as_of) AS complete,
    captures AS
    (
        SELECT department, 'cases' AS subject, toStartOfMonth(toDate32(assumeNotNull(applied_at), {zone})) AS month, count() AS captured
        FROM store.cases FINAL WHERE applied_at IS NOT NULL GROUP BY ALL
        UNION ALL
        SELECT department, 'incidents', toStartOfMonth(toDate32(assumeNotNull(reported_at), {zone})) AS month, count()
        FROM store.incidents FINAL WHERE reported_at IS NOT NULL GROUP BY ALL
        UNION ALL
        SELECT department, 'decisions', toStartOfMonth(toDate32(assumeNotNull(decided_at), {zone})) AS month, count()
        FROM store.council_decisions FINAL WHERE decided_at IS NOT NULL GROUP BY ALL
        UNION ALL
        SELECT department, 'training', toStartOfMonth(toDate32(assumeNotNull(attended_at), {zone})) AS month, count()
        FROM store.training_participations FINAL WHERE attended_at IS NOT NULL GROUP BY ALL
    ),
    months AS
    (
        SELECT toString(department) AS department, toString(subject) AS subject, toDate32(month) AS month, toInt64(sum(captured)) AS captured, sum(reported) AS reported
        FROM
        (
            SELECT department, subject, month, captured, CAST(NULL AS Nullable(Int64)) AS reported FROM captures
            UNION ALL
            SELECT department, subject, month, 0, toNullable(reported) FROM mart.department_reports
        )
        WHERE department != ''
        GROUP BY ALL
    ),
    lives AS
    (
        SELECT department, subject, min(month) AS first,
            greatest(max(if(reported IS NULL, toDate32('1900-01-01'), month)), ifNull(toDate32(complete), toDate32('1900-01-01'))) AS last,
            maxIf(month, captured > 0) AS last_captured, groupArray((month, captured, reported)) AS cells,
            arrayCount(x -> x.2 > 0 AND x.1 > addMonths(last_captured, -3), cells) = 3 AS regular
        FROM months
        GROUP BY department, subject
    )
SELECT
    department, subject, month, toTimeZone(toDateTime64(month, 6, {zone}), 'UTC') AS starts_at,
    cell.2 AS captured, cell.3 AS reported, regular AND month > last_captured AND (reported IS NULL OR reported > 0) AS stopped
FROM
(
    SELECT department, subject, regular, last_captured, cells,
        arrayJoin(arrayMap(i -> addMonths(first, i), range(toUInt32(dateDiff('month', first, last) + 1)))) AS month,
        arrayFirst(x -> x.1 = month, cells) AS cell
    FROM lives
    WHERE first <= last
)
COMMENT 'what the platform captured of what departments report, by department and month (归集率)'
