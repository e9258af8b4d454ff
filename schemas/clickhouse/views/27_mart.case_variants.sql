CREATE OR REPLACE VIEW mart.case_variants
(
    item_code LowCardinality(String) COMMENT 'service item (实施编码); empty when the case is not known',
    trace Array(String) COMMENT 'the variant: activities in the order in which they started',
    cases UInt64 COMMENT 'cases that went this way',
    share Float64 COMMENT 'of all cases of the item',
    extra_steps UInt64 COMMENT 'steps of one such case that repeat an activity',
    median_seconds Float64 COMMENT 'median from the first step''s start to the last end that is known; of cases that are over and of open ones alike'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT item_code, trace, count() AS cases, cases / sum(cases) OVER (PARTITION BY item_code) AS share,
    any(extra_steps) AS extra_steps, quantileExactInclusive(0.5)(seconds) AS median_seconds
FROM mart.case_traces
GROUP BY item_code, trace
COMMENT 'the ways that cases of an item go, and how many go each (流程变体)'
