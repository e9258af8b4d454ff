CREATE OR REPLACE VIEW mart.rework_loops
(
    item_code LowCardinality(String) COMMENT 'service item (实施编码); empty when the case is not known',
    activity String COMMENT 'activity that was done again',
    cases UInt64 COMMENT 'cases in which it was done more than once',
    extra_steps UInt64 COMMENT 'how many times too many, over these cases',
    directly UInt64 COMMENT 'of these, right after itself; the others came back after something else'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT item_code, activity, count() AS cases, sum(times - 1) AS extra_steps, sum(again) AS directly
FROM
(
    SELECT case_number, item_code, from_activity AS activity, count() AS times, countIf(to_activity = from_activity) AS again
    FROM mart.case_transitions
    WHERE position > 0
    GROUP BY case_number, item_code, activity
    HAVING times > 1
)
GROUP BY item_code, activity
COMMENT 'activities of an item that cases went through more than once (返工)'
