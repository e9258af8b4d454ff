-- I7: nothing leaves this view that points to one person: of the date of birth the year, of the address the township.
CREATE OR REPLACE VIEW mart.persons
(
    person_id UUID COMMENT 'the person, as a pseudonym',
    sex LowCardinality(String) COMMENT 'male or female, as most records say; empty when none does (性别)',
    birth_year Nullable(Int32) COMMENT 'year of birth, as most records say (出生年份)',
    division LowCardinality(String) COMMENT 'township or county of the address, as most records say, GB/T 2260 (行政区划)',
    records UInt64 COMMENT 'records about this person',
    departments Array(LowCardinality(String)) COMMENT 'departments that know this person, in order'
)
DEFINER = `{definer}` SQL SECURITY DEFINER
AS WITH
    -- What most records say; of two that are said equally often, the smaller.
    counts -> counts.1[indexOf(counts.2, arrayMax(counts.2))] AS most
SELECT
    person_id,
    toLowCardinality(most(sumMapIf([sex_said], [1], sex_said != ''))) AS sex,
    toInt32(nullIf(most(sumMapIf([year_said], [1], year_said != 0)), 0)) AS birth_year,
    toLowCardinality(most(sumMapIf([left(division, 9)], [1], division != ''))) AS division,
    count() AS records,
    arraySort(groupUniqArray(source_department)) AS departments
FROM
(
    SELECT if(p.version > r.version, p.party_id, r.person_id) AS person_id, source_department, toString(r.division) AS division,
        multiIf(sex IN ('male', 'female'), toString(sex), number_sex != '', toString(number_sex), length(id_number) != 18, '',
            toUInt8OrZero(substring(id_number, 17, 1)) % 2 = 1, 'male', 'female') AS sex_said,
        ifNull(toInt32(toYear(birth_date)), multiIf(number_year > 0, toInt32(number_year), length(id_number) = 18, toInt32OrZero(substring(id_number, 7, 4)), 0)) AS year_said
    FROM restricted.person_records AS r FINAL
    LEFT ANY JOIN store.current_links AS p ON r.record_id = p.record
    WHERE r.person_id != toUUID('00000000-0000-0000-0000-000000000000')
)
GROUP BY person_id
COMMENT 'people as the departments'' records describe them, without name, number, telephone, address or date of birth (I7)'
