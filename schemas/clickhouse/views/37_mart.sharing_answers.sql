-- The owner's clock starts with every submission, also with one that comes back. An answer is an approval, a refusal or the one
-- time that it is given back: who gives it back late was late, whatever follows. What is open is held against the last
-- moment that cases or acts speak of, and not against the clock of the server.
CREATE OR REPLACE VIEW mart.sharing_answers
(
    record UUID COMMENT 'the record of the submission: the same in every load',
    request String COMMENT 'the request (申请编号)',
    number Int64 COMMENT 'place of the submission among the acts of its request',
    asking LowCardinality(String) COMMENT 'department that asks (需求部门)',
    department LowCardinality(String) COMMENT 'department that has to answer (数源部门)',
    dataset LowCardinality(String) COMMENT 'what is asked for (目录项)',
    sharing_type LowCardinality(String) COMMENT 'unconditional or conditional (共享类型)',
    asked_at DateTime64(6, 'UTC') COMMENT 'submitted (提交时间)',
    days Nullable(UInt32) COMMENT 'working days that the answer may take (答复时限)',
    due_on Nullable(Date32) COMMENT 'last day for the answer; NULL when it lies behind the end of the working calendar, or there was no rule',
    answer LowCardinality(String) COMMENT 'approve, refuse or give_back; withdraw when it was taken back before; empty while it waits',
    ended_at Nullable(DateTime64(6, 'UTC')) COMMENT 'answered or withdrawn',
    answered UInt8 COMMENT '1 when the owner has answered',
    on_time Nullable(UInt8) COMMENT '1 answered by the day it was due, 0 later or still not answered past it; NULL when it is not due yet, was withdrawn before, or its due day is not known',
    overdue UInt8 COMMENT '1 while it waits past the day it was due',
    working_days Nullable(Int64) COMMENT 'working days after the day of submission until it was answered or withdrawn; until now while it waits',
    calendar_missing UInt8 COMMENT '1 when it cannot be judged because the working calendar of its year is not published'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS WITH
    toDateTime64(0, 6, 'UTC') AS never,
    acts AS
    (
        SELECT record_id, request, assumeNotNull(number) AS number, act, assumeNotNull(acted_at) AS acted_at, department, shared_dataset, owner, sharing_type,
            leadInFrame(toString(act)) OVER following AS next_act, leadInFrame(toNullable(acted_at)) OVER following AS next_at
        FROM store.sharing_acts FINAL
        WHERE number IS NOT NULL AND acted_at IS NOT NULL
        WINDOW following AS (PARTITION BY request ORDER BY number ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
    ),
    (SELECT toDate32(greatest(ifNull((SELECT at FROM mart.as_of), never), (SELECT max(acted_at) FROM acts)), {zone})) AS today,
    workdays AS (SELECT toNullable(date) AS day, toNullable(toInt64(workday_index)) AS place, working FROM mart.calendar),
    asks AS
    (
        SELECT record_id, request, number, department AS asking, owner, shared_dataset, sharing_type, acted_at AS asked_at, next_act, next_at,
            toDate32(acted_at, {zone}) AS asked_on, toDate32(ifNull(next_at, toDateTime64(today, 6, {zone})), {zone}) AS ended_on,
            concat('reply_', toString(sharing_type)) AS deadline
        FROM acts
        WHERE act IN ('submit', 'resubmit')
    )
SELECT
    a.record_id AS record, a.request AS request, a.number AS number, a.asking AS asking, a.owner AS department, a.shared_dataset AS dataset, a.sharing_type AS sharing_type,
    a.asked_at AS asked_at, l.days AS days, due.day AS due_on,
    a.next_act AS answer, a.next_at AS ended_at, answer IN ('approve', 'refuse', 'give_back') AS answered,
    -- Beyond the calendar's end is the day that it is due only, when both others are in it: then it has not passed.
    multiIf(l.days IS NULL OR calendar_missing = 1, NULL, ifNull(a.ended_on > due_on, 0), 0, answered = 1, 1, NULL) AS on_time,
    answer = '' AND ifNull(a.ended_on > due_on, 0) AS overdue,
    e.place - s.place AS working_days, s.place IS NULL OR e.place IS NULL AS calendar_missing
FROM asks AS a
ASOF LEFT JOIN (SELECT toString(deadline) AS deadline, in_force, toNullable(days) AS days FROM mart.sharing_limits) AS l ON a.deadline = l.deadline AND a.asked_on >= l.in_force
LEFT JOIN workdays AS s ON a.asked_on = s.day
LEFT JOIN workdays AS e ON a.ended_on = e.day
LEFT JOIN (SELECT day, place FROM workdays WHERE working = 1) AS due ON s.place + l.days = due.place
COMMENT 'requests for data, each time they were handed in, and whether they were answered in time (共享申请答复)'
