package pipeline_test

import (
	"strings"
	"testing"

	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/change"
)

// forged is a good batch that does not say what its subject says, or chooses its own versions.
func (r *rig) forged(department, dataset string, origin uint64) []byte {
	r.t.Helper()
	b := change.NewBuilder("forger", department, dataset, "u", []string{"number", "card", "item", "closed", "visits"})
	defer b.Release()
	if origin > 0 {
		b.AppendFrom(row(change.Create, "1", "forged", "1"), origin)
	} else {
		b.Append(row(change.Create, "1", "forged", "1"))
	}
	data, err := b.Build().Encode()
	if err != nil {
		r.t.Fatal(err)
	}
	return data
}

// A message that is none of ours does not stop the flow, does not load anything, and waits where a person sees it.
func TestForeignMessages(t *testing.T) {
	for name, foreign := range map[string]func(r *rig) (subject string, data []byte){
		"no batch": func(r *rig) (string, []byte) { return r.bus.ChangesSubject("hall", r.dataset), []byte("hello") },
		"nothing":  func(r *rig) (string, []byte) { return r.bus.ChangesSubject("hall", r.dataset), nil },
		"as large as it can": func(r *rig) (string, []byte) {
			return r.bus.ChangesSubject("hall", r.dataset), make([]byte, 8<<20-4096)
		},
		"another dataset": func(r *rig) (string, []byte) {
			return r.bus.ChangesSubject("hall", r.dataset), r.forged("hall", "other", 0)
		},
		"no department": func(r *rig) (string, []byte) {
			return r.bus.ChangesSubject("hall", r.dataset), r.forged("", r.dataset, 0)
		},
		"a version of its own": func(r *rig) (string, []byte) {
			return r.bus.ChangesSubject("hall", r.dataset), r.forged("hall", r.dataset, 1<<63)
		},
		"a retry that is none": func(r *rig) (string, []byte) {
			return r.bus.RetrySubject("hall", r.dataset), r.forged("hall", r.dataset, 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.publish(row(change.Create, "1", "good", "1"))
			subject, data := foreign(r)
			r.raw(subject, data)
			if err := r.writer.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			last := r.publish(row(change.Create, "2", "good", "1"))
			r.loadThrough(r.contract(1), last)
			if got := r.cases(); got != "1=good/v1/1 2=good/v1/1" {
				t.Errorf("the cases are %q", got)
			}
			if got := r.held(); got != "waiting:malformed:" {
				t.Errorf("in quarantine %q", got)
			}
			rows := r.waiting()
			c, _, err := pipeline.Original(t.Context(), r.bus, rows[0])
			if err != nil || !strings.HasPrefix(string(data), c.Raw) || len(c.Raw) < min(len(data), 4<<20) {
				t.Errorf("what waits has %d bytes of %d, %v", len(c.Raw), len(data), err)
			}
			if len(r.refused()) != 1 {
				t.Errorf("the bytes of %d rows wait", len(r.refused()))
			}
		})
	}
}

func TestForeignSubject(t *testing.T) {
	r := newRig(t)
	prefix, _, _ := strings.Cut(r.bus.ChangesSubject("x", "y"), ".x.")
	r.raw(prefix+".too.deep.a.subject", []byte("hello"))
	r.raw(prefix+".short", []byte("hello"))
	r.loadThrough(r.contract(1), r.publish(row(change.Create, "1", "good", "1")))
	if got := r.cases(); got != "1=good/v1/1" {
		t.Errorf("the cases are %q", got)
	}
	if got := r.strings("SELECT concat(dataset, ':', code) FROM store.quarantine_log FINAL WHERE unit LIKE ? ORDER BY version", prefix+".%"); strings.Join(got, " ") != "unknown:malformed unknown:malformed" {
		t.Errorf("in quarantine %q", got)
	}
}

// Who may publish for one department cannot write the records of another.
func TestDatasetOfAnotherDepartment(t *testing.T) {
	r := newRig(t)
	r.raw(r.bus.ChangesSubject("police", r.dataset), r.forged("police", r.dataset, 0))
	r.loadThrough(r.contract(1), r.publish(row(change.Create, "2", "good", "1")))
	if got := r.cases() + " " + r.held(); got != "2=good/v1/1 waiting:other_department:" {
		t.Error(got)
	}
}

// I5: a dataset without a contract waits, and is loaded once there is one.
func TestRetryAfterTheContractIsWritten(t *testing.T) {
	r := newRig(t)
	r.loadThrough(nil, r.publish(row(change.Create, "1", "a", "1"), row(change.Create, "2", "b", "x")))
	if got := r.cases() + r.held(); got != "waiting:no_contract: waiting:no_contract:" {
		t.Fatal(got)
	}
	rows := r.waiting()
	c, columns, err := pipeline.Original(t.Context(), r.bus, rows[1])
	if err != nil || c.Key != "2" || strings.Join(c.Values, "|") != "2|11010519491231002X|b|2026-03-02|x" || strings.Join(columns, "|") != "number|card|item|closed|visits" {
		t.Fatalf("the second row is %+v, %v", c, err)
	}
	last, err := pipeline.Requeue(t.Context(), r.bus, rows, "")
	if err != nil {
		t.Fatal(err)
	}
	r.loadThrough(r.contract(1), last)
	if got := r.cases(); got != "1=a/v1/1" {
		t.Errorf("the cases are %q", got)
	}
	if got := r.held(); got != "released:::the contract accepts it now waiting:format:visits" {
		t.Errorf("in quarantine %q", got)
	}
	// Mended once more, the other one is let go, too. Its bytes were published once.
	if last, err = pipeline.Requeue(t.Context(), r.bus, r.waiting(), ""); err != nil {
		t.Fatal(err)
	}
	r.loadThrough(r.contract(2), last)
	if got := r.cases(); got != "1=a/v1/1 2=b/v2/NULL" {
		t.Errorf("the cases are %q", got)
	}
	if len(r.waiting()) != 0 {
		t.Errorf("in quarantine %q", r.held())
	}
	for version, n := range r.refused() {
		if n != 1 {
			t.Errorf("the bytes of version %d wait %d times", version, n)
		}
	}
}

func TestRetryDoesNotOvertake(t *testing.T) {
	r := newRig(t)
	r.publish(row(change.Create, "1", "old", "x"), row(change.Create, "2", "old", "x"))
	r.loadThrough(r.contract(1), r.publish(row(change.Update, "1", "new", "5"), row(change.Delete, "2", "", "")))
	last, err := pipeline.Requeue(t.Context(), r.bus, r.waiting(), "")
	if err != nil {
		t.Fatal(err)
	}
	r.loadThrough(r.contract(2), last)
	if got := r.cases(); got != "1=new/v1/5" {
		t.Errorf("the cases are %q", got)
	}
	if len(r.waiting()) != 0 {
		t.Errorf("in quarantine %q", r.held())
	}
}

func TestDrop(t *testing.T) {
	r := newRig(t)
	r.loadThrough(r.contract(1), r.publish(row(change.Create, "1", "a", "x"), row(change.Create, "2", "b", "y")))
	rows := r.waiting()
	if _, err := pipeline.Requeue(t.Context(), r.bus, rows, " \n"); err == nil {
		t.Fatal("rows were given up without a reason")
	}
	last, err := pipeline.Requeue(t.Context(), r.bus, rows[:1], "delivered\ntwice")
	if err != nil {
		t.Fatal(err)
	}
	r.loadThrough(r.contract(2), last) // which would accept it
	if got := r.cases() + r.held(); got != "dropped:dropped::delivered twice waiting:format:visits" {
		t.Error(got)
	}
	if got := r.strings("SELECT owner_en FROM store.quarantine_log FINAL WHERE dataset = ? AND state = 'dropped'", r.dataset); strings.Join(got, "") != "A" {
		t.Errorf("the owner of the dropped row is %q", got)
	}
}

// The changes may have expired: the quarantine's own stream still has the bytes.
func TestOriginalAfterTheChangesExpired(t *testing.T) {
	r := newRig(t)
	first := r.publish(row(change.Create, "1", "a", "1"), row(change.Create, "2", "b", "x"), row(change.Create, "3", "c", "y"))
	r.loadThrough(r.contract(1), first)
	r.expire(first)
	rows := r.waiting()
	for i, want := range []string{"2", "3"} {
		if c, _, err := pipeline.Original(t.Context(), r.bus, rows[i]); err != nil || c.Key != want {
			t.Errorf("row %s is %+v, %v", want, c, err)
		}
	}
	last, err := pipeline.Requeue(t.Context(), r.bus, rows, "")
	if err != nil {
		t.Fatal(err)
	}
	r.loadThrough(r.contract(2), last)
	if got := r.cases(); got != "1=a/v1/1 2=b/v2/NULL 3=c/v2/NULL" {
		t.Errorf("the cases are %q", got)
	}
}

func TestARowThatIsNotThereIsNotAnother(t *testing.T) {
	r := newRig(t)
	sequence := r.publish(row(change.Create, "1", "a", "x"))
	for name, w := range map[string]warehouse.Waiting{
		"beyond the message": {Dataset: r.dataset, Department: "hall", Version: change.Version(sequence, 5)},
		"another dataset":    {Dataset: "other", Department: "hall", Version: change.Version(sequence, 0)},
		"no such message":    {Dataset: r.dataset, Department: "hall", Version: change.Version(sequence+1_000_000, 0)},
	} {
		if c, _, err := pipeline.Original(t.Context(), r.bus, w); err == nil {
			t.Errorf("%s: got the row of key %q", name, c.Key)
		}
		if _, err := pipeline.Requeue(t.Context(), r.bus, []warehouse.Waiting{w}, ""); err == nil {
			t.Errorf("%s: sent through the flow", name)
		}
	}
}
