-- A paper is asked for again when somebody hands in what they had handed in before, unchanged, and that was still valid on that day
-- in the county. How long it is valid when it does not say so, and what is a change, stands in store.material_rules. Where shared data
-- stood for that paper instead, a repeat was avoided. Who they are: the submission's own person and organisation, else those of its case.
CREATE OR REPLACE VIEW mart.submissions
(
    record UUID COMMENT 'the record: the same in every load',
    dataset LowCardinality(String) COMMENT 'dataset it belongs to',
    source LowCardinality(String) COMMENT 'source that delivered it',
    source_department LowCardinality(String) COMMENT 'department whose dataset it is (数源部门)',
    source_time Nullable(DateTime64(6, 'UTC')) COMMENT 'when the source says it was written',
    case_number String COMMENT 'case number (办件编号)',
    person_id UUID COMMENT 'person it belongs to, as a pseudonym: its own, else that of its case; zero when none',
    organisation_id UUID COMMENT 'organisation it belongs to, as a pseudonym: its own, else that of its case; zero when none',
    department LowCardinality(String) COMMENT 'department that asked for it',
    item_code LowCardinality(String) COMMENT 'service item of its case (实施编码); empty when the case is not known',
    material_code LowCardinality(String) COMMENT 'kind of material, county-wide (材料编码)',
    material_name LowCardinality(String) COMMENT 'name of the material (材料名称)',
    issuer LowCardinality(String) COMMENT 'department that issues this material (出具部门)',
    document String COMMENT 'pseudonym of the document''s number and edition: the same while it is unchanged; empty when not known',
    submitted_at Nullable(DateTime64(6, 'UTC')) COMMENT 'handed in (提交时间)',
    valid_from Nullable(Date32) COMMENT 'document valid from (有效期起)',
    valid_until Nullable(Date32) COMMENT 'document valid until, inclusive (有效期止); NULL when it does not expire',
    method LowCardinality(String) COMMENT 'paper, upload, or shared when met from shared data (提交方式)',
    repeat LowCardinality(String) COMMENT 'same_department or across_departments when the same paper, still valid and unchanged by the rules of its material, had been handed in before: to this department, else to another; empty when not (重复提交)',
    spared LowCardinality(String) COMMENT 'of a paper met from shared data: same_department or across_departments when the same paper, still valid and unchanged, had been handed in before, so that a repeat was avoided; empty when not (避免重复提交)'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS WITH
    toUUID('00000000-0000-0000-0000-000000000000') AS nobody,
    toDate32('2299-12-31') AS forever,
    day -> toUInt64(toInt32(day) - toInt32(toDate32('1900-01-01'))) AS numbered,
    applicants AS
    (
        SELECT case_number, max(item_code) AS item,
            max(if(p.version > c.version, p.party_id, c.person_id)) AS person,
            max(if(o.version > c.version, o.party_id, c.organisation_id)) AS organisation
        FROM store.cases AS c FINAL
        LEFT ANY JOIN store.current_links AS p ON c.person_record = p.record
        LEFT ANY JOIN store.current_links AS o ON c.organisation_record = o.record
        GROUP BY case_number
    ),
    -- Most documents come once. Those that came in two records, in whatever version, are found by a small hash without FINAL: all
    -- that could be repeats, and a few more, which the rest of this view judges by what stands now. Where the rules do not ask for
    -- the document, all papers of the material could be.
    suspects AS
    (
        SELECT record_id
        FROM store.submissions
        WHERE cityHash64(document) IN
        (
            SELECT cityHash64(document) AS hash
            FROM store.submissions
            WHERE document != ''
            GROUP BY hash
            HAVING min(cityHash64(record_id)) != max(cityHash64(record_id))
        )
        OR material_code IN (SELECT material_code FROM store.material_rules FINAL WHERE NOT has(compared, 'document'))
    ),
    -- By person and by organisation: a paper of a firm comes back whoever carries it. What is not known is like nothing else.
    carried AS
    (
        SELECT
            h.record_id AS record, h.department AS department, h.method = 'shared' AS shared,
            if(m.material_code = '', ['document'], m.compared) AS compared,
            sipHash128(h.material_code, if(has(compared, 'document'), h.document, ''), if(has(compared, 'issuer'), h.issuer, ''),
                if(has(compared, 'valid_from'), ifNull(toString(h.valid_from), ''), ''), if(has(compared, 'valid_until'), ifNull(toString(h.valid_until), ''), '')) AS paper,
            assumeNotNull(h.submitted_at) AS at, toDate32(at, {zone}) AS on_day, numbered(on_day) AS day,
            numbered(coalesce(h.valid_until, m.valid_days > 0 ? addDays(ifNull(h.valid_from, on_day), m.valid_days - 1) : NULL, forever)) AS until,
            m.newer_issue ? numbered(assumeNotNull(h.valid_from)) : 0 AS issue,
            -- the issue and its end in one number, which windows are quick to compare; what was met from shared data was not handed in
            shared ? 0 : 1000000 * issue + until AS issue_until,
            arrayJoin(arrayFilter(id -> id != nobody, [
                multiIf(h.person_id = nobody, a.person, p.version > h.version, p.party_id, h.person_id),
                multiIf(h.organisation_id = nobody, a.organisation, o.version > h.version, o.party_id, h.organisation_id)])) AS party
        FROM (SELECT * FROM store.submissions FINAL PREWHERE record_id IN (suspects)) AS h
        LEFT JOIN applicants AS a ON h.case_number = a.case_number
        LEFT ANY JOIN store.current_links AS p ON h.person_record = p.record
        LEFT ANY JOIN store.current_links AS o ON h.organisation_record = o.record
        LEFT ANY JOIN (SELECT material_code, valid_days, compared, newer_issue FROM store.material_rules FINAL) AS m ON h.material_code = m.material_code
        WHERE h.submitted_at IS NOT NULL
            AND (h.document != '' OR NOT has(compared, 'document')) AND (h.issuer != '' OR NOT has(compared, 'issuer'))
            AND (h.valid_from IS NOT NULL OR NOT has(compared, 'valid_from') AND NOT m.newer_issue)
    ),
    repeats AS
    (
        -- Held against the newest issue that had been given before, to this department or else to any: no newer than that, and that one
        -- still valid. What a department has not run out of is a repeat there, whatever newer issue another one was given.
        SELECT record, any(shared) AS shared, if(max(is_here), 'same_department', 'across_departments') AS scope
        FROM
        (
            SELECT record, shared,
                max(issue_until) OVER (PARTITION BY party, paper ORDER BY at, record ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS anywhere,
                max(issue_until) OVER (PARTITION BY party, paper, department ORDER BY at, record ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS here,
                intDiv(anywhere, 1000000) >= issue AND anywhere % 1000000 >= day AS is_anywhere,
                intDiv(here, 1000000) >= issue AND here % 1000000 >= day AS is_here
            FROM carried
        )
        WHERE is_here OR is_anywhere
        GROUP BY record
    )
SELECT
    s.record_id AS record, dataset, source, source_department, source_time, s.case_number AS case_number,
    multiIf(s.person_id = nobody, a.person, p.version > s.version, p.party_id, s.person_id) AS person_id,
    multiIf(s.organisation_id = nobody, a.organisation, o.version > s.version, o.party_id, s.organisation_id) AS organisation_id,
    s.department AS department, a.item AS item_code, material_code, material_name, issuer, document,
    submitted_at, valid_from, valid_until, method,
    if(r.shared, '', r.scope) AS repeat, if(r.shared, r.scope, '') AS spared
FROM store.submissions AS s FINAL
LEFT ANY JOIN store.current_links AS p ON s.person_record = p.record
LEFT ANY JOIN store.current_links AS o ON s.organisation_record = o.record
LEFT JOIN applicants AS a ON s.case_number = a.case_number
LEFT JOIN repeats AS r ON s.record_id = r.record
COMMENT 'papers that were asked for, as they stand now, and which of them the county had been given before (材料)'
