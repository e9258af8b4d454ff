CREATE OR REPLACE VIEW mart.directly_follows
(
    item_code LowCardinality(String) COMMENT 'service item (实施编码); empty when the case is not known',
    from_activity String COMMENT 'activity that it leads from; empty for the beginning of the case',
    to_activity String COMMENT 'activity that it leads to; empty for the end of the case',
    transitions UInt64 COMMENT 'how many times the one directly followed the other',
    cases UInt64 COMMENT 'in how many cases',
    mean_seconds Float64 COMMENT 'mean from start to start',
    median_seconds Float64 COMMENT 'median from start to start',
    waiting_seconds Float64 COMMENT 'all waiting between them, added up: where the time goes'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT item_code, from_activity, to_activity, count() AS transitions, uniqExact(case_number) AS cases,
    avg(seconds) AS mean_seconds, quantileExactInclusive(0.5)(seconds) AS median_seconds, sum(t.waiting_seconds) AS waiting_seconds
FROM mart.case_transitions AS t
GROUP BY item_code, from_activity, to_activity
COMMENT 'the directly-follows graph of an item, by count and by time (直接后继图)'
