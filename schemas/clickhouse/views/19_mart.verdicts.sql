-- I7: why somebody decided so may name people, and stays in restricted.
CREATE OR REPLACE VIEW mart.verdicts
(
    record UUID COMMENT 'the verdict: the same when it is changed',
    party LowCardinality(String) COMMENT 'person or organisation',
    record_a UUID COMMENT 'the one record',
    record_b UUID COMMENT 'the other record',
    verdict LowCardinality(String) COMMENT 'same, different or unsure',
    reviewer LowCardinality(String) COMMENT 'pseudonym of who decided (判定人)',
    decided_at Nullable(DateTime64(6, 'UTC')) COMMENT 'decided (判定时间)'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT
    record_id AS record, party, toUUIDOrZero(v.record_a) AS record_a, toUUIDOrZero(v.record_b) AS record_b,
    verdict, reviewer_id AS reviewer, decided_at
FROM restricted.verdicts AS v FINAL
COMMENT 'what people decided about pairs of records and have not withdrawn (人工判定)'
