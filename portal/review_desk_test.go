package portal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/pipeline/identity/review"
	"github.com/shirecounty/shire/schemas/identity"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// A desk of made-up people: nobody has these numbers, for there is no county 339921.

type fakeDesk struct {
	mu       sync.Mutex
	cases    []*review.Case
	decided  []review.Verdict
	err      error         // of every method
	contrary string        // what Decide is refused with
	slow     chan struct{} // if not nil, everything waits for it
}

var _ review.Desk = (*fakeDesk)(nil)

func (d *fakeDesk) wait(ctx context.Context) error {
	if d.slow != nil {
		select {
		case <-d.slow:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

func (d *fakeDesk) Queue(ctx context.Context, about string, limit int) (items []review.Item, total int, err error) {
	if err := d.wait(ctx); err != nil {
		return nil, 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.cases {
		if c.About == about && c.Verdict == nil {
			if total++; len(items) < limit {
				items = append(items, c.Item)
			}
		}
	}
	return items, total, nil
}

func (d *fakeDesk) find(about string, a, b pseudonym.ID) *review.Case {
	i := slices.IndexFunc(d.cases, func(c *review.Case) bool { return c.About == about && c.A == a && c.B == b })
	if i < 0 {
		return nil
	}
	return d.cases[i]
}

func (d *fakeDesk) Case(ctx context.Context, about string, a, b pseudonym.ID) (*review.Case, error) {
	if err := d.wait(ctx); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.find(about, a, b)
	if c == nil {
		return nil, review.ErrUnknown
	}
	shown := *c
	return &shown, nil
}

func (d *fakeDesk) Decide(ctx context.Context, v review.Verdict) error {
	if err := d.wait(ctx); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.contrary != "" {
		return fmt.Errorf("deciding: %w", &review.Contradiction{Message: d.contrary})
	}
	c := d.find(v.About, v.A, v.B)
	if c == nil {
		return review.ErrUnknown
	}
	c.Verdict, c.Together = &v, v.Decision == review.Same
	d.decided = append(d.decided, v)
	return nil
}

func (d *fakeDesk) Withdraw(ctx context.Context, about string, a, b pseudonym.ID, _ string) error {
	if err := d.wait(ctx); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.find(about, a, b)
	if c == nil || c.Verdict == nil {
		return review.ErrUnknown
	}
	c.Verdict = nil
	return nil
}

// recordID makes ids that are easy to tell apart: 1 is 00000000-0000-8000-8000-000000000001.
func recordID(n int) pseudonym.ID {
	return pseudonym.ID{6: 0x80, 8: 0x80, 14: byte(n >> 8), 15: byte(n)}
}

var personFields = []review.Field{
	{Name: "name", ZH: "姓名", EN: "Name"}, {Name: "id_number", ZH: "公民身份号码", EN: "Citizen number"}, {Name: "sex", ZH: "性别", EN: "Sex"},
	{Name: "birth_date", ZH: "出生日期", EN: "Date of birth"}, {Name: "phone", ZH: "联系电话", EN: "Telephone"}, {Name: "address", ZH: "住址", EN: "Address"},
}

func step(comparison, level string, weight, rarity match.Weight) match.Step {
	return match.Step{Comparison: comparison, Level: level, Weight: weight, Rarity: rarity}
}

// newDesk has one of each sort of case, in the order of what they settle.
func newDesk() *fakeDesk {
	d := &fakeDesk{}
	add := func(settles int, left, right review.Side, neighbours []review.Record, steps []match.Step, doubts ...string) {
		n := len(d.cases)*10 + 1
		left.Record.ID, right.Record.ID = recordID(n), recordID(n+1)
		left.Party, right.Party = recordID(1000+n), recordID(1000+n+1)
		left.Members, left.Neighbours, right.Members = 1+len(neighbours), neighbours, 1
		e := &match.Explanation{Model: "person/1/1f0c2ab4d6e89370", Prior: -16200, Steps: steps, Doubts: doubts, Weight: -16200}
		for _, s := range steps {
			e.Weight += s.Weight
		}
		if len(doubts) > 0 {
			e.Weight = min(e.Weight, weightOf(0.95)-1)
		}
		d.cases = append(d.cases, &review.Case{
			Item:   review.Item{About: "person", A: left.Record.ID, B: right.Record.ID, Weight: e.Weight, Probability: match.Probability(e.Weight), Settles: settles, Doubts: doubts},
			Fields: personFields, Left: left, Right: right, Explanation: e,
		})
	}
	record := func(dataset, role string, values ...string) review.Side {
		return review.Side{Record: review.Record{Dataset: dataset, Role: role, Values: values}}
	}
	neighbour := func(n int, dataset, role string, values ...string) review.Record {
		return review.Record{ID: recordID(5000 + n), Dataset: dataset, Role: role, Values: values}
	}
	add(28, record("civil_affairs_applications", "applicant", "欧阳慧敏", "339921198601201134", "女", "1986-01-20", "13905550123", "澄溪县城关镇东风社区3组12号"),
		record("health_births", "mother", "欧阳惠敏", "339921198601201143", "女", "1986-01-20", "13905550123", "城关镇东风村三组"),
		[]review.Record{
			neighbour(1, "social_security_insured", "insured", "欧阳慧敏", "339921198601201134", "女", "1986-01-20", "", "城关镇东风社区"),
			neighbour(2, "service_hall_visits", "visitor", "欧阳慧敏", "339921198601201134", "", "", "13905550123", ""),
			neighbour(3, "education_pupils", "guardian", "欧阳慧敏", "", "女", "1986-01-20", "13905550123", "东风社区3组12号"),
		},
		[]match.Step{step("number", "one_slip", 3100, 0), step("name", "alike", 4800, 0), step("sex", "exact", 900, 0), step("birth", "exact", 7400, 0), step("phone", "exact", 5200, -1100), step("address", "village", 2100, 0)})
	add(9, record("civil_affairs_applications", "applicant", "王芳", "", "女", "1979-10-01", "13905550177", "澄溪县白石乡柳树村"),
		record("social_security_insured", "insured", "王芳", "339921197909304328", "女", "1979-09-30", "", "白石乡"),
		[]review.Record{neighbour(4, "service_hall_visits", "visitor", "王芳", "", "女", "1979-10-01", "13905550177", "")},
		[]match.Step{step("number", "missing", 0, 0), step("name", "exact", 8900, -2600), step("sex", "exact", 900, 0), step("birth", "slip", 4100, 0), step("phone", "missing", 0, 0), step("address", "township", 600, 0)})
	add(4, record("health_births", "father", "李建国", "339921196503071219", "男", "1965-03-07", "13905550140", "澄溪县青山镇大湾村5组"),
		record("civil_affairs_applications", "household_member", "张翠兰", "339921196503071219", "女", "1966-11-12", "13905550140", "澄溪县青山镇大湾村5组"), nil,
		[]match.Step{step("number", "exact", 19400, 0), step("name", "disagrees", -5200, 0), step("sex", "disagrees", -4300, 0), step("birth", "disagrees", -4900, 0), step("phone", "exact", 5200, 0), step("address", "house", 9300, 0)},
		"number_of_two")
	add(1, record("education_pupils", "pupil", "阿依古丽·买买提", "", "女", "2015-05-04", "", "澄溪县城关镇"),
		record("health_births", "child", "阿依古丽买买提", "", "", "2015-05-04", "", ""), nil,
		[]match.Step{step("number", "missing", 0, 0), step("name", "variant", 12800, 3900), step("sex", "missing", 0, 0), step("birth", "exact", 7400, 0), step("phone", "missing", 0, 0), step("address", "missing", 0, 0)})
	for _, c := range d.cases {
		if bytes.Compare(c.A[:], c.B[:]) >= 0 {
			panic("A is less than B")
		}
	}
	return d
}

func shippedModel(about string) *identity.Model {
	m, err := identity.Shipped(about)
	if err != nil {
		return nil
	}
	return m
}

type fakeReviewers struct {
	mu       sync.Mutex
	since    time.Time
	password string
	err      error
}

const testReviewer = "李梅"

func newReviewers() *fakeReviewers {
	return &fakeReviewers{since: time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC), password: "only-for-tests"}
}

func (f *fakeReviewers) Check(name, password string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return name == testReviewer && password == f.password && !f.since.IsZero(), f.err
}

func (f *fakeReviewers) Since(name string) (time.Time, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if name != testReviewer {
		return time.Time{}, f.err
	}
	return f.since, f.err
}

func (f *fakeReviewers) set(since time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.since = since
}

type fakeAccesses struct {
	mu   sync.Mutex
	list []Access
	err  error
}

func (f *fakeAccesses) Record(_ context.Context, a Access) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	f.list = append(f.list, a)
	return nil
}

var errFault = errors.New("the engine says 339921198601201134 欧阳慧敏 13905550123")
