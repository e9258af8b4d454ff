CREATE OR REPLACE VIEW mart.holdings
(
    record UUID COMMENT 'the record: the same in every load',
    dataset LowCardinality(String) COMMENT 'dataset it belongs to',
    source LowCardinality(String) COMMENT 'source that delivered it',
    source_department LowCardinality(String) COMMENT 'department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written',
    person_id UUID COMMENT 'person it is about, as a pseudonym; zero when none',
    organisation_id UUID COMMENT 'organisation it is about, as a pseudonym; zero when none',
    material_code LowCardinality(String) COMMENT 'kind of material it can stand for (材料编码)',
    issuer LowCardinality(String) COMMENT 'department that holds it (出具部门)',
    document String COMMENT 'pseudonym of the document''s number and edition',
    issued_at Nullable(DateTime64(6, 'UTC')) COMMENT 'issued or registered',
    valid_from Nullable(Date32) COMMENT 'valid from (有效期起)',
    valid_until Nullable(Date32) COMMENT 'valid until, inclusive (有效期止); NULL when it does not expire',
    status LowCardinality(String) COMMENT 'valid, revoked, expired ... (状态)'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS SELECT
    record_id AS record, dataset, source, source_department, source_time,
    if(p.version > h.version, p.party_id, h.person_id) AS person_id,
    if(o.version > h.version, o.party_id, h.organisation_id) AS organisation_id,
    material_code, issuer, document, issued_at, valid_from, valid_until, status
FROM store.holdings AS h FINAL
LEFT ANY JOIN store.current_links AS p ON h.person_record = p.record
LEFT ANY JOIN store.current_links AS o ON h.organisation_record = o.record
COMMENT 'documents and facts that departments hold, as they stand now (证照, 登记信息)'
