package reconcile

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shirecounty/shire/schemas/change"
)

// fill gives the department n rows and loads them.
func (r *rig) fill(n int) {
	r.t.Helper()
	rows := map[string][]string{}
	for i := range n {
		rows[fmt.Sprint("K", i)] = values(fmt.Sprint("K", i), fmt.Sprint("item ", i), "1")
	}
	r.table.say(rows)
}

func (r *Report) short() string {
	return fmt.Sprintf("equal %v: %d missing, %d extra, %d stale, %d lost; %d unexamined, %d repaired, %d unknown", r.Equal, r.Missing, r.Extra, r.Stale, r.Lost, r.Unexamined, r.Repaired, r.Unknown)
}

const equal = "equal true: 0 missing, 0 extra, 0 stale, 0 lost; 0 unexamined, 0 repaired, 0 unknown"

func TestFindsWhatDiffersAndRepairsIt(t *testing.T) {
	for name, examine := range map[string]int{"at once": 0, "in groups": 20} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, casesContract)
			inGroups := func(o *Options) { o.Examine = examine }
			r.fill(500)
			if got := r.reconcile(false, inGroups); got.short() != equal || got.Records != 500 || len(got.Tables) != 2 || got.Tables[0].Source != 500 || got.Tables[0].Warehouse != 500 {
				t.Fatalf("nothing differs: %s %+v", got.short(), got)
			}
			r.table.silently(map[string][]string{
				"K1": nil, "K2": nil, // extra, in both tables
				"K3":  values("K3", "another item", "1"), // stale, in both tables
				"K4":  values("K4", "item 4", "2"),       // in one
				"new": values("new", "item", "1"),        // missing, in both
				"bad": values("bad", "item", "many"),     // refused, and nobody knows
				"K6":  values("K6", "item 6", "several"), // the same, with an earlier version loaded
			})
			r.lose("store.cases", "case_number = 'K5'")
			want := "equal false: 3 missing, 4 extra, 3 stale, 2 lost; 0 unexamined, 0 repaired, 0 unknown"
			got := r.reconcile(false, inGroups)
			if got.short() != want || got.Refused != 2 || got.Waiting != 0 || len(got.Differences) != 12 {
				t.Fatalf("%s\n%+v", got.short(), got)
			}
			for _, d := range got.Differences {
				if d.Record.IsZero() || (d.Table == "") != (d.Kind == Lost) {
					t.Errorf("%+v", d)
				}
			}
			got = r.reconcile(true, inGroups)
			if want := strings.Replace(equal, "0 repaired", "12 repaired", 1); got.short() != want {
				t.Fatalf("repaired: %s %+v", got.short(), got.Differences)
			}
			if got := r.reconcile(false, inGroups); got.short() != equal || got.Refused != 2 || got.Waiting != 2 || got.Records != 500 {
				t.Fatalf("afterwards: %s %+v", got.short(), got)
			}
		})
	}
}

// I4: a row that waits in quarantine is accounted for, also where the warehouse has an earlier version of it, and where
// the changes have expired.
func TestWhatWaitsIsNoDifference(t *testing.T) {
	r := newRig(t, casesContract)
	r.fill(20)
	r.table.say(map[string][]string{"K1": values("K1", "item", "many"), "new": values("new", "item", "several")})
	if got := r.reconcile(false, nil); got.short() != equal || got.Refused != 2 || got.Waiting != 2 {
		t.Errorf("%s %+v", got.short(), got)
	}
	r.expireAll()
	if got := r.reconcile(false, nil); got.short() != equal {
		t.Errorf("after the changes expired: %s", got.short())
	}
}

// A row whose columns drifted waits too, though it could be used as it stands.
func TestDriftedRowsAreNoDifference(t *testing.T) {
	r := newRig(t, strings.Replace(casesContract, "fields:", "drift: {changed_types: quarantine}\nfields:", 1))
	r.fill(20)
	r.table.drift = []change.Drift{{Code: change.ChangedType, Column: "visits", Was: "integer", Is: "text"}}
	r.table.say(map[string][]string{"K1": values("K1", "another item", "1"), "new": values("new", "item", "1")})
	r.table.silently(map[string][]string{"K2": values("K2", "another item", "1")})
	if got := r.reconcile(false, nil); got.Stale != 2 || got.Missing+got.Extra+got.Lost != 0 || got.Waiting != 2 {
		t.Errorf("%s", got.short())
	}
}

// The key of a record that only the warehouse has is in the bus; where that has expired, in the columns, if the contract
// puts it there.
func TestKeyOfWhatIsGone(t *testing.T) {
	r := newRig(t, casesContract)
	r.fill(20)
	r.reconcile(false, nil)
	r.expireAll()
	r.table.silently(map[string][]string{"K1": nil})
	// The cases have the key as their number; the person of the same row is repaired by it too.
	if got := r.reconcile(false, nil); got.Extra != 2 || got.Unknown != 1 {
		t.Errorf("%s", got.short())
	}
	if got := r.reconcile(true, nil); got.Repaired != 2 || !got.Equal {
		t.Errorf("%s", got.short())
	}
	s := newRig(t, strings.Replace(casesContract, "case_number: number", "case_number: item", 1))
	s.fill(20)
	s.reconcile(false, nil)
	s.expireAll()
	s.table.silently(map[string][]string{"K1": nil})
	if got := s.reconcile(true, nil); got.Extra != 2 || got.Repaired != 0 || got.Unknown != 2 {
		t.Errorf("%s", got.short())
	}
}

// A record that several source rows share is what one of them says, and outlives each of them.
func TestSharedRecords(t *testing.T) {
	r := newRig(t, strings.NewReplacer("  - table: cases", "  - table: cases\n    key: [closed]", "closed, type: date,", "closed, type: date, required: true,").Replace(casesContract))
	r.fill(30) // one case for all
	if got := r.reconcile(false, nil); got.short() != equal {
		t.Fatalf("%s", got.short())
	}
	r.table.say(map[string][]string{"K9": nil}) // which came last, so that the case says what K9 said
	if got := r.reconcile(false, nil); got.Stale != 1 || got.Missing+got.Extra+got.Lost != 0 {
		t.Errorf("nobody says so any more: %s", got.short())
	}
	if got := r.reconcile(true, nil); got.Repaired != 1 || !got.Equal {
		t.Errorf("%s", got.short())
	}
	gone := map[string][]string{}
	for i := range 30 {
		gone[fmt.Sprint("K", i)] = nil
	}
	r.table.say(gone)
	if got := r.reconcile(false, nil); got.short() != equal {
		t.Errorf("an ended shared record: %s %+v", got.short(), got.Differences)
	}
	r.table.say(map[string][]string{"new": values("new", "item", "1")})
	r.reconcile(false, nil)
	r.lose("store.cases", "1")
	if got := r.reconcile(true, nil); got.Repaired != 1 || !got.Equal {
		t.Errorf("a lost shared record: %s", got.short())
	}
}

// What changes while it is compared is not reported, however much it is; what is lost meanwhile is.
func TestChangesInFlight(t *testing.T) {
	r := newRig(t, casesContract)
	const n = 600
	r.fill(n)
	quit := make(chan struct{})
	var department sync.WaitGroup
	department.Go(func() {
		random := rand.New(rand.NewPCG(1, 2))
		for i := 0; ; i++ {
			select {
			case <-quit:
				return
			case <-time.After(20 * time.Millisecond):
			}
			rows := map[string][]string{}
			for range 5 {
				key := fmt.Sprint("K", random.IntN(n/2))
				switch random.IntN(4) {
				case 0:
					rows[key] = nil
				case 1: // the contract refuses it
					rows[key] = values(key, "item", "x")
				default:
					rows[key] = values(key, fmt.Sprint("item ", i), "3")
				}
			}
			r.table.say(rows)
		}
	})
	patient := func(o *Options) { o.Pauses = slices.Repeat([]time.Duration{50 * time.Millisecond}, 25) }
	for range 2 {
		if got := r.reconcile(false, patient); got.short() != equal {
			t.Errorf("%s %+v", got.short(), got.Differences)
		}
	}
	r.table.silently(map[string][]string{"K500": values("K500", "unheard", "1"), "K501": nil})
	if got := r.reconcile(false, patient); got.Stale != 2 || got.Extra != 2 || got.Missing+got.Lost != 0 {
		t.Errorf("%s %+v", got.short(), got.Differences)
	}
	if got := r.reconcile(true, patient); got.Repaired != 4 || !got.Equal {
		t.Errorf("%s", got.short())
	}
	close(quit)
	department.Wait()
	if got := r.reconcile(false, nil); got.short() != equal {
		t.Errorf("at rest: %s", got.short())
	}
}

func (r *rig) expireAll() {
	r.t.Helper()
	last, err := r.bus.LastSequence(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.flow.Drain(r.t.Context(), last); err != nil {
		r.t.Fatal(err)
	}
	if err := r.changes().Purge(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// I4: what stands in the clear beside sealed values is compared too, in rows that were loaded sealed and in rows from before. A hand
// that edits it in the warehouse is found, and the source's word put back.
func TestEditsInTheClearAreFound(t *testing.T) {
	contract := strings.Replace(casesContract, "columns: {id_number: card, name: item}",
		`columns: {id_number: card, name: item, birth_date: closed, sex: {value: "female"}, division: {value: "110105"}, status: {value: "normal"}}`, 1)
	for range 2 { // one rig seals, the other does not
		r := newRig(t, contract)
		r.fill(40)
		if got := r.reconcile(false, nil); got.short() != equal {
			t.Fatalf("nothing differs: %s %+v", got.short(), got.Differences)
		}
		edits := []string{"sex = 'male'", "birth_date = '1949-12-31'", "birth_date = NULL", "division = '110106'", "status = 'moved'"}
		if r.loads.Sealer() != nil {
			edits = append(edits, "number_sex = 'male'", "number_year = 1950", "content_hash = content_hash + 1")
		} else {
			edits = append(edits, "name = 'another'", "id_number = ''")
		}
		var records []string
		if err := r.loads.Conn().QueryRow(t.Context(), "SELECT groupArray(toString(record_id)) FROM restricted.person_records FINAL WHERE dataset = ?", r.dataset.Name).Scan(&records); err != nil || len(records) != 40 {
			t.Fatal(records, err)
		}
		for i, edit := range edits {
			if err := r.loads.Conn().Exec(t.Context(), fmt.Sprintf("ALTER TABLE restricted.person_records UPDATE %s WHERE dataset = '%s' AND record_id = '%s' SETTINGS mutations_sync = 2", edit, r.dataset.Name, records[i])); err != nil {
				t.Fatal(err)
			}
		}
		got := r.reconcile(false, nil)
		if got.Stale != len(edits) || got.Missing+got.Extra+got.Lost != 0 {
			t.Errorf("%d edits: %s", len(edits), got.short())
		}
		for _, d := range got.Differences {
			i := slices.Index(records, d.Record.String())
			if i < 0 || i >= len(edits) || d.Table != "restricted.person_records" {
				t.Errorf("%+v was not edited", d)
			}
		}
		if got := r.reconcile(true, nil); got.Repaired != len(edits) || !got.Equal {
			t.Errorf("repaired: %s", got.short())
		}
	}
}
