package clickhouse_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/contract"
)

// 2026-02-13 is a Friday; the 14th and the 28th are make-up Saturdays, the 15th to the 23rd the Spring Festival.
func TestCasesCountLegalTime(t *testing.T) {
	c := ready(t)
	at := func(number string, more row) row {
		r := row{"record": number, "case_number": number, "applied_at": local("2026-02-12 09:00"),
			"accepted_at": local("2026-02-13 10:00"), "closed_at": local("2026-02-25 10:00"), "delivered_at": local("2026-02-26 09:00")}
		for k, v := range more {
			r[k] = v
		}
		return r
	}
	insert(t, c, "store.cases",
		at("plain", nil),
		at("stopped", nil),
		at("overlap", nil),
		at("nested", nil),
		at("outside", nil),
		at("unended", nil),
		at("midnight", row{"accepted_at": local("2026-02-14 00:30")}), // still the 13th in UTC
		at("open", row{"closed_at": nil, "delivered_at": nil}),
		at("not accepted", row{"accepted_at": nil, "closed_at": nil, "delivered_at": nil}),
		at("no calendar", row{"accepted_at": local("2023-12-29 10:00"), "closed_at": local("2024-01-04 10:00")}),
		at("first day", row{"accepted_at": local("2023-12-31 10:00"), "closed_at": local("2024-01-02 10:00")}),
	)
	stop := func(number, kind, from string, until any) row {
		r := row{"record": number + kind + from, "case_number": number, "kind": kind, "activity": "stop", "started_at": local(from)}
		if until != nil {
			r["ended_at"] = local(until.(string))
		}
		return r
	}
	insert(t, c, "store.case_steps",
		stop("stopped", "supplement", "2026-02-14 09:00", "2026-02-24 09:00"), // takes the 24th
		stop("overlap", "supplement", "2026-02-14 09:00", "2026-02-24 09:00"),
		stop("overlap", "special", "2026-02-13 11:00", "2026-02-24 17:00"), // takes the 14th and the 24th, once
		stop("nested", "special", "2026-02-13 11:00", "2026-02-24 17:00"),  // takes the 14th and the 24th,
		stop("nested", "supplement", "2026-02-14 09:00", "2026-02-16 09:00"),
		stop("nested", "special", "2026-02-20 09:00", "2026-02-25 09:00"),  // and this one the 25th
		stop("outside", "special", "2026-02-01 09:00", "2026-02-13 12:00"), // before acceptance
		stop("unended", "special", "2026-02-24 09:00", nil),                // takes the 25th
		stop("plain", "", "2026-02-14 09:00", "2026-02-24 09:00"),          // an ordinary step stops nothing
		stop("open", "", "2026-03-02 09:00", "2026-03-02 18:00"),           // the latest time of all: mart.as_of
	)
	same(t, read(t, c, "toTimeZone(at, 'Asia/Shanghai')", "FROM mart.as_of"), "2026-03-02 18:00:00.000000")
	same(t, read(t, c, "case_number; legal_days; calendar_missing; open", "FROM mart.cases ORDER BY case_number"),
		"first day 1 0 0", // 2024-01-02; the first day's eve needs no calendar
		"midnight 2 0 0",
		"nested 0 0 0",
		"no calendar ~ 1 0",
		"not accepted ~ 0 1",
		"open 7 0 1", // 14, 24, 25, 26, 27, 28 and 2026-03-02
		"outside 3 0 0",
		"overlap 1 0 0",
		"plain 3 0 0",
		"stopped 2 0 0",
		"unended 2 0 0",
	)
	same(t, read(t, c, "case_number; citizen_seconds", "FROM mart.cases WHERE case_number IN ('plain', 'open') ORDER BY case_number"),
		"open 1587600", // to mart.as_of: 18 days and 9 hours
		"plain 1209600")
}

func TestCasesKnowWhatIsOnTime(t *testing.T) {
	c := ready(t)
	base := func(number string, more row) row {
		r := row{"record": number, "case_number": number, "applied_at": local("2025-03-03 09:00"), "accepted_at": local("2025-03-03 10:00")}
		for k, v := range more {
			r[k] = v
		}
		return r
	}
	insert(t, c, "store.cases",
		base("a closed in time", row{"promised_at": local("2025-03-10 18:00"), "closed_at": local("2025-03-10 18:00")}),
		base("b closed late", row{"promised_at": local("2025-03-10 18:00"), "closed_at": local("2025-03-10 18:01")}),
		base("c open and due", row{"promised_at": local("2025-03-10 18:00")}),
		base("d open, not due", row{"promised_at": local("2025-04-10 18:00")}),
		base("e no promise", row{"closed_at": local("2025-03-10 18:00")}),
		base("f days kept", row{"promised_days": int64(2), "closed_at": local("2025-03-05 18:00")}),
		base("g days broken", row{"promised_days": int64(2), "closed_at": local("2025-03-06 18:00")}),
		base("h days, open and due", row{"promised_days": int64(2)}),
		base("i days, open, not due", row{"promised_days": int64(60)}),
	)
	same(t, read(t, c, "case_number; on_time; overdue", "FROM mart.cases ORDER BY case_number"),
		"a closed in time 1 0", "b closed late 0 1", "c open and due 0 1", "d open, not due ~ 0", "e no promise ~ 0",
		"f days kept 1 0", "g days broken 0 1", "h days, open and due 0 1", "i days, open, not due ~ 0")
}

func TestMartGivesCurrentRowsOnly(t *testing.T) {
	c := ready(t)
	insert(t, c, "store.cases",
		row{"record": "1", "case_number": "1", "version": uint64(3), "department": "new"},
		row{"record": "1", "case_number": "1", "version": uint64(2), "department": "old"}, // arrived late
		row{"record": "1", "case_number": "1", "version": uint64(3), "department": "new"}, // arrived twice
		row{"record": "2", "case_number": "2", "version": uint64(1)},
		row{"record": "2", "case_number": "2", "version": uint64(2), "deleted": uint8(1)},
		row{"record": "3", "case_number": "3", "version": uint64(5)}, // came back after it was deleted
		row{"record": "3", "case_number": "3", "version": uint64(4), "deleted": uint8(1)},
	)
	same(t, read(t, c, "case_number; department", "FROM mart.cases ORDER BY case_number"), "1 new", "3 ")
}

func TestSubmissionsKnowTheirRepeats(t *testing.T) {
	c := ready(t)
	anna, bert, firm := id("anna"), id("bert"), id("firm")
	insert(t, c, "store.cases", row{"record": "case", "case_number": "C1", "person_id": anna, "item_code": "birth"},
		row{"record": "case2", "case_number": "C2", "organisation_id": firm})
	n := 0
	submit := func(name string, more row) {
		n++
		r := row{"record": name, "case_number": "unknown", "person_id": anna, "department": "A", "material_code": "M", "document": "X",
			"material_name": name, "submitted_at": local("2025-05-01 09:00"), "method": "paper"}
		for k, v := range more {
			r[k] = v
		}
		insert(t, c, "store.submissions", r)
	}
	submit("01 first", nil)
	submit("02 again, same place", row{"submitted_at": local("2025-05-02 09:00")})
	submit("03 again, elsewhere", row{"submitted_at": local("2025-05-03 09:00"), "department": "B"})
	submit("04 other material", row{"submitted_at": local("2025-05-04 09:00"), "material_code": "N"})
	submit("05 other edition", row{"submitted_at": local("2025-05-04 09:00"), "document": "Y"})
	submit("06 other person", row{"submitted_at": local("2025-05-04 09:00"), "person_id": bert})
	submit("07 shared", row{"submitted_at": local("2025-05-05 09:00"), "method": "shared"})
	submit("08 by the case's person", row{"submitted_at": local("2025-05-06 09:00"), "person_id": id("nobody"), "case_number": "C1", "department": "C"})
	submit("09 nobody knows whose", row{"submitted_at": local("2025-05-06 09:00"), "person_id": nil, "case_number": "unknown"})
	submit("10 document unknown", row{"document": ""})
	submit("11 document unknown", row{"document": "", "submitted_at": local("2025-05-09 09:00")})
	// Bert's paper Z is valid until the 10th, inclusive, in the county's time zone.
	z := func(name, at string) {
		submit(name, row{"person_id": bert, "document": "Z", "submitted_at": local(at), "valid_until": date("2025-05-10")})
	}
	z("12 valid until the 10th", "2025-05-01 09:00")
	z("13 on the 10th at 23:59", "2025-05-10 23:59")
	z("14 on the 11th at 00:01", "2025-05-11 00:01")
	// At the same moment the record decides which was first: the two cannot both be repeats.
	submit("15 twin", row{"document": "T"})
	submit("16 twin", row{"document": "T"})
	// An organisation's paper comes back whoever carries it.
	submit("17 firm by anna", row{"document": "F", "case_number": "C2"})
	submit("18 firm by bert", row{"document": "F", "case_number": "C2", "person_id": bert, "submitted_at": local("2025-05-08 09:00")})
	// An earlier one elsewhere is valid, the earlier one here is not any more.
	submit("19 here, short", row{"document": "V", "valid_until": date("2025-05-02")})
	submit("20 elsewhere, long", row{"document": "V", "department": "B", "submitted_at": local("2025-05-02 09:00")})
	submit("21 here again", row{"document": "V", "submitted_at": local("2025-05-20 09:00")})

	got := map[string]string{}
	for _, line := range read(t, c, "material_name; '='; repeat", "FROM mart.submissions") {
		name, repeat, _ := strings.Cut(line, " = ")
		got[name] = repeat
	}
	want := map[string]string{
		"02 again, same place":    "same_department",
		"03 again, elsewhere":     "across_departments",
		"13 on the 10th at 23:59": "same_department",
		"18 firm by bert":         "same_department",
		"20 elsewhere, long":      "across_departments",
		"21 here again":           "across_departments",
		"08 by the case's person": "",
		"09 nobody knows whose":   "",
		"14 on the 11th at 00:01": "",
		"04 other material":       "",
		"11 document unknown":     "",
		"07 shared":               "",
		"17 firm by anna":         "",
	}
	if (got["15 twin"] == "") == (got["16 twin"] == "") {
		t.Errorf("twins: got %q and %q, want one repeat", got["15 twin"], got["16 twin"])
	}
	for name, repeat := range want {
		if got[name] != repeat {
			t.Errorf("%s: got %q, want %q", name, got[name], repeat)
		}
	}
	if len(got) != n {
		t.Errorf("%d submissions, want %d", len(got), n)
	}
	// The case of C1 gives its person where the submission names none, and its item.
	insert(t, c, "store.submissions", row{"record": "22", "case_number": "C1", "department": "D", "material_code": "M", "document": "X",
		"material_name": "22 whose case is anna's", "submitted_at": local("2025-05-09 09:00"), "method": "paper"})
	same(t, read(t, c, "person_id = toUUID('"+anna.String()+"'); item_code; repeat", "FROM mart.submissions WHERE material_name LIKE '22%'"),
		"1 birth across_departments")
}

func TestPersonsArePseudonymous(t *testing.T) {
	c := ready(t)
	anna := id("anna")
	person := func(record, department string, more row) row {
		r := row{"record": record, "source_department": department, "person_id": anna, "name": "secret name", "phone": "13800000000", "address": "secret street"}
		for k, v := range more {
			r[k] = v
		}
		return r
	}
	insert(t, c, "restricted.person_records",
		person("1", "police", row{"sex": "female", "birth_date": date("1980-05-06"), "division": "330127001001"}),
		person("2", "health", row{"sex": "male", "birth_date": date("1981-05-06"), "division": "330127001001"}),
		person("3", "school", row{"sex": "unknown", "id_number": "110101198005060026", "division": "330127002001"}),
		person("4", "school", row{"person_id": id("bert")}),
	)
	same(t, read(t, c, "sex; birth_year; division; records; departments", "FROM mart.persons ORDER BY records"),
		" ~  1 ['school']", // nothing is known of bert but that he is
		"female 1980 330127001 3 ['health','police','school']")
	same(t, read(t, c, "department; rule; person_id = toUUID('"+anna.String()+"')", "FROM mart.links ORDER BY 1"),
		"health  1", "police  1", "school  0", "school  1")
	// I7: no column of a view may carry what is restricted.
	same(t, read(t, c, "database; table; name", `FROM system.columns WHERE database IN ('mart', 'known', 'metrics', 'ops', 'audit')
		AND name IN ('name', 'id_number', 'phone', 'address', 'birth_date', 'household', 'organisation_code')`))
}

func TestEveryColumnAndTableIsDocumented(t *testing.T) {
	c := ready(t)
	same(t, read(t, c, "database; table; name", "FROM system.columns WHERE database IN ('store', 'restricted', 'mart', 'known', 'metrics', 'ops', 'audit') AND comment = '' AND table != 'schema_migrations' AND NOT (database = 'store' AND match(table, '_(kept|known)$'))"))
	same(t, read(t, c, "database; name", "FROM system.tables WHERE database IN ('store', 'restricted', 'mart', 'known', 'metrics', 'ops', 'audit') AND comment = '' AND name != 'schema_migrations'"))
	same(t, read(t, c, "database; count()", "FROM system.tables WHERE engine = 'View' GROUP BY database ORDER BY database"),
		"known 22", "mart 32", "metrics 30", "ops 7", "store 12")
}

func TestViewsAreAppliedAgainAndOldMetricsGo(t *testing.T) {
	c := ready(t)
	exec(t, c, "CREATE VIEW metrics.former AS SELECT 1 AS x")
	ready(t)
	same(t, read(t, c, "name", "FROM system.tables WHERE database = 'metrics' AND name = 'former'"))
	if err := clickhouse.ApplyViews(t.Context(), c, "China/Nowhere", clickhouse.Loader, nil); err == nil {
		t.Error("a time zone that does not exist was taken")
	}
}

func TestReferenceFollowsTheFiles(t *testing.T) {
	c := ready(t)
	cal, err := calendar.Load(calendar.National())
	if err != nil {
		t.Fatal(err)
	}
	load := func(departments map[string]contract.Text) {
		t.Helper()
		if err := clickhouse.LoadReference(t.Context(), c, cal, departments, slices.Values(catalogueItems)); err != nil {
			t.Fatal(err)
		}
	}
	load(map[string]contract.Text{"a": {Zh: "甲", En: "A"}, "b": {Zh: "乙", En: "B"}})
	load(map[string]contract.Text{"b": {Zh: "乙局", En: "B"}, "c": {Zh: "丙", En: "C"}})
	same(t, read(t, c, "code; name_zh; name_en", "FROM mart.departments ORDER BY code"), "b 乙局 B", "c 丙 C")
	same(t, read(t, c, "dataset; department; title_en; sharing; ground; contract_version", "FROM mart.catalogue ORDER BY 1"),
		"closed health Files none Law 1 2", "free police Residents unconditional  1", "granted civil Marriages conditional  1")
	before := read(t, c, "count(); max(version)", "FROM store.departments")
	load(map[string]contract.Text{"b": {Zh: "乙局", En: "B"}, "c": {Zh: "丙", En: "C"}})
	same(t, read(t, c, "count(); max(version)", "FROM store.departments"), before...)
	same(t, read(t, c, "toYear(date); sum(working)", "FROM mart.calendar WHERE toYear(date) = 2025 GROUP BY ALL"), "2025 248")
	same(t, read(t, c, "date; working; holiday_en != ''", "FROM mart.calendar WHERE date IN ('2026-02-14', '2026-02-16') ORDER BY date"),
		"2026-02-14 1 1", "2026-02-16 0 1")
	// I4: rows that a server lost, dying after it had noted that it knows them, come back.
	exec(t, c, "ALTER TABLE store.departments DELETE WHERE 1 SETTINGS mutations_sync = 2")
	load(map[string]contract.Text{"housing": {Zh: "住建局", En: "Housing"}})
	exec(t, c, "ALTER TABLE store.departments DELETE WHERE 1 SETTINGS mutations_sync = 2")
	load(map[string]contract.Text{"housing": {Zh: "住建局", En: "Housing"}})
	same(t, read(t, c, "code; name_zh; name_en", "FROM mart.departments ORDER BY code"), "housing 住建局 Housing")
}

func TestOpsShowTheFlow(t *testing.T) {
	c := ready(t)
	exec(t, c, "TRUNCATE TABLE store.quarantine_log")
	exec(t, c, "TRUNCATE TABLE store.load_log")
	held := "INSERT INTO store.quarantine_log (dataset, source_department, version, sequence, code, state, event, quarantined_at) VALUES "
	exec(t, c, held+"('d', 'hall', 65536, 1, 'required', 'waiting', 1, now64()), ('d', 'hall', 65537, 1, 'date', 'waiting', 1, now64())")
	exec(t, c, held+"('d', 'hall', 65536, 1, 'required', 'released', 9, now64())")
	exec(t, c, held+"('d', 'hall', 65536, 1, 'required', 'waiting', 1, now64())") // a replay of what came first
	same(t, read(t, c, "version; state", "FROM ops.quarantine ORDER BY version"), "65536 released", "65537 waiting")
	load := "INSERT INTO store.load_log (table_name, first_sequence, last_sequence, rows, dataset_rows, dataset_sequences, finished_at) VALUES "
	exec(t, c, load+"('store.cases', 1, 9, 5, {'a': 3, 'b': 2}, {'a': 9, 'b': 8}, '2026-01-01 00:00:00')")
	exec(t, c, load+"('store.cases', 10, 12, 1, {'a': 1}, {'a': 11}, '2026-01-02 00:00:00')")
	exec(t, c, load+"('store.cases', 10, 12, 1, {'a': 1}, {'a': 11}, '2026-01-03 00:00:00')") // the same range again
	same(t, read(t, c, "dataset; last_sequence; last_loaded_at; rows", "FROM ops.lag ORDER BY dataset"),
		"a 11 2026-01-03 00:00:00.000000 4", "b 8 2026-01-01 00:00:00.000000 2")
	same(t, read(t, as(t, clickhouse.Analyst), "sum(rows)", "FROM ops.loads"), "6")
}
