CREATE OR REPLACE VIEW ops.evaluations
(
    evaluated_at DateTime64(6, 'UTC') COMMENT 'when it was evaluated',
    intervention LowCardinality(String) COMMENT 'its short name',
    version UInt32 COMMENT 'of the registration that was judged, from 1',
    registered_at DateTime64(6, 'UTC') COMMENT 'when that was registered',
    definition_hash String COMMENT 'SHA-256 of the registration, as in audit.interventions',
    late UInt8 COMMENT '1 when it was registered after its result had been seen',
    title_zh String COMMENT 'title in Chinese',
    title_en String COMMENT 'title in English',
    since Date32 COMMENT 'first day in force (开始日期)',
    claim LowCardinality(String) COMMENT 'time_down, speed_up, ratio_down or ratio_up: by at least half',
    metric LowCardinality(String) COMMENT 'the metric that is claimed to move',
    metric_version UInt32 COMMENT 'version of its definition that was counted by',
    known_at Nullable(DateTime64(6, 'UTC')) COMMENT 'judged by what was known then; NULL for what was known at evaluated_at',
    as_of String COMMENT 'day up to which the data reached',
    verdict LowCardinality(String) COMMENT 'at_least_half_shown, better, no_change_shown, worse or not_estimable',
    because_zh String COMMENT 'why, in a sentence in Chinese',
    because_en String COMMENT 'why, in a sentence in English',
    estimator LowCardinality(String) COMMENT 'which estimate decided: difference_in_differences, controlled_time_series, time_series or none',
    gain Nullable(Float64) COMMENT 'by how much it got better in the words of the claim: .5 is by half; NULL when not estimable',
    gain_low Nullable(Float64) COMMENT 'lower end of its 95% interval, which decides the verdict',
    gain_high Nullable(Float64) COMMENT 'upper end of its 95% interval',
    raw_gain Nullable(Float64) COMMENT 'the same of before and after alone, open cases censored; proves nothing',
    closed_only_gain Nullable(Float64) COMMENT 'the same of closed cases alone: the figure that misleads; NULL for a ratio',
    scope_cases UInt64 COMMENT 'cases of the scope that took part; of a ratio, rows of months and groups',
    result String COMMENT 'everything that was found, as JSON',
    result_hash String COMMENT 'its SHA-256, as in audit.interventions',
    newest UInt8 COMMENT '1 for the newest evaluation of the intervention by what was known then'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT
    evaluated_at, intervention, version, registered_at, definition_hash, late, title_zh, title_en, since, claim, metric, metric_version, known_at, as_of,
    verdict, because_zh, because_en, estimator, gain, gain_low, gain_high, raw_gain, closed_only_gain, scope_cases, result, result_hash,
    known_at IS NULL AND evaluated_at = max(if(known_at IS NULL, evaluated_at, toDateTime64(0, 6, 'UTC'))) OVER (PARTITION BY intervention) AS newest
FROM store.evaluations
COMMENT 'evaluations of interventions (评估): what was claimed, what the data show, and whether it was claimed beforehand'
