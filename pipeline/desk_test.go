package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/identity/partition"
	"github.com/shirecounty/shire/pipeline/identity/review"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	schema "github.com/shirecounty/shire/schemas/identity"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// hall is a county at whose hall one citizen number was given in three cases, with a flow that runs.
type hall struct {
	*rig
	flow    *pipeline.Flow
	desk    *pipeline.Desk
	records []pseudonym.ID // of the cases 1, 2 and 3
	loaded  uint64
	stop    func() error
}

func newHall(t *testing.T) *hall {
	t.Helper()
	h := &hall{rig: newRig(t)}
	h.loaded = h.publish(row(change.Create, "1", "张伟", "1"), row(change.Create, "2", "张伟", "1"), row(change.Create, "3", "张伟", "1"))
	h.run()
	t.Cleanup(func() {
		if err := h.stop(); err != nil {
			t.Error(err)
		}
	})
	for _, n := range []string{"1", "2", "3"} {
		found := h.strings("SELECT toString(person_record) FROM store.cases FINAL WHERE dataset = ? AND case_number = ?", h.dataset, n)
		if len(found) != 1 {
			t.Fatalf("case %s has the records %v", n, found)
		}
		id, err := pseudonym.Parse(found[0])
		if err != nil {
			t.Fatal(err)
		}
		h.records = append(h.records, id)
	}
	return h
}

// named is the rig's contract with the item as the applicant's name: a number alone does not tell who somebody is.
func (h *hall) named() contract.Set {
	h.t.Helper()
	text := strings.Replace(contractText, "{id_number: card}", "{id_number: card, name: item}", 1)
	d, err := contract.Parse("c.yaml", fmt.Appendf(nil, text, h.dataset, 1, "", "v1"), "Asia/Shanghai")
	if err != nil {
		h.t.Fatal(err)
	}
	return contract.Set{d.Name: d}
}

// run starts the flow and waits until everything so far is loaded.
func (h *hall) run() {
	h.t.Helper()
	h.flow, h.stop = h.start(h.named(), small)
	h.wait(h.loaded)
	h.desk = h.newDesk()
}

func (h *hall) newDesk() *pipeline.Desk {
	return pipeline.NewDesk(pipeline.DeskOptions{Bus: h.bus, Identities: pipeline.Always(h.identities), Loaded: h.flow.Drain})
}

func (h *hall) wait(sequence uint64) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	if err := h.flow.Drain(ctx, sequence); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hall) verdict(a, b int, decision string) review.Verdict {
	return review.Verdict{About: "person", A: h.records[a-1], B: h.records[b-1], Decision: decision, Reviewer: "李梅", Reason: "问过本人", At: time.Now()}
}

func (h *hall) decide(a, b int, decision string) {
	h.t.Helper()
	if err := h.desk.Decide(h.t.Context(), h.verdict(a, b, decision)); err != nil {
		h.t.Fatalf("%d and %d are %s: %v", a, b, decision, err)
	}
}

// together says which of the three are one, as a state has them.
func (h *hall) together(m *identity.Matching) string {
	h.t.Helper()
	var words []string
	for _, p := range [][2]int{{1, 2}, {1, 3}, {2, 3}} {
		c := m.Partition("person").Case(h.records[p[0]-1], h.records[p[1]-1])
		if c == nil {
			h.t.Fatalf("%v is not known", p)
		}
		if c.Together {
			words = append(words, fmt.Sprintf("%d=%d", p[0], p[1]))
		}
	}
	return strings.Join(words, " ")
}

func (h *hall) expect(what, want string) {
	h.t.Helper()
	if got := h.together(h.identities); got != want {
		h.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestDesk(t *testing.T) {
	h := newHall(t)
	h.expect("by the number", "1=2 1=3 2=3")
	h.decide(2, 1, review.Different)
	mart := "SELECT concat(verdict, ' ', toString(decided_at IS NOT NULL)) FROM mart.verdicts WHERE record_a = toUUID(?) AND record_b = toUUID(?)"
	a, b := h.records[0], h.records[1]
	if slices.Compare(a[:], b[:]) > 0 {
		a, b = b, a
	}
	if got := h.strings(mart, a.String(), b.String()); len(got) != 1 || got[0] != "different 1" {
		t.Errorf("mart.verdicts has %q", got)
	}
	c, err := h.desk.Case(t.Context(), "person", h.records[0], h.records[1])
	if err != nil || c.Together || c.Verdict == nil || c.Verdict.Reviewer != "李梅" || c.Verdict.Reason != "问过本人" {
		t.Errorf("%+v, %v", c, err)
	}

	// 3 is the same as one of them: then not as the other.
	h.decide(1, 3, review.Same)
	h.expect("3 is 1", "1=3")
	var contradiction *review.Contradiction
	if err := h.desk.Decide(t.Context(), h.verdict(2, 3, review.Same)); !errors.As(err, &contradiction) || !strings.Contains(contradiction.Message, "withdraw one of them first") || !strings.Contains(contradiction.ZH, "请先撤回") {
		t.Errorf("%v", err)
	}
	if contradiction != nil && (strings.Contains(contradiction.Message, "李梅") || strings.Count(contradiction.Message, " and ") != 2) {
		t.Errorf("%s", contradiction.Message)
	}
	h.expect("nothing came of it", "1=3")

	// What is no verdict is not published.
	before, err := h.bus.LastSequence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var mistake *review.Mistake
	for _, change := range []func(v *review.Verdict){
		func(v *review.Verdict) { v.Decision = "perhaps" }, func(v *review.Verdict) { v.Reason = " \n" }, func(v *review.Verdict) { v.Reviewer = "" },
		func(v *review.Verdict) { v.B = v.A }, func(v *review.Verdict) { v.Reason = strings.Repeat("长", 2001) }, func(v *review.Verdict) { v.At = time.Time{} },
		func(v *review.Verdict) { v.About = "animal" },
	} {
		v := h.verdict(1, 2, review.Same)
		if change(&v); !errors.As(h.desk.Decide(t.Context(), v), &mistake) {
			t.Errorf("%+v is taken for a verdict", v)
		}
	}
	unknown := h.verdict(1, 2, review.Same)
	unknown.B = pseudonym.ID{1}
	if err := h.desk.Decide(t.Context(), unknown); !errors.Is(err, review.ErrUnknown) {
		t.Errorf("%v", err)
	}
	if _, err := h.desk.Case(t.Context(), "person", unknown.A, unknown.B); !errors.Is(err, review.ErrUnknown) {
		t.Errorf("%v", err)
	}
	if after, _ := h.bus.LastSequence(t.Context()); after != before {
		t.Errorf("%d messages were published", after-before)
	}

	// What is withdrawn was never said.
	withdraw := func() error { return h.desk.Withdraw(t.Context(), "person", h.records[1], h.records[0], "王强") }
	if err := withdraw(); err != nil {
		t.Fatal(err)
	}
	h.expect("withdrawn", "1=2 1=3 2=3")
	if got := h.strings(mart, a.String(), b.String()); len(got) != 0 {
		t.Errorf("mart.verdicts has %q", got)
	}
	if err := withdraw(); !errors.Is(err, review.ErrUnknown) {
		t.Errorf("withdrawn twice: %v", err)
	}
	h.decide(1, 2, review.Unsure)
	h.expect("unsure", "1=2 1=3 2=3")
	if held := h.strings("SELECT message FROM ops.quarantine WHERE dataset IN ('identity_verdicts', 'identity_models')"); len(held) > 0 {
		t.Errorf("in quarantine: %q", held)
	}
}

// Of two processes that decide at once, neither overlooks the other.
func TestDesksOfTwoProcesses(t *testing.T) {
	h := newHall(t)
	h.decide(1, 2, review.Different)
	other := h.newDesk()
	var group sync.WaitGroup
	errs := make([]error, 2)
	group.Go(func() { errs[0] = h.desk.Decide(t.Context(), h.verdict(1, 3, review.Same)) })
	group.Go(func() { errs[1] = other.Decide(t.Context(), h.verdict(2, 3, review.Same)) })
	group.Wait()
	held, refused := 0, 0
	for _, err := range errs {
		var contradiction *review.Contradiction
		switch {
		case err == nil:
			held++
		case errors.As(err, &contradiction):
			refused++
		default:
			t.Error(err)
		}
	}
	if held != 1 || refused != 1 {
		t.Errorf("%v", errs)
	}
	if got := h.together(h.identities); got != "1=3" && got != "2=3" {
		t.Errorf("%q", got)
	}
}

// A verdict outlives another model, a restart, and the loss of the state; and what was before can be worked out again.
func TestVerdictsStay(t *testing.T) {
	h := newHall(t)
	published := h.loaded
	used := func(about string) *schema.Model { return h.identities.Partition(about).Model().Spec() }
	none := func(string) *schema.Model { return nil }
	first, err := pipeline.PublishFirstModels(t.Context(), h.bus, none, time.Now())
	if err != nil || first == 0 {
		t.Fatal(first, err)
	}
	if again, err := pipeline.PublishFirstModels(t.Context(), h.bus, used, time.Now()); err != nil || again != 0 {
		t.Errorf("the models were told twice: %d, %v", again, err)
	}
	h.wait(first)
	h.decide(1, 2, review.Different)
	apart, err := h.bus.LastSequence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(used("person").Source()), "version: 1\n", "version: 2\n", 1)
	next, err := schema.Parse("next.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if h.loaded, err = pipeline.PublishModel(t.Context(), h.bus, next, "王强", time.Now()); err != nil {
		t.Fatal(err)
	}
	h.wait(h.loaded)
	proof := func(what string, m *identity.Matching) {
		t.Helper()
		if got := h.together(m); strings.Contains(got, "1=2") || got == "" {
			t.Errorf("%s: %q", what, got)
		}
		if used := m.Partition("person").Model().Spec(); used.Version != 2 {
			t.Errorf("%s: version %d is in use", what, used.Version)
		}
	}
	proof("another model", h.identities)
	if got := h.strings("SELECT concat(model, ' ', toString(current)) FROM mart.models WHERE party = 'person' ORDER BY model"); !slices.Contains(got, "person/2 1") {
		t.Errorf("mart.models has %q", got)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h.run()
	proof("a restart", h.identities)

	// Everything from the stream again, up to a place of it.
	past := func(version uint64) *identity.Matching {
		t.Helper()
		m := h.identitiesIn(t.TempDir())
		t.Cleanup(func() { m.Close() })
		if err := h.flowWith(m, h.named(), small).Past(t.Context(), version, m, func(_, _ uint64) {}); err != nil {
			t.Fatal(err)
		}
		return m
	}
	end := change.Version(h.loaded, 0)
	proof("from the stream", past(end))
	if got := h.together(past(change.Version(apart, 0))); strings.Contains(got, "1=2") {
		t.Errorf("right after the verdict: %q", got)
	}
	if got := h.together(past(change.Version(apart-1, 9))); got != "1=2 1=3 2=3" {
		t.Errorf("right before the verdict: %q", got)
	}
	now, then := explain(h.identities, h.records), explain(past(end), h.records)
	if now != then {
		t.Errorf("ids and reasons are others when they are worked out again:\n%s\n%s", now, then)
	}
	// In the midst of a message: of the first one only two rows.
	m := past(change.Version(published, 1))
	if n, _ := m.Partition("person").Records(); n != 2 {
		t.Errorf("after two rows there are %d records", n)
	}
	var early *pipeline.NotLoadedError
	if err := h.flowWith(m, h.named(), small).Past(t.Context(), change.Version(1<<30, 0), m, nil); !errors.As(err, &early) {
		t.Errorf("%v", err)
	}
}

func explain(m *identity.Matching, records []pseudonym.ID) string {
	var b strings.Builder
	for _, r := range records {
		p := m.Partition("person").ExplainParty(r, false)
		fmt.Fprintf(&b, "%s %s %d %d; ", r, p.Party, p.Born, p.Size)
	}
	why := m.Partition("person").Explain(records[0], records[1], false)
	fmt.Fprint(&b, slices.Collect(func(yield func(string) bool) {
		for _, r := range why.Reasons {
			yield(r.Code)
		}
	}))
	if !slices.ContainsFunc(why.Reasons, func(r partition.Reason) bool { return r.Code == partition.Ruled }) {
		b.WriteString(" without the verdict")
	}
	return b.String()
}
