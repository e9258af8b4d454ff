-- Each record has one link, and one more for each time that it changed its person afterwards. A record that was deleted and came
-- back has a link of its own again: the links of its former life stay, but none of them is current.
CREATE OR REPLACE VIEW mart.links
(
    record UUID COMMENT 'the department''s record: the same in every load',
    dataset LowCardinality(String) COMMENT 'dataset it belongs to; empty when the record is gone',
    department LowCardinality(String) COMMENT 'department whose dataset it is (数源部门)',
    role LowCardinality(String) COMMENT 'which party of the source row it is',
    person_id UUID COMMENT 'person it was linked to, as a pseudonym',
    rule LowCardinality(String) COMMENT 'why: exact_number (a valid number), matched (by weight of evidence), verdict (a person decided) or alone (nothing to go by)',
    kind LowCardinality(String) COMMENT 'link when the record came in; merge or split when it changed its person since',
    previous_id UUID COMMENT 'person it was linked to before, as a pseudonym; zero for a link',
    weight Nullable(Float64) COMMENT 'weight of the evidence that decided, in bits; NULL when no pair of records did, and for a link',
    record_a UUID COMMENT 'the one record of the pair that decided; zero when none did',
    record_b UUID COMMENT 'the other record of the pair that decided',
    model LowCardinality(String) COMMENT 'name, version and hash of the model that decided; empty for a link',
    effective_at Nullable(DateTime64(6, 'UTC')) COMMENT 'since when: when the change that brought it about reached the county; for a link, when the source says it was written',
    current UInt8 COMMENT '1 for the newest link of a record, 0 for those that it replaced and for a record that is gone'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS WITH
    toUUID('00000000-0000-0000-0000-000000000000') AS nobody,
    relinked AS
    (
        SELECT record_id, argMin(previous_id, version) AS first, argMax(party_id, version) AS last, max(l.version) AS newest
        FROM store.links AS l
        WHERE party = 'person'
        GROUP BY record_id
    )
SELECT
    r.record_id AS record, dataset, source_department AS department, role,
    if(current, r.person_id, n.first) AS person_id, link_rule AS rule, 'link' AS kind, nobody AS previous_id,
    NULL AS weight, nobody AS record_a, nobody AS record_b, '' AS model, source_time AS effective_at,
    n.newest = 0 OR n.newest < r.version AND n.last != r.person_id AS current
FROM restricted.person_records AS r FINAL
LEFT ANY JOIN relinked AS n ON r.record_id = n.record_id
UNION ALL
SELECT
    l.record_id AS record, r.dataset AS dataset, r.source_department AS department, r.role AS role,
    l.party_id AS person_id, l.rule AS rule, l.kind AS kind, l.previous_id AS previous_id,
    l.weight / 1000 AS weight, l.record_a AS record_a, l.record_b AS record_b, l.model AS model, l.effective_at AS effective_at,
    l.version = n.newest AND r.version > 0 AND (l.version > r.version OR l.party_id = r.person_id) AS current
FROM (SELECT * FROM store.links FINAL WHERE party = 'person') AS l
LEFT ANY JOIN relinked AS n ON l.record_id = n.record_id
LEFT ANY JOIN
(
    SELECT record_id, dataset, source_department, role, person_id, version
    FROM restricted.person_records FINAL
    WHERE record_id IN (SELECT record_id FROM relinked)
) AS r ON l.record_id = r.record_id
COMMENT 'which person each department''s record was linked to, since when and why, with every merge and split'
