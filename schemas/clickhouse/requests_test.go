package clickhouse_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/catalogue"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/sharing"
)

// ruled is the nation's rules, and a county's that are tighter from a day on.
func ruled(t *testing.T) *sharing.Rules {
	t.Helper()
	rules, err := sharing.LoadRules(sharing.National(), fstest.MapFS{"county.yaml": {Data: []byte(
		"jurisdiction: {zh: 县, en: County}\nversions:\n  - {in_force: 2025-11-03, source: 县规, reply_conditional: 5}\n  - {in_force: 2026-01-12, source: 县规二, delivery: 3}\n")}})
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// The view of requests says what folding their acts says, and whether they are overdue what the clock says: of requests with
// random acts, in a stretch in which the rules change and at whose end the calendar ends.
func TestRequestsAsFolded(t *testing.T) {
	c := ready(t)
	where, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	cal, err := calendar.Load(calendar.National())
	if err != nil {
		t.Fatal(err)
	}
	rules := ruled(t)
	if _, err := clickhouse.LoadSharing(t.Context(), c, catalogue.Catalogue{Items: []catalogue.Item{}}, rules, time.Now()); err != nil {
		t.Fatal(err)
	}
	dataset, err := contract.Parse("insured.yaml", []byte("dataset: insured\ndepartment: police\nowner: {zh: 社保, en: Insurance}\ntitle: {zh: 参保, en: Insured}\nversion: 1\nkey: [number]\nsharing: {type: conditional}\n"+
		"fields:\n  - {name: number, type: identifier, required: true, sensitivity: internal}\n  - {name: status, type: text, sensitivity: internal, sharing: unconditional}\n"+
		"emits:\n  - {table: cases, columns: {case_number: number, department: number, item_code: number}}\n"), zone)
	if err != nil {
		t.Fatal(err)
	}
	world := sharing.World{Contracts: contract.Set{"insured": dataset}, Purposes: []string{"p", "q"}, Lead: "lead"}
	end := time.Date(cal.Years()[len(cal.Years())-1], 12, 28, 10, 0, 0, 0, where) // what is asked for then is due in a year that is not published
	begin := time.Date(2025, 9, 1, 0, 0, 0, 0, where)
	random := rand.New(rand.NewPCG(7, 7))
	all := []sharing.Act{sharing.Submit, sharing.GiveBack, sharing.Resubmit, sharing.Approve, sharing.Refuse, sharing.Withdraw, sharing.Deliver, sharing.Suspend, sharing.Resume, sharing.Revoke, sharing.Review}
	requests, rows := map[string]*sharing.Request{}, []row{}
	want := []string{}
	var answers []string
	var last time.Time
	for i := range 150 {
		id, at := fmt.Sprint("r", i), begin.Add(time.Duration(random.Int64N(int64(end.Sub(begin)))))
		if i < 5 {
			at = end.Add(-time.Duration(i) * time.Hour)
		}
		number := int64(0)
		for range 40 {
			terms := &sharing.Terms{Dataset: "insured", Fields: map[string]sharing.Mask{[]string{"number", "status"}[random.IntN(2)]: sharing.Full}, Purpose: []string{"p", "q"}[random.IntN(2)],
				Items: []string{"I"}, From: at.Truncate(time.Hour).UTC(), Until: at.Truncate(time.Hour).AddDate(0, 1+random.IntN(20), 0).UTC()}
			e := sharing.Event{Request: id, Act: all[random.IntN(len(all))], At: at, Department: []string{"hall", "police"}[random.IntN(2)], Reason: "r", Ground: "g", Terms: terms}
			if e.Act == sharing.Approve {
				e.Terms = nil
			}
			accepted, err := world.Accept(requests[id], e)
			if err != nil {
				continue
			}
			number++
			requests[id] = sharing.Fold(requests[id], accepted)
			r := row{"record": fmt.Sprint(id, "/", number), "request": id, "number": &number, "act": string(e.Act), "acted_at": at, "department": e.Department, "owner": accepted.Owner, "sharing_type": accepted.Type}
			place := number
			r["number"] = &place
			if accepted.Terms != nil && (e.Act == sharing.Submit || e.Act == sharing.Resubmit) {
				text, _ := json.Marshal(accepted.Terms)
				r["terms"], r["shared_dataset"] = string(text), "insured"
			}
			rows = append(rows, r)
			if at.After(last) {
				last = at
			}
			if at = at.Add(time.Duration(random.Int64N(int64(9 * 24 * time.Hour)))); at.After(end) {
				break
			}
		}
	}
	insertAll(t, c, "store.sharing_acts", rows)
	overdue, unknown := 0, 0
	for _, id := range slices.Sorted(maps.Keys(requests)) {
		q := requests[id]
		clock, err := rules.Clock(q, last, where, cal)
		if err != nil {
			t.Fatal(err)
		}
		line := []string{id, q.From, q.Owner, q.Type, q.Terms.Purpose, string(q.State), fmt.Sprint(q.Since.Unix()), fmt.Sprint(q.Terms.From.Unix()), fmt.Sprint(q.Terms.Until.Unix()), "", "", "~", "0"}
		if clock != nil {
			line[9], line[10] = clock.Department, string(clock.Limit)
			if clock.Unknown == 0 {
				line[11] = clock.Due.String()
			} else {
				unknown++
			}
			if clock.Overdue {
				line[12] = "1"
				overdue++
			}
		}
		want = append(want, strings.Join(line, " "))
	}
	same(t, read(t, c, "request; asking; department; sharing_type; purpose; state; toUnixTimestamp(since); toUnixTimestamp(valid_from); toUnixTimestamp(valid_until); waits_for; deadline; due_on; overdue",
		"FROM mart.sharing_requests ORDER BY request"), want...)
	if overdue < 5 || unknown < 3 || len(want) < 100 {
		t.Fatalf("%d of %d are overdue, of %d the due day is not known: this proved little", overdue, len(want), unknown)
	}
	// Every submission is there once, and is late exactly when the clock that ran for it says so.
	asked := map[string]*sharing.Request{}
	for i, r := range rows {
		if r["act"] != "submit" && r["act"] != "resubmit" {
			continue
		}
		at, id := r["acted_at"].(time.Time), r["request"].(string)
		asked[id] = &sharing.Request{State: sharing.Asked, Type: r["sharing_type"].(string), Asked: at}
		until, answer := last, ""
		if i+1 < len(rows) && rows[i+1]["request"] == id {
			until, answer = rows[i+1]["acted_at"].(time.Time), rows[i+1]["act"].(string)
		}
		clock, err := rules.Clock(asked[id], until, where, cal)
		if err != nil {
			t.Fatal(err)
		}
		onTime := "~"
		switch {
		case clock.Overdue:
			onTime = "0"
		case answer != "" && answer != "withdraw":
			onTime = "1"
		}
		answers = append(answers, fmt.Sprintf("%s %d %s %s", id, *r["number"].(*int64), answer, onTime))
	}
	slices.Sort(answers)
	got := read(t, c, "request; number; answer; on_time", "FROM mart.sharing_answers")
	slices.Sort(got)
	same(t, got, answers...)
}

// A version of the catalogue is written when the contracts say something else, and stays.
func TestVersionsOfTheCatalogue(t *testing.T) {
	c := ready(t)
	exec(t, c, "TRUNCATE TABLE store.catalogue_versions")
	rules, set := ruled(t), contract.Set{}
	for _, d := range catalogueItems {
		set[d.Name] = d
	}
	load := func(want uint32) {
		t.Helper()
		v, err := clickhouse.LoadSharing(t.Context(), c, catalogue.Of(set), rules, time.Now())
		if err != nil || v.Number != want {
			t.Fatalf("version %d, want %d: %v", v.Number, want, err)
		}
	}
	load(1)
	load(1)
	first := catalogue.Of(set)
	closed := set["closed"]
	delete(set, "closed")
	load(2)
	load(2)
	set["closed"] = closed
	load(3) // what was said before is said anew: since when it holds is another
	analyst := as(t, clickhouse.Analyst)
	list, err := clickhouse.CatalogueVersions(t.Context(), analyst, 2)
	if err != nil || len(list) != 2 || list[0].Number != 3 || list[0].Count != 3 || list[1].Count != 2 {
		t.Fatalf("%v %+v", err, list)
	}
	old, err := clickhouse.CatalogueAt(t.Context(), analyst, 1)
	if err != nil || old.Hash != first.Hash || len(old.Items) != 3 {
		t.Fatalf("%v %+v", err, old)
	}
	if _, err := clickhouse.CatalogueAt(t.Context(), analyst, 9); !errors.Is(err, clickhouse.ErrNoVersion) {
		t.Fatal(err)
	}
	same(t, read(t, analyst, "deadline; in_force; days; jurisdiction_en", "FROM mart.sharing_limits WHERE deadline IN ('delivery', 'reply_conditional') ORDER BY deadline, in_force"),
		"delivery 2025-08-01 20 People's Republic of China", "delivery 2026-01-12 3 County", "reply_conditional 2025-08-01 10 People's Republic of China", "reply_conditional 2025-11-03 5 County")
}
