CREATE OR REPLACE VIEW mart.models
(
    party LowCardinality(String) COMMENT 'person or organisation',
    model LowCardinality(String) COMMENT 'name and version of the model',
    chosen_by LowCardinality(String) COMMENT 'pseudonym of who chose it last',
    chosen_at Nullable(DateTime64(6, 'UTC')) COMMENT 'chosen last (启用时间)',
    current UInt8 COMMENT '1 for the model by which records are matched now'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT party, model, chosen_by, chosen_at, version = max(version) OVER (PARTITION BY party) AS current
FROM store.models FINAL
COMMENT 'the models by which records were matched, and which of them is in use (匹配模型)'
