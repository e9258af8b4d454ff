-- A request is what its acts come to. A suspension or a review does not stop the clock of the delivery.
CREATE OR REPLACE VIEW mart.sharing_requests
(
    request String COMMENT 'the request (申请编号)',
    asking LowCardinality(String) COMMENT 'department that asks (需求部门)',
    department LowCardinality(String) COMMENT 'department whose dataset it is (数源部门)',
    dataset LowCardinality(String) COMMENT 'what is asked for (目录项)',
    sharing_type LowCardinality(String) COMMENT 'unconditional or conditional (共享类型)',
    purpose LowCardinality(String) COMMENT 'what for (用途)',
    state LowCardinality(String) COMMENT 'asked, given_back, approved, live, suspended, refused, withdrawn or revoked',
    submitted_at DateTime64(6, 'UTC') COMMENT 'first submitted (提交时间)',
    since DateTime64(6, 'UTC') COMMENT 'last act about it',
    valid_from Nullable(DateTime64(6, 'UTC')) COMMENT 'beginning of what is asked for, or granted (有效期起)',
    valid_until Nullable(DateTime64(6, 'UTC')) COMMENT 'its end, exclusive (有效期止)',
    reviewed_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when the grant was last found right; the approval at first (复核时间)',
    waits_for LowCardinality(String) COMMENT 'department that has to do something by a deadline; empty when it waits for nobody',
    deadline LowCardinality(String) COMMENT 'by which deadline: reply_unconditional, reply_conditional or delivery',
    waits_since Nullable(DateTime64(6, 'UTC')) COMMENT 'since when the clock runs',
    due_on Nullable(Date32) COMMENT 'last day in time; NULL when it waits for nobody or the working calendar is not published so far',
    overdue UInt8 COMMENT '1 when that day has passed'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS WITH
    toDateTime64(0, 6, 'UTC') AS never,
    acts AS
    (
        SELECT request, assumeNotNull(number) AS number, toString(act) AS act, assumeNotNull(acted_at) AS acted_at, department, shared_dataset, owner, sharing_type, terms
        FROM store.sharing_acts FINAL
        WHERE number IS NOT NULL AND acted_at IS NOT NULL
    ),
    (SELECT toDate32(greatest(ifNull((SELECT at FROM mart.as_of), never), (SELECT max(acted_at) FROM acts)), {zone})) AS today,
    workdays AS (SELECT toNullable(date) AS day, toNullable(toInt64(workday_index)) AS place, working FROM mart.calendar),
    folded AS
    (
        SELECT request,
            argMinIf(department, number, act = 'submit') AS asking,
            argMaxIf(owner, number, act IN ('submit', 'resubmit')) AS owner,
            argMaxIf(shared_dataset, number, act IN ('submit', 'resubmit')) AS dataset,
            argMaxIf(sharing_type, number, act IN ('submit', 'resubmit')) AS sharing_type,
            argMaxIf(terms, number, terms != '') AS terms,
            argMaxIf(act, number, act NOT IN ('suspend', 'resume', 'review')) AS base,
            argMaxIf(act, number, act IN ('suspend', 'resume')) = 'suspend' AS held,
            multiIf(base IN ('submit', 'resubmit'), 'asked', base = 'give_back', 'given_back', base = 'refuse', 'refused', base = 'withdraw', 'withdrawn',
                base = 'revoke', 'revoked', held, 'suspended', base = 'approve', 'approved', 'live') AS state,
            min(acted_at) AS submitted_at, max(acted_at) AS since,
            maxIf(acted_at, act IN ('submit', 'resubmit')) AS asked_at,
            maxIf(acted_at, act = 'approve') AS granted_at,
            maxIf(acted_at, act IN ('approve', 'review')) AS reviewed_at
        FROM acts
        GROUP BY request
    ),
    waiting AS
    (
        SELECT *, multiIf(state = 'asked', concat('reply_', toString(sharing_type)), state = 'approved', 'delivery', '') AS deadline,
            multiIf(state = 'asked', toNullable(asked_at), state = 'approved', toNullable(granted_at), NULL) AS waits_since,
            toDate32(ifNull(waits_since, never), {zone}) AS waits_on
        FROM folded
    )
SELECT
    w.request AS request, w.asking AS asking, w.owner AS department, w.dataset AS dataset, w.sharing_type AS sharing_type, JSONExtractString(w.terms, 'purpose') AS purpose,
    w.state AS state, w.submitted_at AS submitted_at, w.since AS since,
    parseDateTime64BestEffortOrNull(JSONExtractString(w.terms, 'from'), 6, 'UTC') AS valid_from,
    parseDateTime64BestEffortOrNull(JSONExtractString(w.terms, 'until'), 6, 'UTC') AS valid_until,
    if(w.reviewed_at = never, NULL, w.reviewed_at) AS reviewed_at,
    if(w.deadline = '', '', toString(w.owner)) AS waits_for, w.deadline AS deadline, w.waits_since AS waits_since,
    due.day AS due_on, ifNull(today > due_on, 0) AS overdue
FROM waiting AS w
ASOF LEFT JOIN (SELECT toString(deadline) AS deadline, in_force, toNullable(days) AS days FROM mart.sharing_limits) AS l ON w.deadline = l.deadline AND w.waits_on >= l.in_force
LEFT JOIN workdays AS s ON w.waits_on = s.day
LEFT JOIN (SELECT day, place FROM workdays WHERE working = 1) AS due ON s.place + l.days = due.place
COMMENT 'requests for data and the grants that came of them, as they stand now (共享申请与授权)'
