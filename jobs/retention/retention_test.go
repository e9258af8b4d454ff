package retention

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

func (r *rig) do(w *Retention) (jobs.Result, string, error) {
	r.t.Helper()
	var out strings.Builder
	result, err := w.Do(r.t.Context(), jobs.Task{Run: "retention@2026-11-23T03:00:00+08:00", Job: "retention"}, &out)
	for _, secret := range []string{r.name, r.address} {
		if strings.Contains(out.String()+result.Message, secret) {
			r.t.Errorf("the output quotes %q:\n%s", secret, out.String())
		}
	}
	return result, out.String(), err
}

// A record that its department has deleted is gone from the warehouse, from the state of identities and from the bus when
// its time has come, and not a day before; records that live stay.
func TestDeletedRecordsVanish(t *testing.T) {
	r := newRig(t)
	r.say(person(change.Create, "1", "", r.name, r.address))
	r.say(person(change.Create, "2", "", "Stay", "Here 1"))
	r.say(gone("1"))
	r.say(person(change.Update, "2", "", "Stay", "Here 2"))
	r.say(person(change.Create, "3", "", "Back", "old"), gone("3"), person(change.Create, "3", "", "Back", "again"))
	personal := func() uint64 {
		return r.count("SELECT count() FROM restricted.person_records WHERE dataset = ? AND name = ?", r.dataset, r.name)
	}
	places := map[string]string{"bus": filepath.Join(engines.dir, "nats"), "identities": r.dir}
	for place, dir := range places {
		if !holds(t, dir, r.name) {
			t.Fatalf("the test does not see what the %s holds", place)
		}
	}
	if personal() == 0 {
		t.Fatal("the warehouse has merged the record away already")
	}
	rules := Rules{ChangesDays: 30, DeletedDays: 30}
	for what, w := range map[string]*Retention{"too early": r.worker(rules, 29), "dry": r.worker(Rules{ChangesDays: 30, DeletedDays: 30, DryRun: true}, 31)} {
		if result, out, err := r.do(w); err != nil || personal() == 0 || !holds(t, places["bus"], r.name) {
			t.Fatalf("%s: %+v, %v\n%s", what, result, err, out)
		} else if what == "dry" && (result.Counts["personal_rows"] != 1 || result.Counts["messages"] != 3) { // a line of record 3 is none
			t.Errorf("%s: %+v\n%s", what, result, out)
		}
	}
	if n := r.count("SELECT count() FROM ops.erasures WHERE run_id LIKE 'retention@%'"); n != 0 {
		t.Fatalf("%d erasures are written down, and nothing was deleted", n)
	}
	result, out, err := r.do(r.worker(rules, 31))
	if err != nil {
		t.Fatal(err, out)
	}
	// The creation and the deletion of the first record and the creation of the second are gone; what lives stays.
	if result.Counts["personal_rows"] != 1 || result.Counts["messages"] != 3 {
		t.Errorf("%+v\n%s", result, out)
	}
	if personal() != 0 {
		t.Error("the warehouse still holds the record")
	}
	for place, dir := range places {
		if holds(t, dir, r.name) || holds(t, dir, r.address) {
			t.Errorf("the %s still hold the record", place)
		}
	}
	if n := r.count("SELECT count() FROM restricted.person_records FINAL WHERE dataset = ? AND (name, address) IN (('Stay', 'Here 2'), ('Back', 'again'))", r.dataset); n != 2 {
		t.Error("a record that lives is gone")
	}
	if n := r.count("SELECT sum(amount) FROM ops.erasures WHERE rule IN ('deleted_days', 'changes_days') AND run_id LIKE 'retention@%'"); n != 4 {
		t.Errorf("%d erasures are written down, want 4", n)
	}
	if result, _, err := r.do(r.worker(rules, 31)); err != nil || result.Counts["messages"]+result.Counts["personal_rows"] != 0 {
		t.Errorf("a second run did %+v, %v", result, err)
	}
	// The bus goes on, and an old version that comes again does not bring the record back.
	r.say(person(change.Update, "2", "", "Stay", "Here 3"))
	if n := r.count("SELECT count() FROM restricted.person_records FINAL WHERE dataset = ?", r.dataset); n != 2 {
		t.Errorf("%d records, want 2", n)
	}
}

// A replay of what came before the deletion does not bring a purged record back.
func TestPurgedRecordsStayGone(t *testing.T) {
	r := newRig(t)
	r.say(person(change.Create, "1", "", r.name, r.address))
	first := r.last
	r.say(gone("1"))
	w := r.worker(Rules{DeletedDays: 1, ChangesDays: 400}, 2)
	if _, out, err := r.do(w); err != nil {
		t.Fatal(err, out)
	}
	again := pipeline.Replay{Bus: r.bus, Department: "police", Dataset: r.dataset, From: first, To: first}
	sent, err := again.Run(t.Context())
	r.must(err)
	r.must(r.flow.Drain(t.Context(), sent.Sequence))
	if n := r.count("SELECT count() FROM restricted.person_records FINAL WHERE dataset = ?", r.dataset); n != 0 {
		t.Error("the record is back")
	}
	if _, _, err := r.do(w); err != nil {
		t.Fatal(err)
	}
	if n := r.count("SELECT count() FROM restricted.person_records WHERE dataset = ? AND deleted = 0", r.dataset); n != 0 {
		t.Error("its values are back")
	}
}

// Without a backup nothing goes from the bus, and the run fails; the other rules are applied.
func TestNoBackupNoErasure(t *testing.T) {
	r := newRig(t)
	r.say(person(change.Create, "1", "", "Old", ""))
	first := r.last
	r.say(person(change.Update, "1", "", "New", ""))
	w := r.worker(Rules{ChangesDays: 30, RunsDays: 30}, 31)
	w.Backed = func(context.Context) (time.Time, error) { return time.Time{}, nil }
	r.must(r.house.RecordRun(t.Context(), warehouse.Run{ID: r.dataset + "@old", Job: r.dataset, Started: time.Now().Add(-time.Hour), Finished: time.Now(), Outcome: "ok"}))
	result, _, err := r.do(w)
	if !errors.Is(err, errNoBackup) || result.Counts["messages"] != 0 || result.Counts["lines"] == 0 {
		t.Errorf("%+v, %v", result, err)
	}
	// A backup from before the newer word was said does not hold it.
	w.Backed = func(context.Context) (time.Time, error) { return time.Now().Add(-24 * time.Hour), nil }
	if result, _, err := r.do(w); err != nil || result.Counts["messages"] != 0 {
		t.Errorf("%+v, %v", result, err)
	}
	if _, err := r.bus.Get(t.Context(), first); err != nil {
		t.Error(err)
	}
}

// Rows that wait for too long are given up, with the reason; what they said is erased. A retry does not make them younger.
func TestWaitingRowsAreGivenUp(t *testing.T) {
	r := newRig(t)
	r.say(person(change.Create, "1", "not a number", r.name, r.address), person(change.Create, "2", "", "Good", ""))
	r.say(person(change.Create, "3", "", "Last", ""))
	waiting := func() []warehouse.Waiting {
		rows, err := warehouse.ListQuarantine(t.Context(), r.house.Conn(), warehouse.Filter{Dataset: r.dataset})
		r.must(err)
		return rows
	}
	sequence, err := pipeline.Requeue(t.Context(), r.bus, waiting(), "")
	r.must(err)
	r.must(r.flow.Drain(t.Context(), sequence))
	if len(waiting()) != 1 {
		t.Fatal("the row does not wait")
	}
	w := r.worker(Rules{WaitingDays: 90}, 89)
	if result, _, err := r.do(w); err != nil || result.Counts["waiting"] != 0 || len(waiting()) != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
	result, out, err := r.do(r.worker(Rules{WaitingDays: 90}, 91))
	if err != nil || result.Counts["waiting"] != 1 || result.Counts["refused_messages"] != 1 {
		t.Fatalf("%+v, %v\n%s", result, err, out)
	}
	dropped, err := warehouse.ListQuarantine(t.Context(), r.house.Conn(), warehouse.Filter{Dataset: r.dataset, State: "dropped"})
	r.must(err)
	if len(dropped) != 1 || !strings.HasPrefix(dropped[0].Reason, "retention: it waited for more than 90 days") {
		t.Errorf("%+v", dropped)
	}
	_, retries, refused, err := r.bus.Subjects(t.Context())
	r.must(err)
	if slices.Contains(refused, r.bus.QuarantineSubject("police", r.dataset)) {
		t.Error("the bytes of the row are in quarantine still")
	}
	if !slices.Contains(retries, r.bus.RetrySubject("police", r.dataset)) {
		t.Fatal("the test does not see what came back")
	}
	// A bus that ended with a gap would be taken to have lost its end.
	if result, out, err := r.do(r.worker(Rules{ChangesDays: 7}, 100)); err != nil || result.Counts["messages"] != 1 {
		t.Fatalf("%+v, %v\n%s", result, err, out)
	}
	if lost, err := r.bus.MakeUp(t.Context(), 0); err != nil || lost != 0 {
		t.Errorf("the bus is taken to have lost %d messages: %v", lost, err)
	}
	// While the record is there at its source, so is the newest word on it. When that is over, it goes with the old messages,
	// and so does what came back. The newest message of the bus stays.
	r.say(gone("1"), person(change.Update, "2", "", "Good", "new"))
	if result, out, err := r.do(r.worker(Rules{ChangesDays: 7}, 100)); err != nil || result.Counts["messages"] != 2 {
		t.Fatalf("%+v, %v\n%s", result, err, out)
	}
	if holds(t, filepath.Join(engines.dir, "nats"), r.name) {
		t.Error("the bus still holds the row")
	}
	rules := Rules{SettledDays: 90}
	if result, _, err := r.do(r.worker(rules, 91)); err != nil || result.Counts["lines"] == 0 {
		t.Errorf("%+v, %v", result, err)
	}
	if n := r.count("SELECT count() FROM ops.quarantine WHERE dataset = ?", r.dataset); n != 0 {
		t.Errorf("%d lines on rows that were given up long ago", n)
	}
}

// said is a source that says records again, by itself publishing them.
type said struct {
	r    *rig
	keys []string
}

func (s *said) WhileFollowed(ctx context.Context, fn func(context.Context) error) error {
	return fn(ctx)
}

func (s *said) Resend(_ context.Context, _ string, keys []string) error {
	s.keys = append(s.keys, keys...)
	var rows []change.Change
	for _, key := range keys {
		rows = append(rows, person(change.Snapshot, key, "", "again", ""))
	}
	s.r.say(rows...)
	return nil
}

// A record that lives in an old message alone is said again by its source, so many in a run, and then the message goes.
func TestOldRecordsAreSaidAgain(t *testing.T) {
	r := newRig(t)
	r.say(person(change.Create, "1", "", "a", ""), person(change.Create, "2", "", "b", ""), person(change.Create, "3", "", "c", ""))
	first := r.last
	r.say(person(change.Create, "4", "", "d", ""))
	speaker := &said{r: r}
	for run, want := range []int{2, 3} {
		w := r.worker(Rules{ChangesDays: 7, SayAgain: 2}, 10*(run+1))
		w.Source = func(string) Source { return Source{Speaker: speaker} }
		if _, out, err := r.do(w); err != nil || len(speaker.keys) < want {
			t.Fatalf("run %d: %v, said again %v\n%s", run, err, speaker.keys, out)
		}
	}
	w := r.worker(Rules{ChangesDays: 7}, 30)
	if result, out, err := r.do(w); err != nil || result.Counts["messages"] == 0 {
		t.Fatalf("%+v %v\n%s", result, err, out)
	}
	if _, err := r.bus.Get(t.Context(), first); !errors.Is(err, bus.ErrExpired) {
		t.Errorf("the old message is there still: %v", err)
	}
	if n := r.count("SELECT count() FROM restricted.person_records FINAL WHERE dataset = ?", r.dataset); n != 4 {
		t.Errorf("%d records, want 4", n)
	}
}

func TestLoadLinesKeepTheLast(t *testing.T) {
	r := newRig(t)
	for range 3 {
		r.say(person(change.Create, "1", "", "a", ""))
	}
	lag := func() uint64 { return r.count("SELECT last_sequence FROM ops.lag WHERE dataset = ?", r.dataset) }
	through, err := r.house.LoadedThrough(t.Context())
	r.must(err)
	before := lag()
	if result, _, err := r.do(r.worker(Rules{LoadsDays: 10}, 11)); err != nil || result.Counts["lines"] == 0 {
		t.Fatalf("%+v, %v", result, err)
	}
	now, err := r.house.LoadedThrough(t.Context())
	r.must(err)
	if now != through || lag() != before {
		t.Errorf("loaded through %d and %d, before %d and %d", now, lag(), through, before)
	}
}

// cutter is the log of accesses with the key that signs it.
type cutter struct {
	*audit.Projection
	keys audit.Keys
}

func (c cutter) Cut(ctx context.Context, before, now time.Time, dry bool) (uint64, error) {
	return c.Projection.Cut(ctx, c.keys, before, now, dry)
}

// Accesses whose time has come are gone from the log and from its table, which says so; what is left can be proven.
func TestOldAccessesGo(t *testing.T) {
	r := newRig(t)
	_, nc := newBus(t)
	dir := t.TempDir()
	key, err := audit.LoadOrCreateKey(dir, audit.SM2)
	r.must(err)
	keys, err := audit.OwnKeys(dir)
	r.must(err)
	hasher, err := pseudonym.New([]byte(strings.Repeat("k", 32)))
	r.must(err)
	conn := r.house.Conn()
	log, err := audit.Open(t.Context(), nc, audit.Options{County: "330782", Hasher: hasher, Key: key, Old: audit.OldChain(conn), Log: slog.New(slog.DiscardHandler)})
	r.must(err)
	p := audit.NewProjection(log, conn, slog.New(slog.DiscardHandler))
	for _, days := range []int{-300, -200, 0} {
		r.must(log.Record(t.Context(), audit.Access{At: time.Now().AddDate(0, 0, days), Caller: "test", Clerk: r.name, Decision: "granted"}))
	}
	w := r.worker(Rules{AccessesDays: 250, DryRun: true}, 1)
	w.Accesses = cutter{p, keys}
	if result, out, err := r.do(w); err != nil || result.Counts["accesses"] != 1 {
		t.Errorf("dry: %+v, %v\n%s", result, err, out)
	}
	w.Rules.DryRun = false
	for _, want := range []uint64{1, 0} {
		if result, out, err := r.do(w); err != nil || result.Counts["accesses"] != want {
			t.Errorf("%+v, %v\n%s", result, err, out)
		}
	}
	if report, err := p.Verify(t.Context(), keys, nil); err != nil || !report.OK() || report.First != 2 || report.Last != 3 {
		t.Errorf("%+v, %v", report, err)
	}
	if n := r.count("SELECT sum(amount) FROM ops.erasures WHERE rule = 'accesses_days'"); n != 1 {
		t.Errorf("%d erasures are written down, want 1", n)
	}
}

func TestRules(t *testing.T) {
	good := Rules{ChangesDays: 400, SayAgain: 1000, WaitingDays: 90, SettledDays: 400, RunsDays: 400, LoadsDays: 400, AccessesDays: 1095, DeletedDays: 30}
	if m := good.Prove(); m != nil {
		t.Errorf("%+v", m)
	}
	for key, rules := range map[string]Rules{
		"":              {},
		"changes_days":  {ChangesDays: 6},
		"waiting_days":  {WaitingDays: -1},
		"accesses_days": {AccessesDays: 182},
		"say_again":     {RunsDays: 1, SayAgain: 1},
		"deleted_days":  {DeletedDays: 30},
		"runs_days":     {RunsDays: 40_000},
	} {
		if m := rules.Prove(); len(m) != 1 || m[0].Key != key || m[0].Do == "" {
			t.Errorf("%s: %+v", key, m)
		}
	}
}
