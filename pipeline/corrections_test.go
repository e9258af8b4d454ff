package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// looks are the accesses that were written down; an error refuses them.
type looks struct {
	list []audit.Access
	err  error
}

func (l *looks) Record(_ context.Context, a audit.Access) error {
	if l.err == nil {
		l.list = append(l.list, a)
	}
	return l.err
}

// corrections makes them over the rig's bus; the rig's dataset is granted to civil_affairs.
func (r *rig) corrections(store *serving.Store, x *pipeline.Exchange, l *looks) *pipeline.Corrections {
	r.t.Helper()
	return r.correctionsOf(store, x, l, "data_bureau")
}

func (r *rig) correctionsOf(store *serving.Store, x *pipeline.Exchange, l *looks, lead string) *pipeline.Corrections {
	r.t.Helper()
	rules, err := sharing.LoadRules(sharing.National())
	if err != nil {
		r.t.Fatal(err)
	}
	set := r.contract(1)
	c, err := pipeline.NewCorrections(pipeline.CorrectionsOptions{Bus: r.bus, Records: store, Requests: x.Requests, Accesses: l, Hasher: r.hasher.Clone(), Key: []byte(strings.Repeat("k", 32)),
		World: func() sharing.World { return sharing.World{Contracts: set, Lead: lead} },
		Due: func(reported time.Time) (sharing.Deadline, error) {
			day, err := calendar.ParseDate("2026-03-02")
			if err != nil {
				return sharing.Deadline{}, err
			}
			return rules.Due(sharing.Correction, day, r.calendar)
		}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *rig) grantItem(x *pipeline.Exchange) {
	r.t.Helper()
	terms := r.terms()
	terms.From, terms.Until = time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0)
	for _, e := range []sharing.Event{{Act: sharing.Submit, Department: "civil_affairs", Terms: terms}, {Act: sharing.Approve, Department: "hall"}, {Act: sharing.Deliver, Department: "hall"}} {
		e.Request, e.At = "R1", time.Now()
		if _, err := x.Do(r.t.Context(), e, "王五"); err != nil {
			r.t.Fatal(err)
		}
	}
}

// put writes records into the store as Flow.Serve does.
func (r *rig) put(store *serving.Store, version uint64, key, item string, gone bool) pseudonym.ID {
	r.t.Helper()
	id := serving.RecordID(r.hasher, r.dataset, key)
	record := &serving.Record{ID: id, Version: version, Dataset: r.dataset, Fields: []serving.Field{{Name: "item", Value: item}, {Name: "visits", Value: fmt.Sprint(version)}}}
	if err := store.Apply(version, []serving.Change{{Record: record, Gone: gone}}); err != nil {
		r.t.Fatal(err)
	}
	return id
}

// What two processes do about errors, and what owners change meanwhile, is what a plain model says; the bus alone is enough to know it,
// and holds nothing of what was said in clear.
func TestCorrectionsAreWhatAModelSays(t *testing.T) {
	r := newRig(t)
	store := r.servingStore(t.TempDir())
	defer store.Close()
	x, l := r.exchange(), &looks{}
	r.grantItem(x)
	both := []*pipeline.Corrections{r.corrections(store, x, l), r.corrections(store, x, l)}
	type model struct {
		key, seen string
		version   uint64
		state     sharing.State
	}
	type value struct {
		item    string
		version uint64
		gone    bool
	}
	records, reports := map[string]value{}, map[string]*model{}
	random := rand.New(rand.NewPCG(5, 6))
	const proposed = "the right value 8713"
	var version uint64
	counts := map[sharing.State]int{}
	var ids []string
	for step := range 250 {
		c, key := both[random.IntN(2)], fmt.Sprint("K", random.IntN(4))
		var no *sharing.Refusal
		switch random.IntN(8) {
		case 0: // the owner's record changes, in the field or elsewhere, or goes
			version++
			v := value{fmt.Sprint("item", random.IntN(3)), version, random.IntN(6) == 0}
			records[key] = v
			r.put(store, v.version, key, v.item, v.gone)
		case 1, 4, 6:
			from := []string{"civil_affairs", "hall", "stranger"}[random.IntN(3)]
			field := []string{"item", "visits", "none"}[random.IntN(3)]
			got, err := c.Report(t.Context(), pipeline.Report{Department: from, Clerk: "李梅", Dataset: r.dataset, Field: field,
				Record: serving.RecordID(r.hasher, r.dataset, key), Said: pipeline.Said{Proposed: proposed}})
			v, there := records[key]
			if want := from == "civil_affairs" && field == "item" && there && !v.gone; want != (err == nil) || err != nil && !errors.As(err, &no) {
				t.Fatalf("step %d: a report by %s of %s: %v", step, from, field, err)
			}
			if err == nil {
				ids = append(ids, got.ID)
				reports[got.ID] = &model{key, v.item, v.version, sharing.Reported}
			}
		case 2, 7:
			if len(ids) == 0 {
				continue
			}
			id, who, accept := ids[random.IntN(len(ids))], []string{"hall", "civil_affairs"}[random.IntN(2)], random.IntN(3) > 0
			_, err := c.Answer(t.Context(), id, who, "王五", accept, "because")
			m := reports[id]
			if want := who == "hall" && m.state == sharing.Reported; want != (err == nil) || err != nil && !errors.As(err, &no) {
				t.Fatalf("step %d: an answer by %s: %v", step, who, err)
			}
			if err == nil {
				m.state = map[bool]sharing.State{true: sharing.Accepted, false: sharing.Refused}[accept]
			}
		case 3:
			if err := c.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, m := range reports {
				if v := records[m.key]; m.state == sharing.Accepted && v.version > m.version && (v.gone || v.item != m.seen) {
					m.state = sharing.Corrected
				}
			}
		}
	}
	// One that is accepted, and whose record changes in another field alone, stays open.
	version++
	records["K9"] = value{"item0", version, false}
	id := r.put(store, version, "K9", "item0", false)
	for range 2 {
		one, err := both[0].Report(t.Context(), pipeline.Report{Department: "civil_affairs", Clerk: "李梅", Dataset: r.dataset, Field: "item", Record: id, Said: pipeline.Said{Proposed: proposed}})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, one.ID)
		reports[one.ID] = &model{"K9", "item0", version, sharing.Reported}
	}
	if _, err := both[1].Answer(t.Context(), ids[len(ids)-1], "hall", "王五", true, ""); err != nil {
		t.Fatal(err)
	}
	reports[ids[len(ids)-1]].state = sharing.Accepted
	version++
	r.put(store, version, "K9", "item0", false)
	if err := both[0].Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, m := range reports {
		if v := records[m.key]; m.state == sharing.Accepted && v.version > m.version && (v.gone || v.item != m.seen) {
			m.state = sharing.Corrected
		}
	}
	fresh := r.corrections(store, x, l)
	for _, department := range []string{"civil_affairs", "hall", "data_bureau", "stranger", ""} {
		list, err := fresh.List(t.Context(), department, time.Date(2026, 4, 2, 0, 0, 0, 0, time.UTC))
		if err != nil {
			t.Fatal(err)
		}
		want := len(reports)
		if department == "stranger" || department == "" {
			want = 0
		}
		if len(list) != want {
			t.Fatalf("%q sees %d reports of %d", department, len(list), want)
		}
		if !slices.IsSortedFunc(list, func(a, b pipeline.Listed) int { return a.Reported.Compare(b.Reported) }) {
			t.Fatal("the oldest is not the first")
		}
		for _, one := range list {
			m := reports[one.ID]
			if one.State != m.state || one.Overdue != (m.state == sharing.Reported) || one.Overdue && (one.Deadline.Days != 10 || one.Deadline.Limit != sharing.Correction) {
				t.Fatalf("%+v, the model says %+v", one, m)
			}
			counts[one.State]++
		}
	}
	for _, s := range []sharing.State{sharing.Reported, sharing.Accepted, sharing.Refused, sharing.Corrected} {
		if counts[s] == 0 {
			t.Errorf("no report is %s: this proved little", s)
		}
	}
	// What was said is read by the two departments alone, and only when that is in the log.
	if said, err := fresh.Read(t.Context(), ids[0], "hall", "王五"); err != nil || said[0].Proposed != proposed || len(l.list) != 1 || l.list[0].CaseNumber != ids[0] {
		t.Fatal(said, err, l.list)
	}
	if _, err := fresh.Read(t.Context(), ids[0], "data_bureau", "王五"); err == nil {
		t.Fatal("another department read what was said")
	}
	l.err = errors.New("away")
	if said, err := fresh.Read(t.Context(), ids[0], "hall", "王五"); err == nil || said != nil {
		t.Fatal("it was shown without an entry")
	}
	subject := r.bus.ChangesSubject(contract.OwnDepartment, contract.Corrections)
	last, err := r.bus.LastOn(t.Context(), subject)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := r.bus.ReadSubject(t.Context(), subject, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for sequence := uint64(0); sequence < last; {
		msg, err := reader.Next(t.Context(), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		sequence = msg.Sequence
		batch, err := change.Decode(msg.Data)
		if err != nil {
			t.Fatal(err)
		}
		for i := range batch.Len() {
			for k := range batch.Columns() {
				if v := batch.Values(k).Value(i); strings.Contains(v, proposed) || strings.Contains(v, "because") {
					t.Fatalf("what was said is on the bus in clear: %q", v)
				}
			}
		}
	}
	r.loadThrough(r.contract(1), last)
	if got := r.strings("SELECT toString(countDistinct(correction)) FROM store.correction_acts FINAL WHERE act != '' AND acted_by NOT IN ('', '王五', '李梅')")[0]; got != fmt.Sprint(len(reports)) {
		t.Fatalf("the warehouse has %s reports of %d", got, len(reports))
	}
}

func TestCorrectionMistakes(t *testing.T) {
	r := newRig(t)
	store := r.servingStore(t.TempDir())
	defer store.Close()
	x := r.exchange()
	r.grantItem(x)
	c := r.corrections(store, x, &looks{})
	id := r.put(store, 1, "K", "wrong", false)
	good := pipeline.Report{Department: "civil_affairs", Clerk: "李梅", Dataset: r.dataset, Field: "item", Record: id, Said: pipeline.Said{Proposed: "right"}}
	elsewhere := serving.RecordID(r.hasher, "other", "K")
	if err := store.Apply(2, []serving.Change{{Record: &serving.Record{ID: elsewhere, Version: 2, Dataset: "other", Fields: []serving.Field{{Name: "item", Value: "wrong"}}}}}); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*pipeline.Report){
		"gives a name":        func(p *pipeline.Report) { p.Clerk = " " },
		"name of at most":     func(p *pipeline.Report) { p.Clerk = strings.Repeat("字", 101) },
		"have at most":        func(p *pipeline.Report) { p.Note = "\xff" },
		"is no such record":   func(p *pipeline.Report) { p.Record = elsewhere },
		"2000 characters":     func(p *pipeline.Report) { p.Note = strings.Repeat("字", 2001) },
		"what is wrong":       func(p *pipeline.Report) { p.Said = pipeline.Said{} },
		"no such record":      func(p *pipeline.Report) { p.Record = pseudonym.ID{1} },
		"no live grant":       func(p *pipeline.Report) { p.Dataset = "other" },
		"live grant for this": func(p *pipeline.Report) { p.Field = "card" },
	} {
		bad := good
		spoil(&bad)
		var no *sharing.Refusal
		if _, err := c.Report(t.Context(), bad); !errors.As(err, &no) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	one, err := c.Report(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Answer(t.Context(), one.ID, "hall", "王五", false, " "); err == nil {
		t.Error("a refusal without a reason was taken")
	}
	if _, err := c.Answer(t.Context(), "another", "hall", "王五", true, ""); err == nil || !strings.Contains(err.Error(), "no such report") {
		t.Error(err)
	}
	// A grant that was revoked a moment ago lets nobody report any more.
	if _, err := x.Do(t.Context(), sharing.Event{Request: "R1", Act: sharing.Revoke, At: time.Now(), Department: "hall", Reason: "why"}, "王五"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Report(t.Context(), good); err == nil || !strings.Contains(err.Error(), "no live grant") {
		t.Error(err)
	}
}
