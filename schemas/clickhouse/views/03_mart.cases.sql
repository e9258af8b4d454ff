-- Legal time counts the working days in (accepted, closed], without those in the union of the stops; a stop that has not
-- ended runs to the end of the case, and overlapping stops count once. workdays_to(d) is the number of working days up to
-- and including the day d, from the published calendar; the day before its first has none.
CREATE OR REPLACE VIEW mart.cases
(
    record UUID COMMENT 'the record: the same in every load',
    dataset LowCardinality(String) COMMENT 'dataset it belongs to',
    source LowCardinality(String) COMMENT 'source that delivered it',
    source_department LowCardinality(String) COMMENT 'department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written',
    case_number String COMMENT 'case number (办件编号)',
    person_id UUID COMMENT 'person who applied, as a pseudonym; zero when none',
    organisation_id UUID COMMENT 'organisation that applied, as a pseudonym; zero when none',
    department LowCardinality(String) COMMENT 'department that handles the case (办理部门)',
    item_code LowCardinality(String) COMMENT 'code of the service item (实施编码)',
    item_name LowCardinality(String) COMMENT 'name of the service item (事项名称)',
    kind LowCardinality(String) COMMENT 'on_spot (即办件), promised (承诺件) or other (办件类型)',
    channel LowCardinality(String) COMMENT 'window, online, mobile, terminal ... (申请渠道)',
    division LowCardinality(String) COMMENT 'administrative division, GB/T 2260 (行政区划)',
    applied_at Nullable(DateTime64(6, 'UTC')) COMMENT 'applied (申请时间)',
    accepted_at Nullable(DateTime64(6, 'UTC')) COMMENT 'accepted (受理时间)',
    promised_at Nullable(DateTime64(6, 'UTC')) COMMENT 'promised to be closed by (承诺办结时间)',
    closed_at Nullable(DateTime64(6, 'UTC')) COMMENT 'closed (办结时间)',
    delivered_at Nullable(DateTime64(6, 'UTC')) COMMENT 'result handed over (送达时间)',
    result LowCardinality(String) COMMENT 'granted, refused, withdrawn ... (办理结果)',
    visits Nullable(Int64) COMMENT 'times the applicant had to come (跑动次数)',
    statutory_days Nullable(Int64) COMMENT 'statutory limit in working days (法定时限)',
    promised_days Nullable(Int64) COMMENT 'promised limit in working days (承诺时限)',
    open UInt8 COMMENT '1 while the case is not closed',
    citizen_seconds Nullable(Int64) COMMENT 'from application to delivery, wall clock; to mart.as_of while not delivered',
    legal_days Nullable(Int64) COMMENT 'working days from acceptance to closing without stops; to mart.as_of while open; NULL when not accepted or when calendar_missing is 1',
    calendar_missing UInt8 COMMENT '1 when legal_days cannot be told since it needs a year whose working calendar is not published',
    on_time Nullable(UInt8) COMMENT '1 closed within the promised time, 0 closed or still open past it; NULL when nothing was promised or it is not yet due. The promise is promised_at, else promised_days of legal time',
    overdue UInt8 COMMENT '1 when closed or still open past the promised time (超期)'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS WITH
    (SELECT at FROM mart.as_of) AS as_of,
    -- Days are counted from 1970-01-01. workdays[1] is the day before the calendar begins.
    assumeNotNull((SELECT arrayPushFront(groupArray(workday_index), 0) FROM (SELECT workday_index FROM store.calendar FINAL ORDER BY date))) AS workdays,
    assumeNotNull((SELECT toInt32(min(date)) - 2 FROM store.calendar FINAL)) AS origin,
    day -> workdays[greatest(day - origin, 1)] AS workdays_to,
    day -> day - origin NOT BETWEEN 1 AND length(workdays) AS unpublished,
    toInt64(toDate32(assumeNotNull(accepted_at), {zone})) AS first_day,
    toInt64(toDate32(assumeNotNull(ifNull(closed_at, as_of)), {zone})) AS last_day,
    arraySort(arrayFilter(x -> x.1 < x.2, arrayMap(x -> (greatest(x.1, first_day), least(x.2, last_day)), s.stops))) AS clipped,
    arrayFold((done, x) -> (greatest(done.1, x.2), done.2 + greatest(0, workdays_to(x.2) - workdays_to(greatest(done.1, x.1)))),
        clipped, (toInt64(0), toInt64(0))).2 AS stopped_days
SELECT
    record_id AS record, dataset, source, source_department, source_time, c.case_number AS case_number,
    if(p.version > c.version, p.party_id, c.person_id) AS person_id,
    if(o.version > c.version, o.party_id, c.organisation_id) AS organisation_id,
    department, item_code, item_name, kind, channel, division,
    applied_at, accepted_at, promised_at, closed_at, delivered_at, result, visits, statutory_days, promised_days,
    closed_at IS NULL AS open,
    intDiv(toUnixTimestamp64Micro(ifNull(delivered_at, as_of)) - toUnixTimestamp64Micro(applied_at), 1000000) AS citizen_seconds,
    if(accepted_at IS NULL OR calendar_missing, NULL, workdays_to(last_day) - workdays_to(first_day) - stopped_days) AS legal_days,
    accepted_at IS NOT NULL AND (unpublished(first_day) OR unpublished(last_day)) AS calendar_missing,
    multiIf(
        promised_at IS NOT NULL, if(closed_at IS NULL, if(as_of > promised_at, 0, NULL), closed_at <= promised_at),
        legal_days > promised_days, 0,
        closed_at IS NOT NULL AND legal_days <= promised_days, 1,
        NULL) AS on_time,
    ifNull(on_time = 0, 0) AS overdue
FROM store.cases AS c FINAL
LEFT ANY JOIN store.current_links AS p ON c.person_record = p.record
LEFT ANY JOIN store.current_links AS o ON c.organisation_record = o.record
LEFT JOIN
(
    -- 2^31 - 1: a stop that has not ended
    SELECT case_number, groupArray((
        toInt64(toDate32(assumeNotNull(started_at), {zone})),
        ifNull(toInt64(toDate32(ended_at, {zone})), toInt64(2147483647)))) AS stops
    FROM store.case_steps FINAL
    WHERE kind IN ('supplement', 'special') AND started_at IS NOT NULL
    GROUP BY case_number
) AS s ON c.case_number = s.case_number
COMMENT 'cases as they stand now (办件)'
