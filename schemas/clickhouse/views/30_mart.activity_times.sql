CREATE OR REPLACE VIEW mart.activity_times
(
    item_code LowCardinality(String) COMMENT 'service item (实施编码); empty when the case is not known',
    activity String COMMENT 'the activity',
    steps UInt64 COMMENT 'how many times it was done',
    cases UInt64 COMMENT 'in how many cases',
    working_seconds Float64 COMMENT 'seconds of work, added up (mart.case_traces)',
    waiting_seconds Float64 COMMENT 'seconds of waiting after it, added up',
    untold_seconds Float64 COMMENT 'seconds after it of which nobody can tell, added up'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT item_code, from_activity AS activity, count() AS steps, uniqExact(case_number) AS cases,
    sum(t.working_seconds) AS working_seconds, sum(t.waiting_seconds) AS waiting_seconds, sum(t.untold_seconds) AS untold_seconds
FROM mart.case_transitions AS t
WHERE position > 0
GROUP BY item_code, activity
COMMENT 'how long the activities of an item are worked on, and how long cases wait after them (办理与等待时长)'
