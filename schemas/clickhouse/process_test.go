package clickhouse_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/metrics"
)

// A case by hand: a 09:00-10:00, b 09:30-11:00 beside it, wait until 12:00, a again without an end, c 13:00-13:30.
func TestProcessOfOneCase(t *testing.T) {
	c := ready(t)
	step := func(number, step, activity, from, until string) {
		r := row{"record": number + step, "case_number": number, "step": step, "activity": activity, "started_at": local("2025-03-03 " + from)}
		if until != "" {
			r["ended_at"] = local("2025-03-03 " + until)
		}
		insert(t, c, "store.case_steps", r)
	}
	step("1", "1", "a", "09:00", "10:00")
	step("1", "2", "b", "09:30", "11:00")
	step("1", "3", "a", "12:00", "12:00") // an end that was filled with the start: unknown
	step("1", "4", "c", "13:00", "13:30")
	step("2", "10", "c", "09:00", "") // at the same moment the number decides, 9 before 10
	step("2", "9", "a", "09:00", "")
	insert(t, c, "store.case_steps", row{"record": "s", "case_number": "1", "kind": "supplement", "activity": "s", "started_at": local("2025-03-03 09:10")})
	insert(t, c, "store.cases", row{"record": "1", "case_number": "1", "item_code": "birth", "department": "hall", "applied_at": local("2025-02-28 09:00")})
	analyst := as(t, clickhouse.Analyst)
	same(t, read(t, analyst, "case_number; item_code; department; trace; steps; extra_steps; seconds; working_seconds; waiting_seconds; untold_seconds", "FROM mart.case_traces ORDER BY case_number"),
		// 09:00 to 13:30; work 09:00-11:00 and 13:00-13:30; nobody worked 11:00-12:00; 12:00-13:00 cannot be told.
		"1 birth hall ['a','b','a','c'] 4 1 16200 9000 3600 3600",
		"2   ['a','c'] 2 0 0 0 0 0")
	same(t, read(t, analyst, "toTimeZone(began_at, 'Asia/Shanghai')", "FROM mart.case_traces ORDER BY case_number"),
		"2025-02-28 09:00:00.000000", "2025-03-03 09:00:00.000000")
	same(t, read(t, analyst, "position; from_activity; '>'; to_activity; seconds; working_seconds; waiting_seconds; untold_seconds", "FROM mart.case_transitions WHERE case_number = '1' ORDER BY position"),
		"0  > a 0 0 0 0", "1 a > b 1800 1800 0 0", "2 b > a 9000 5400 3600 0", "3 a > c 3600 0 0 3600", "4 c >  1800 1800 0 0")
	same(t, read(t, analyst, "activity; cases; extra_steps; directly", "FROM mart.rework_loops"), "a 1 1 0")
	same(t, read(t, analyst, "activity; steps; working_seconds; waiting_seconds; untold_seconds", "FROM mart.activity_times WHERE item_code = 'birth' ORDER BY activity"),
		"a 2 1800 0 3600", "b 1 5400 3600 0", "c 1 1800 0 0")
	same(t, read(t, analyst, "from_activity; to_activity; transitions; cases; mean_seconds; median_seconds; waiting_seconds", "FROM mart.directly_follows WHERE item_code = 'birth' AND from_activity != '' ORDER BY ALL"),
		"a b 1 1 1800 1800 0", "a c 1 1 3600 3600 0", "b a 1 1 9000 9000 3600", "c  1 1 1800 1800 0")
	same(t, read(t, analyst, "trace; cases; share; extra_steps; median_seconds", "FROM mart.case_variants WHERE item_code = 'birth'"), "['a','b','a','c'] 1 1 1 16200")
}

// On any cases, work, waiting and what cannot be told add up to the whole, and are what walking through the case minute by minute gives.
func TestProcessTimesAddUp(t *testing.T) {
	c := ready(t)
	dice := rand.New(rand.NewPCG(6, 6))
	type step struct{ from, until int } // minutes; until == from: unknown
	lives := map[string][]step{}
	begin := local("2025-03-03 09:00")
	batch, err := c.PrepareBatch(t.Context(), "INSERT INTO store.case_steps (record_id, dataset, case_number, step, activity, started_at, ended_at)")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 150 {
		number, at := fmt.Sprintf("c%03d", i), 0
		for j := range 1 + dice.IntN(8) {
			at += 1 + dice.IntN(50) // no two start together, so that the order is the steps'
			s := step{at, at + dice.IntN(3)*dice.IntN(60)}
			lives[number] = append(lives[number], s)
			from := begin.Add(time.Duration(s.from) * time.Minute)
			until := begin.Add(time.Duration(s.until) * time.Minute)
			end := &until
			if s.until == s.from && dice.IntN(2) == 0 {
				end = nil
			}
			if err := batch.Append(id(fmt.Sprint(number, j)), "d", number, fmt.Sprint(j), string(rune('a'+dice.IntN(4))), from, end); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
	rows, err := as(t, clickhouse.Analyst).Query(t.Context(), "SELECT case_number, seconds, working_seconds, waiting_seconds, untold_seconds FROM mart.case_traces")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var number string
		var whole, working, waiting, untold float64
		if err := rows.Scan(&number, &whole, &working, &waiting, &untold); err != nil {
			t.Fatal(err)
		}
		n++
		steps := lives[number]
		end := 0
		for _, s := range steps {
			end = max(end, s.until)
		}
		var want [3]float64
		for m := steps[0].from; m < end; m++ { // the minute from m
			covered, last := false, step{}
			for _, s := range steps {
				covered = covered || s.from <= m && m < s.until
				if s.from <= m {
					last = s
				}
			}
			switch {
			case covered:
				want[0] += 60
			case last.until > last.from:
				want[1] += 60
			default:
				want[2] += 60
			}
		}
		if working != want[0] || waiting != want[1] || untold != want[2] || math.Abs(whole-(working+waiting+untold)) > 1e-6 || whole != float64(end-steps[0].from)*60 {
			t.Errorf("%s %v: %v is work %v, waiting %v and untold %v, want %v", number, steps, whole, working, waiting, untold, want)
		}
	}
	if err := rows.Err(); err != nil || n != len(lives) {
		t.Errorf("%d of %d cases, %v", n, len(lives), err)
	}
}

// How cases went can be asked as it was known on a day (I9): six cases of two steps, whose second was corrected, and then taken back.
func TestProcessAsItWasKnown(t *testing.T) {
	c := ready(t)
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	figures := warehouse.NewFigures(as(t, clickhouse.Analyst), metrics.Set{}, zone)
	for i := range 6 {
		number := fmt.Sprint(i)
		insert(t, c, "store.cases", row{"record": "case " + number, "case_number": number, "item_code": "birth", "department": "hall", "applied_at": local("2025-03-03 09:00"), "received_at": local("2025-03-03 12:00"), "version": uint64(1)})
		step := func(step string, version uint64, received string, more row) {
			r := row{"record": "step " + number + step, "case_number": number, "dataset": "d", "step": step, "activity": step, "version": version, "received_at": local("2025-" + received),
				"started_at": local("2025-03-03 10:0" + fmt.Sprint(version)), "ended_at": local("2025-03-03 11:00")}
			maps.Copy(r, more)
			insert(t, c, "store.case_steps", r)
		}
		step("a", 1, "03-03 12:00", nil)
		step("b", 2, "03-04 12:00", nil)
		step("b", 3, "03-06 12:00", row{"activity": "c"})
		step("b", 4, "03-08 12:00", row{"deleted": uint8(1)})
	}
	// What had not come yet and is gone again has changed nothing since.
	since := map[string]string{"2025-03-03": "[]", "2025-03-05": "[{d removed 6}]", "2025-03-07": "[{d removed 6}]", "2025-03-09": "[]"}
	for known, want := range map[string]string{"2025-03-03": "[a]", "2025-03-05": "[a b]", "2025-03-07": "[a c]", "2025-03-09": "[a]", "": "[a]"} {
		q := metrics.ProcessQuery{From: metrics.Month{Year: 2025, Month: 3}, To: metrics.Month{Year: 2025, Month: 3}}
		if known != "" {
			if q.Known, err = metrics.ParseKnown(known, zone); err != nil {
				t.Fatal(err)
			}
		}
		p, err := figures.Process(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.ListedVariants) != 1 || fmt.Sprint(p.ListedVariants[0].Trace) != want || p.Cases != 6 || (p.Known == "") != (known == "") {
			t.Errorf("as known on %q: %+v, want %s", known, p, want)
		}
		if known == "" {
			continue
		}
		changes, err := figures.Changes(t.Context(), q.Known)
		if got := fmt.Sprint(changes); err != nil || got != since[known] {
			t.Errorf("since %s: %s, %v, want %s", known, got, err, since[known])
		}
	}
}
