CREATE OR REPLACE VIEW ops.quarantine
(
    dataset LowCardinality(String) COMMENT 'dataset of the row',
    source_department LowCardinality(String) COMMENT 'department whose dataset it is (数源部门)',
    owner_zh LowCardinality(String) COMMENT 'who has to mend it, in Chinese',
    owner_en LowCardinality(String) COMMENT 'who has to mend it, in English',
    source LowCardinality(String) COMMENT 'source that delivered it',
    unit String COMMENT 'what it was read from: a file''s name, a table',
    row Int64 COMMENT 'place in that unit: line of a file, ordinal in a transaction',
    field LowCardinality(String) COMMENT 'field of the contract that is at fault; empty when the whole row is',
    code LowCardinality(String) COMMENT 'reason, for machines',
    message String COMMENT 'reason, for people; never quotes a value (I7)',
    contract_version Int64 COMMENT 'version of the contract that refused it',
    contract_hash LowCardinality(String) COMMENT 'hash of that contract''s text',
    sequence UInt64 COMMENT 'stream sequence of the message that carried it',
    version UInt64 COMMENT 'the row''s version: identifies it, with the dataset',
    quarantined_at DateTime64(6, 'UTC') COMMENT 'when it was refused',
    state LowCardinality(String) COMMENT 'waiting, released (sent through the flow again) or dropped',
    state_reason String COMMENT 'why it is in that state',
    state_at DateTime64(6, 'UTC') COMMENT 'since when'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT
    dataset, source_department, owner_zh, owner_en, source, unit, row, field, code, message,
    contract_version, contract_hash, sequence, version, quarantined_at, state, state_reason, state_at
FROM store.quarantine_log FINAL
COMMENT 'rows that a contract refused and what became of them (I5)'
