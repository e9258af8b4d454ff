CREATE OR REPLACE VIEW mart.organisations
(
    organisation_id UUID COMMENT 'the organisation, as a pseudonym',
    type LowCardinality(String) COMMENT 'kind of organisation, as most records say (单位类型)',
    division LowCardinality(String) COMMENT 'township or county of the address, as most records say, GB/T 2260 (行政区划)',
    records UInt64 COMMENT 'records about this organisation',
    departments Array(LowCardinality(String)) COMMENT 'departments that know this organisation, in order'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS WITH
    counts -> counts.1[indexOf(counts.2, arrayMax(counts.2))] AS most
SELECT
    if(o.version > r.version, o.party_id, r.organisation_id) AS organisation_id,
    toLowCardinality(most(sumMapIf([toString(r.type)], [1], r.type != ''))) AS type,
    toLowCardinality(most(sumMapIf([left(r.division, 9)], [1], r.division != ''))) AS division,
    count() AS records,
    arraySort(groupUniqArray(source_department)) AS departments
FROM restricted.organisation_records AS r FINAL
LEFT ANY JOIN store.current_links AS o ON r.record_id = o.record
WHERE r.organisation_id != toUUID('00000000-0000-0000-0000-000000000000')
GROUP BY organisation_id
COMMENT 'organisations as the departments'' records describe them, without name, code, telephone or address (I7)'
