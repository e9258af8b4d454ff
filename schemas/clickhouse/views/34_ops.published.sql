CREATE OR REPLACE VIEW ops.published
(
    metric LowCardinality(String) COMMENT 'name of the metric',
    month LowCardinality(String) COMMENT 'month that the figure is of, such as 2026-03',
    department LowCardinality(String) COMMENT 'department that it is of; empty for the whole county',
    edition UInt32 COMMENT 'from 1; each restatement is one more',
    metric_version UInt32 COMMENT 'version of the metric''s definition',
    value Nullable(Float64) COMMENT 'the figure: a ratio, or the median of a time; NULL when state is not ok',
    state LowCardinality(String) COMMENT 'ok, suppressed, not_estimable or empty',
    units Int64 COMMENT 'how many cases, papers ... stand behind it; 0 when suppressed',
    published_at DateTime64(6, 'UTC') COMMENT 'when this edition was published',
    run_id String COMMENT 'run of the job that published it',
    as_of String COMMENT 'moment up to which the data reached',
    reason String COMMENT 'of a restatement: what had changed since the edition before; empty for the first',
    before Nullable(Float64) COMMENT 'value of the edition before; NULL when it had none or there is none',
    newest UInt8 COMMENT '1 for the edition that is in force'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT
    metric, month, department, edition, metric_version, value, state, units, published_at, run_id, as_of, reason,
    lagInFrame(value) OVER (PARTITION BY metric, month, department ORDER BY edition ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS before,
    edition = max(edition) OVER (PARTITION BY metric, month, department) AS newest
FROM store.published
COMMENT 'figures as they were published, with every restatement and its reason'
