-- +goose NO TRANSACTION
-- +goose Up
-- What the county did is registered before its result is seen, evaluated, and figures that were given out are kept.

-- Nothing here is ever changed or deleted.
CREATE TABLE IF NOT EXISTS audit.interventions
(
    sequence UInt64 COMMENT 'place in the chain, from 1',
    at DateTime64(6, 'UTC') COMMENT 'when it was written down',
    event LowCardinality(String) COMMENT 'registered, evaluated, or asked: somebody was shown a metric''s figures of a month for the first time',
    intervention LowCardinality(String) COMMENT 'its short name; empty for asked',
    version UInt32 COMMENT 'of the registration, from 1; a changed definition is another one; 0 for asked',
    definition String COMMENT 'of registered: the registration as JSON, whose SHA-256 is definition_hash; else empty',
    definition_hash String COMMENT 'SHA-256 of the registration, in hexadecimal; of evaluated: of the one that was judged; empty for asked',
    metric LowCardinality(String) COMMENT 'the metric that is claimed to move, or that was asked for',
    month LowCardinality(String) COMMENT 'of asked: the month whose figures were shown, such as 2026-03; else empty',
    result_hash String COMMENT 'of evaluated: SHA-256 of the result, which store.evaluations keeps; else empty',
    caller LowCardinality(String) COMMENT 'what wrote it down: shire up, shire metrics register, a job ...',
    clerk String COMMENT 'pseudonym of the account that ran it',
    hash String COMMENT 'hash of this row and of previous_hash, in hexadecimal',
    previous_hash String COMMENT 'hash of the row before; empty for the first'
)
ENGINE = MergeTree
ORDER BY sequence
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'the register of interventions (改革举措登记): what was claimed when, and when its result was first seen: a tamper-evident chain';

CREATE TABLE IF NOT EXISTS store.evaluations
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
    result_hash String COMMENT 'its SHA-256, as in audit.interventions'
)
ENGINE = MergeTree
ORDER BY (intervention, evaluated_at)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'evaluations of interventions (评估)';

CREATE TABLE IF NOT EXISTS store.published
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
    reason String COMMENT 'of a restatement: what had changed since the edition before; empty for the first'
)
ENGINE = MergeTree
ORDER BY (metric, month, department, edition)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'figures as they were published, with every restatement';
