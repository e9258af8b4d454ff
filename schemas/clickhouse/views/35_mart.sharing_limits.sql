CREATE OR REPLACE VIEW mart.sharing_limits
(
    deadline LowCardinality(String) COMMENT 'reply_unconditional, reply_conditional, delivery, correction or catalogue',
    in_force Date32 COMMENT 'first day on which it is so',
    days UInt32 COMMENT 'working days after the day of the event that starts it',
    jurisdiction_zh String COMMENT 'whose limit is the tightest, in Chinese',
    jurisdiction_en String COMMENT 'whose limit is the tightest, in English',
    rule String COMMENT 'the rule that sets it'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT deadline, in_force, days, jurisdiction_zh, jurisdiction_en, rule
FROM store.sharing_limits FINAL
COMMENT 'deadlines on requests for data, in working days (共享时限)'
