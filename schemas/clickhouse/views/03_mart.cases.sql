-- Legal time, as docs/clocks.md defines it. It is counted in parts of a working day: whole days ({parts} = 1), or halves that meet
-- {noon} minutes after midnight ({parts} = 2). Parts are numbered from 1970-01-01; worked_to(p) is how many parts are worked
-- from the calendar's first up to and including p. What is counted is (accepted, closed] without the union of the stops.
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
    legal_days Nullable(Float64) COMMENT 'legal time (法定办理时长): working days from acceptance to closing without stops; to mart.as_of while open; NULL when not accepted or when clock_problem says why. Whole, or in halves if the county counts half days',
    calendar_missing UInt8 COMMENT '1 when legal_days cannot be told since it needs a year whose working calendar is not published',
    on_time Nullable(UInt8) COMMENT '1 closed within the promised time, 0 closed or still open past it; NULL when nothing was promised or it is not yet due. The promise is promised_at, else promised_days of legal time',
    overdue UInt8 COMMENT '1 when closed or still open past the promised time (超期)',
    stopped_days Nullable(Float64) COMMENT 'working days between acceptance and closing that stops took out of legal_days; NULL where that is',
    clock_problem LowCardinality(String) COMMENT 'why legal_days cannot be told of a case that was accepted: calendar_missing, closed_before_accepted, or reopened_after_closed (closed_at is not the last closing); empty when it can',
    calendar_year Nullable(UInt16) COMMENT 'the first year that legal_days needs and whose working calendar is not published; NULL unless calendar_missing',
    supplements UInt64 COMMENT 'supplements that were asked for (补正)',
    special_procedures UInt64 COMMENT 'special procedures (特别程序)',
    reopened UInt64 COMMENT 'times it was closed and taken up again (重新办理)',
    stops_unended UInt64 COMMENT 'of the supplements and special procedures: those without a known end. They last until the case is closed, or, where the source fills a missing end, until its next step; one from before acceptance counts for nothing',
    stops_zero UInt64 COMMENT 'of the stops: those whose end is their start, which may mean unknown. They count for nothing unless the contract says ends_filled',
    stops_unusable UInt64 COMMENT 'of the stops: those that count for nothing since they lack their start, end before it, or, of a reopening, lack their end'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS WITH
    (SELECT at FROM mart.as_of) AS as_of,
    -- worked[1] is the part before the calendar begins.
    assumeNotNull((SELECT arrayPushFront(arrayFlatten(groupArray(arrayMap(p -> {parts} * workday_index - ({parts} - p) * working, range(1, {parts} + 1)))), 0)
        FROM (SELECT workday_index, working FROM store.calendar FINAL ORDER BY date))) AS worked,
    assumeNotNull((SELECT {parts} * toInt32(min(date)) - 2 FROM store.calendar FINAL)) AS origin,
    toDateTime64('2299-12-31 00:00:00', 6, 'UTC') AS never, -- beyond the end of any case
    part -> worked[greatest(part - origin, 1)] AS worked_to,
    part -> part - origin NOT BETWEEN 1 AND length(worked) AS unpublished,
    at -> {parts} * toInt64(toDate32(at, {zone})) + ({parts} = 2 AND 60 * toHour(at, {zone}) + toMinute(at, {zone}) >= {noon}) AS part_of,
    assumeNotNull(accepted_at) AS accepted,
    assumeNotNull(ifNull(closed_at, as_of)) AS until,
    part_of(accepted) AS first_part,
    part_of(until) AS last_part,
    -- A stop without a known end that began before acceptance was ended by it.
    arraySort(arrayFilter(x -> x.1 < x.2, arrayMap(x -> (greatest(part_of(x.started), first_part),
        if(x.unended AND x.started < accepted, first_part, least(part_of(x.ended), last_part))), s.stops))) AS clipped,
    arrayFold((done, x) -> (greatest(done.1, x.2), done.2 + greatest(0, worked_to(x.2) - worked_to(greatest(done.1, x.1)))),
        clipped, (toInt64(0), toInt64(0))).2 AS stopped,
    accepted_at IS NOT NULL AND ifNull(closed_at < s.reopened_at, 0) AS reopened_later,
    accepted_at IS NOT NULL AND last_part < first_part AS closed_before,
    accepted_at IS NOT NULL AND NOT reopened_later AND first_part < last_part AND (unpublished(first_part) OR unpublished(last_part)) AS calendar_lacks
SELECT
    record_id AS record, dataset, source, source_department, source_time, c.case_number AS case_number,
    if(p.version > c.version, p.party_id, c.person_id) AS person_id,
    if(o.version > c.version, o.party_id, c.organisation_id) AS organisation_id,
    department, item_code, item_name, kind, channel, division,
    applied_at, accepted_at, promised_at, closed_at, delivered_at, result, visits, statutory_days, promised_days,
    closed_at IS NULL AS open,
    intDiv(toUnixTimestamp64Micro(ifNull(delivered_at, as_of)) - toUnixTimestamp64Micro(applied_at), 1000000) AS citizen_seconds,
    if(accepted_at IS NULL OR reopened_later OR closed_before OR calendar_lacks, NULL, (worked_to(last_part) - worked_to(first_part) - stopped) / {parts}) AS legal_days,
    calendar_lacks AS calendar_missing,
    multiIf(
        promised_at IS NOT NULL, if(closed_at IS NULL, if(as_of > promised_at, 0, NULL), closed_at <= promised_at),
        legal_days > promised_days, 0,
        closed_at IS NOT NULL AND legal_days <= promised_days, 1,
        NULL) AS on_time,
    ifNull(on_time = 0, 0) AS overdue,
    if(legal_days IS NULL, NULL, stopped / {parts}) AS stopped_days,
    multiIf(reopened_later, 'reopened_after_closed', closed_before, 'closed_before_accepted', calendar_lacks, 'calendar_missing', '') AS clock_problem,
    multiIf(
        NOT calendar_missing, NULL,
        unpublished(first_part), toYear(addDays(toDate32('1970-01-01'), intDiv(first_part + 1, {parts}))),
        toYear(addDays(toDate32('1970-01-01'), intDiv(origin + 1 + length(worked), {parts})))) AS calendar_year,
    s.supplements, s.special_procedures, s.reopened, s.stops_unended, s.stops_zero, s.stops_unusable
FROM store.cases AS c FINAL
LEFT ANY JOIN store.current_links AS p ON c.person_record = p.record
LEFT ANY JOIN store.current_links AS o ON c.organisation_record = o.record
LEFT ANY JOIN
(
    -- Only cases with steps that stop the clock are here: what is joined is small.
    SELECT case_number,
        groupArrayIf((started_at, ended_at, filled), stop AND started_at IS NOT NULL AND (kind != 'reopened' OR ended_at IS NOT NULL)) AS found,
        arraySort(groupArrayIf(assumeNotNull(started_at), NOT stop AND started_at IS NOT NULL)) AS resumed,
        arrayMap(x -> (assumeNotNull(x.1), multiIf(x.3, ifNull(arrayFirstOrNull(next -> next > x.1, resumed), never), x.2 IS NULL, never, assumeNotNull(x.2)), x.3 OR x.2 IS NULL)
            ::Tuple(started DateTime64(6, 'UTC'), ended DateTime64(6, 'UTC'), unended UInt8), found) AS stops,
        maxIf(ended_at, kind = 'reopened') AS reopened_at,
        countIf(kind = 'supplement') AS supplements,
        countIf(kind = 'special') AS special_procedures,
        countIf(kind = 'reopened') AS reopened,
        countIf(kind IN ('supplement', 'special') AND started_at IS NOT NULL AND (ended_at IS NULL OR filled)) AS stops_unended,
        countIf(stop AND ended_at = started_at AND NOT filled) AS stops_zero,
        countIf(stop AND (started_at IS NULL OR ended_at < started_at OR kind = 'reopened' AND ended_at IS NULL)) AS stops_unusable
    FROM
    (
        SELECT case_number, kind, started_at, ended_at,
            kind IN ('supplement', 'special', 'reopened') AS stop,
            dataset IN ({filled}) AND kind IN ('supplement', 'special') AND ifNull(ended_at = started_at, 0) AS filled
        FROM store.case_steps FINAL
        -- The other steps of a case matter only where they tell when a stop ended whose end is not known.
        WHERE stop OR {any_filled} AND case_number IN
            (SELECT case_number FROM store.case_steps FINAL WHERE dataset IN ({filled}) AND kind IN ('supplement', 'special') AND ended_at = started_at)
    )
    GROUP BY case_number
) AS s ON c.case_number = s.case_number
COMMENT 'cases as they stand now (办件)'
