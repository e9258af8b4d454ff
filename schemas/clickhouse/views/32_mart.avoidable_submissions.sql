-- What a paper says need not be asked for when a department holds it for the same person or organisation, valid on that day,
-- and shares it. A holding without a first day is valid from the day on which it was issued; without that, from ever on.
CREATE OR REPLACE VIEW mart.avoidable_submissions
(
    record UUID COMMENT 'the record of the submission: the same in every load',
    case_number String COMMENT 'case number (办件编号)',
    department LowCardinality(String) COMMENT 'department that asked for it',
    item_code LowCardinality(String) COMMENT 'service item of its case (实施编码); empty when the case is not known',
    material_code LowCardinality(String) COMMENT 'kind of material, county-wide (材料编码)',
    issuer LowCardinality(String) COMMENT 'department that issues this material (出具部门)',
    submitted_at Nullable(DateTime64(6, 'UTC')) COMMENT 'handed in (提交时间)',
    method LowCardinality(String) COMMENT 'paper, upload, or shared when met from shared data (提交方式)',
    repeat LowCardinality(String) COMMENT 'same_department or across_departments when it had been handed in before (重复提交)',
    avoidable LowCardinality(String) COMMENT 'unconditional when a department held it and shares it without conditions, conditional when it would take a grant, empty when nobody held it or it was met from shared data',
    held_in LowCardinality(String) COMMENT 'item of the catalogue (mart.catalogue.dataset) that made it unnecessary to ask; empty when not avoidable'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS WITH
    toUUID('00000000-0000-0000-0000-000000000000') AS nobody,
    toDate32('1900-01-01') AS ever,
    toDate32('2299-12-31') AS forever,
    asked AS
    (
        SELECT record, material_code, toDate32(assumeNotNull(submitted_at), {zone}) AS day,
            arrayJoin(arrayFilter(id -> id != nobody, [person_id, organisation_id])) AS party
        FROM mart.submissions
        WHERE method != 'shared' AND submitted_at IS NOT NULL
    ),
    held AS
    (
        SELECT material_code, arrayJoin(arrayFilter(id -> id != nobody, [h.person_id, h.organisation_id])) AS party, h.dataset AS dataset, c.sharing AS sharing,
            coalesce(h.valid_from, toDate32(h.issued_at, {zone}), ever) AS since, ifNull(h.valid_until, forever) AS until
        FROM mart.holdings AS h
        INNER JOIN mart.catalogue AS c ON h.dataset = c.dataset
        WHERE h.status IN ('', 'valid') AND c.sharing IN ('unconditional', 'conditional')
    ),
    needless AS
    (
        -- unconditional comes after conditional in the alphabet: max takes what can be shared most freely, then the first by name
        SELECT record, max(sharing) AS how, minIf(dataset, sharing = 'unconditional') AS free, min(dataset) AS any_item
        FROM asked
        INNER JOIN held ON asked.party = held.party AND asked.material_code = held.material_code
        WHERE day BETWEEN since AND until
        GROUP BY record
    )
SELECT s.record AS record, case_number, department, item_code, material_code, issuer, submitted_at, method, repeat,
    n.how AS avoidable, if(n.how = 'unconditional', n.free, n.any_item) AS held_in
FROM mart.submissions AS s
LEFT JOIN needless AS n ON s.record = n.record
COMMENT 'papers that were asked for, and whether the county already held what they say: which item of the catalogue made the ask unnecessary'
