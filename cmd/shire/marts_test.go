package main

import (
	"encoding/csv"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// martViews are the views of mart and their columns: the same for every data directory, so they are asked for once.
var martViews struct {
	mu      sync.Mutex
	names   []string
	columns map[string][]string
}

// knowMarts asks a data directory for the views of mart, unless they are known already.
func knowMarts(t *testing.T, data string) {
	t.Helper()
	martViews.mu.Lock()
	defer martViews.mu.Unlock()
	if len(martViews.names) > 0 {
		return
	}
	columns := map[string][]string{}
	for _, c := range query(t, data, "SELECT table, name FROM system.columns WHERE database = 'mart' ORDER BY table, position") {
		columns[c[0].(string)] = append(columns[c[0].(string)], c[1].(string))
	}
	if len(columns) == 0 {
		t.Fatal("there is no view in mart")
	}
	martViews.columns, martViews.names = columns, slices.Sorted(maps.Keys(columns))
}

// dump is the content of every view of mart: how many rows, and a hash of all their values that does not depend on the
// order of the rows. Under ops.loads it has how many rows were loaded, and under ops.quarantine what waits there.
func dump(t *testing.T, data string) map[string]string {
	t.Helper()
	knowMarts(t, data)
	parts := []string{
		"SELECT 'ops.loads', sum(rows), '', '' FROM ops.loads",
		"SELECT 'ops.quarantine', count(), toString(sum(cityHash64(dataset, unit, row, field, code, message, state))), '' FROM ops.quarantine",
	}
	for _, v := range martViews.names {
		all := "*"
		switch v { // moments of the node's own, not of the departments
		case "models":
			all = "* EXCEPT chosen_at"
		case "catalogue_versions":
			all = "* EXCEPT since"
		case "links", "organisation_links":
			all = "* REPLACE (if(kind = 'link', effective_at, NULL) AS effective_at)"
		}
		// The sum of a hash sees a row that is there twice, which an exclusive or would not. Of two hashes, because
		// one alone has been known to meet its like.
		parts = append(parts, fmt.Sprintf("SELECT 'mart.%[1]s', count(), toString(sum(cityHash64(toString(tuple(%[2]s))))), toString(sum(sipHash64(toString(tuple(%[2]s))))) FROM mart.%[1]s", v, all))
	}
	out := map[string]string{}
	for _, row := range query(t, data, strings.Join(parts, " UNION ALL ")) {
		out[row[0].(string)] = fmt.Sprintf("%v rows, hash %v %v", row[1], row[2], row[3])
	}
	return out
}

// sameMarts fails the test unless both data directories hold the same marts, and shows rows that only one has.
func sameMarts(t *testing.T, want map[string]string, wantData, gotData string) {
	t.Helper()
	got := dump(t, gotData)
	for _, view := range slices.Sorted(maps.Keys(want)) {
		if got[view] == want[view] {
			continue
		}
		t.Errorf("%s: undisturbed: %s; here: %s%s", view, want[view], got[view], difference(t, view, wantData, gotData))
	}
	if len(got) != len(want) {
		t.Errorf("%d views here, %d in the undisturbed one", len(got), len(want))
	}
}

// samePeople is sameMarts for nodes whose sources were read side by side, so that the departments' changes stand in another
// order on the bus: who is with whom is the same (I6), but ids, which are kept, are those of their own history, and so are
// the merges and splits on the way. A person or organisation is known by its records here.
func samePeople(t *testing.T, want map[string]string, gotData string) {
	t.Helper()
	got := peopleOf(t, gotData)
	if len(want) != len(got) {
		t.Errorf("%d views here, %d in the undisturbed one", len(got), len(want))
	}
	for _, view := range slices.Sorted(maps.Keys(want)) {
		if got[view] != want[view] {
			t.Errorf("%s: undisturbed: %s; here: %s", view, want[view], got[view])
		}
	}
	if want["mart.links"] == "" || want["mart.persons"] == "" {
		t.Errorf("there are no people in %v", want)
	}
}

// peopleOf is dump with parties named by the smallest of their records, and without how they came to be.
func peopleOf(t *testing.T, data string) map[string]string {
	t.Helper()
	knowMarts(t, data)
	const named = `WITH (SELECT CAST((groupArray(toString(id)), groupArray(toString(first))), 'Map(String, String)') FROM
		(
			SELECT person_id AS id, min(record) AS first FROM mart.links WHERE current GROUP BY id
			UNION ALL
			SELECT organisation_id AS id, min(record) AS first FROM mart.organisation_links WHERE current GROUP BY id
		)) AS named `
	parts := []string{"SELECT 'ops.loads' AS name, sum(rows) AS n, '' AS hash FROM ops.loads WHERE table_name != 'store.links'",
		"SELECT 'ops.quarantine', count(), toString(sum(cityHash64(dataset, unit, row, field, code, message, state))) FROM ops.quarantine"}
	for _, v := range martViews.names {
		from := "mart." + v
		var columns []string
		for _, name := range martViews.columns[v] {
			switch {
			case v == "models" && name == "chosen_at", v == "catalogue_versions" && name == "since":
				continue
			case name == "person_id" || name == "organisation_id":
				name = "named[toString(" + name + ")]"
			}
			columns = append(columns, name)
		}
		switch v {
		case "links":
			from, columns = from+" WHERE current", []string{"record", "named[toString(person_id)]"}
		case "organisation_links":
			from, columns = from+" WHERE current", []string{"record", "named[toString(organisation_id)]"}
		}
		parts = append(parts, fmt.Sprintf("SELECT 'mart.%s', count(), toString(sum(sipHash64(toString(tuple(%s))))) FROM %s", v, strings.Join(columns, ", "), from))
	}
	out := map[string]string{}
	for _, row := range query(t, data, named+strings.Join(parts, " UNION ALL ")) {
		out[row[0].(string)] = fmt.Sprintf("%v rows, hash %v", row[1], row[2])
	}
	return out
}

func difference(t *testing.T, view, wantData, gotData string) string {
	t.Helper()
	if !strings.HasPrefix(view, "mart.") {
		return "" // its lines name ranges and instants, which differ anyway
	}
	count := func(data string) map[string]int {
		lines, err := csv.NewReader(strings.NewReader(shire(t, "sql", "--csv", "--data", data, "SELECT * FROM "+view).ok(t).Stdout)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		n := map[string]int{}
		for _, l := range lines {
			n[strings.Join(l, " | ")]++
		}
		return n
	}
	want, got := count(wantData), count(gotData)
	var out strings.Builder
	shown := 0
	for _, line := range slices.Sorted(maps.Keys(merged(want, got))) {
		if want[line] != got[line] {
			if shown++; shown <= 6 {
				fmt.Fprintf(&out, "\n  %d times undisturbed, %d times here: %s", want[line], got[line], line)
			}
		}
	}
	fmt.Fprintf(&out, "\n  %d rows differ", shown)
	return out.String()
}

func merged(a, b map[string]int) map[string]int {
	m := maps.Clone(a)
	maps.Copy(m, b)
	return m
}
