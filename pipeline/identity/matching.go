package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/shirecounty/shire/pipeline/identity/partition"
	"github.com/shirecounty/shire/pipeline/normalise"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/identity"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Matching resolves by the weight of the evidence: a partition of persons and one of organisations.
type Matching struct {
	persons       *partition.Partition
	organisations *partition.Partition
	log           *slog.Logger
	opt           Options
	replacing     sync.RWMutex // held while Reset puts others in their place; who reads asks for them by Partition

	mu    sync.Mutex
	ahead map[*normalise.Rows]*queue // messages that were begun ahead, by their first mention
}

var _ Resolver = (*Matching)(nil)

// Columns of a mention that say something about the party. The others, such as its status, change without its being
// another.
var columns = map[string][]string{
	Person:       {"name", "id_number", "sex", "birth_date", "phone", "address", "division", "household"},
	Organisation: {"name", "organisation_code", "phone", "address", "division"},
}

// Options of a Matching.
type Options struct {
	Dir      string // where the state is kept
	Hasher   *pseudonym.Hasher
	ReadOnly bool // to look at the state of a running node
	NoSync   bool // do not wait for the disk: what is thrown away again
	Log      *slog.Logger
}

// Open opens the state of identities, and makes it when there is none.
func Open(o Options) (*Matching, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	m := &Matching{log: o.Log, opt: o, ahead: map[*normalise.Rows]*queue{}}
	if err := m.open(); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Matching) open() error {
	o := m.opt
	for _, about := range []string{Person, Organisation} {
		p, err := partition.Open(partition.Options{
			About: about, Columns: columns[about], Dir: filepath.Join(o.Dir, about), Hasher: o.Hasher.Clone(), ReadOnly: o.ReadOnly, NoSync: o.NoSync, Log: o.Log,
		})
		if err != nil {
			m.Close()
			return err
		}
		*m.of(about) = p
	}
	return nil
}

// Reset forgets everything: the state is made again from the stream.
func (m *Matching) Reset() error {
	m.replacing.Lock()
	defer m.replacing.Unlock()
	if err := m.Close(); err != nil {
		return err
	}
	m.persons, m.organisations = nil, nil
	for _, about := range []string{Person, Organisation} {
		if err := os.RemoveAll(filepath.Join(m.opt.Dir, about)); err != nil {
			return fmt.Errorf("the state of identities cannot be removed: %w", err)
		}
	}
	return m.open()
}

func (m *Matching) of(about string) **partition.Partition {
	if about == Organisation {
		return &m.organisations
	}
	return &m.persons
}

// Partition is the partition of persons or of organisations.
func (m *Matching) Partition(about string) *partition.Partition {
	m.replacing.RLock()
	defer m.replacing.RUnlock()
	return *m.of(about)
}

// Close ends the use of the state.
func (m *Matching) Close() error {
	var errs []error
	for _, p := range []*partition.Partition{m.persons, m.organisations} {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	return errors.Join(errs...)
}

// Position is the last sequence that both partitions have kept.
func (m *Matching) Position() uint64 { return min(m.persons.Position(), m.organisations.Position()) }

// Beyond tells whether either partition has kept something that came after a sequence. They are kept one after the other,
// so that a process that was killed in between leaves one of them ahead.
func (m *Matching) Beyond(sequence uint64) bool {
	return max(m.persons.Position(), m.organisations.Position()) > sequence
}

// Keep makes what was decided durable.
func (m *Matching) Keep(last uint64) error {
	return errors.Join(m.persons.Keep(last), m.organisations.Keep(last))
}

// Resolve decides whom the mentions are about.
func (m *Matching) Resolve(ctx context.Context, mentions []*normalise.Rows, recorded []byte) (Outcome, error) {
	q := m.queue(mentions)
	for _, r := range mentions {
		r.LinkRule = make([]string, r.Batch.Len())
		switch r.Table.Mention {
		case canonical.PersonMention:
			r.PersonID = make([]pseudonym.ID, r.Batch.Len())
		case canonical.OrganisationMention:
			r.OrganisationID = make([]pseudonym.ID, r.Batch.Len())
		}
	}
	var out Outcome
	for _, about := range []string{Person, Organisation} {
		links, err := m.resolve(ctx, about, q.of(about))
		if err != nil {
			return Outcome{}, err
		}
		for _, l := range links {
			out.Links = append(out.Links, Link{about, l})
		}
	}
	if recorded == nil {
		out.Decisions = encode(mentions, out.Links)
		return out, nil
	}
	links, err := decode(recorded, mentions)
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{Decisions: recorded, Links: links}, nil
}

// Ahead begins with mentions that a later Resolve will bring: what they say is prepared while the ranges before theirs are
// decided. They are those of one message.
func (m *Matching) Ahead(mentions []*normalise.Rows) {
	if len(mentions) == 0 {
		return
	}
	q := newQueue(mentions)
	q.message(mentions, m)
	m.persons.Prepare(q.persons.changes)
	m.organisations.Prepare(q.organisations.changes)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ahead[mentions[0]] = q
}

// queue takes in the mentions of a range, message by message.
func (m *Matching) queue(mentions []*normalise.Rows) *queue {
	q := newQueue(mentions)
	for from := 0; from < len(mentions); {
		to := from + 1
		for to < len(mentions) && mentions[to].Batch == mentions[from].Batch {
			to++
		}
		m.mu.Lock()
		ready := m.ahead[mentions[from]]
		delete(m.ahead, mentions[from])
		m.mu.Unlock()
		if ready != nil {
			q.persons.append(&ready.persons)
			q.organisations.append(&ready.organisations)
		} else {
			q.message(mentions[from:to], m)
		}
		from = to
	}
	return q
}

// resolve applies the changes of one kind of party, and writes what it says into their rows.
func (m *Matching) resolve(ctx context.Context, about string, l *lane) ([]partition.Link, error) {
	p := m.Partition(about)
	// What was kept before the range was finished is in the state already.
	for len(l.changes) > 0 && change.SequenceOf(l.changes[0].At) <= p.Position() {
		l.changes, l.rows = l.changes[1:], l.rows[1:]
	}
	if len(l.changes) == 0 {
		return nil, nil
	}
	if p.Model() == nil && l.changes[0].Model == nil {
		spec, err := identity.Shipped(about)
		if err != nil {
			return nil, err
		}
		l.changes = append([]partition.Change{{At: l.changes[0].At, Version: 1, Time: l.changes[0].Time, Model: spec}}, l.changes...)
		l.rows = append([]place{{}}, l.rows...)
	}
	said, links, err := p.Apply(ctx, l.changes)
	if err != nil {
		return nil, fmt.Errorf("%ss: %w", about, err)
	}
	for i, r := range l.rows {
		if r.rows == nil {
			continue
		}
		r.rows.LinkRule[r.row] = said[i].Rule
		if about == Person {
			r.rows.PersonID[r.row] = said[i].Party
		} else {
			r.rows.OrganisationID[r.row] = said[i].Party
		}
	}
	return links, nil
}

// queue is the changes of a range, in stream order, by what they are about.
type queue struct{ persons, organisations lane }

type lane struct {
	changes []partition.Change
	rows    []place // whose rows get what is said of each change
}

type place struct {
	rows *normalise.Rows // nil for a verdict or a model
	row  int32
}

func newQueue(mentions []*normalise.Rows) *queue {
	q := &queue{}
	rows := map[canonical.Mention]int{}
	for _, r := range mentions {
		rows[r.Table.Mention] += len(r.Source)
	}
	q.persons.grow(rows[canonical.PersonMention])
	q.organisations.grow(rows[canonical.OrganisationMention])
	return q
}

func (l *lane) append(m *lane) {
	l.changes, l.rows = append(l.changes, m.changes...), append(l.rows, m.rows...)
}

func (l *lane) grow(n int) {
	l.changes, l.rows = make([]partition.Change, 0, n), make([]place, 0, n)
}

func (q *queue) of(about string) *lane {
	if about == Organisation {
		return &q.organisations
	}
	return &q.persons
}

func (l *lane) add(c partition.Change, p place) {
	l.changes, l.rows = append(l.changes, c), append(l.rows, p)
}

// message takes in the mentions of one message, row by row: the order of the stream.
func (q *queue) message(mentions []*normalise.Rows, m *Matching) {
	next := make([]int, len(mentions))
	said := make([]*saying, len(mentions))
	for k, r := range mentions {
		switch r.Table.Mention {
		case canonical.PersonMention:
			said[k] = newSaying(r, columns[Person])
		case canonical.OrganisationMention:
			said[k] = newSaying(r, columns[Organisation])
		}
	}
	for row := range int32(mentions[0].Batch.Len()) {
		for k, r := range mentions {
			if next[k] == len(r.Source) || r.Source[next[k]] != row {
				continue
			}
			next[k]++
			c := partition.Change{
				At: change.Version(r.Sequence, int(row)), Time: r.Arrived, Record: r.RecordID[row],
				Version: r.Batch.Version(r.Sequence, int(row)), Gone: r.Deleted[row],
			}
			switch r.Table.Mention {
			case canonical.PersonMention, canonical.OrganisationMention:
				about := Person
				if r.Table.Mention == canonical.OrganisationMention {
					about = Organisation
				}
				c.Dataset, c.Role = r.Batch.Dataset, r.Role
				if !c.Gone {
					c.Values = said[k].values(int(row))
				}
				q.of(about).add(c, place{r, row})
			case canonical.VerdictMention:
				q.verdict(c, r, int(row))
			case canonical.ModelMention:
				q.model(c, r, int(row), m)
			}
		}
	}
}

func (q *queue) verdict(c partition.Change, r *normalise.Rows, row int) {
	c.Verdict = &partition.Verdict{}
	if c.Gone {
		// The row says no more than its key: who does not know the verdict has nothing to take back.
		q.persons.add(c, place{})
		q.organisations.add(c, place{})
		return
	}
	text := func(name string) string { return values(r, []string{name}, row)[0] }
	a, errA := pseudonym.Parse(text("record_a"))
	b, errB := pseudonym.Parse(text("record_b"))
	if errA != nil || errB != nil {
		return // nobody's records: there is nothing to decide
	}
	i, _ := r.Table.Column("decided_at")
	*c.Verdict = partition.Verdict{
		A: a, B: b, Decision: text("verdict"), Reviewer: text("reviewer"), Reason: text("reason"), At: time.UnixMicro(r.Columns[i].Ints[row]).UTC(),
	}
	q.of(text("party")).add(c, place{})
}

func (q *queue) model(c partition.Change, r *normalise.Rows, row int, m *Matching) {
	if c.Gone {
		return
	}
	text := func(name string) string { return values(r, []string{name}, row)[0] }
	spec, err := identity.Parse("model "+text("model"), []byte(text("text")))
	if err == nil {
		_, err = m.Partition(text("party")).Compile(spec)
	}
	if err != nil {
		// It was checked before it was chosen: another version of the program chose it.
		m.log.Error("a model that was chosen is not understood by this version, and the one before it stays in use", "model", text("model"), "error", err)
		return
	}
	c.Model = spec
	q.of(text("party")).add(c, place{})
}

// values are some columns of a row as text.
func values(r *normalise.Rows, names []string, row int) []string {
	return newSaying(r, names).values(row)
}

// saying is some columns of rows, found once for all of them.
type saying struct {
	columns []*normalise.Column // nil where the contract fills none
	dates   []bool
	room    []string
}

func newSaying(r *normalise.Rows, names []string) *saying {
	s := &saying{columns: make([]*normalise.Column, len(names)), dates: make([]bool, len(names)), room: make([]string, len(r.Source)*len(names))}
	for k, name := range names {
		i, col := r.Table.Column(name)
		s.columns[k], s.dates[k] = r.Columns[i], col.Type == canonical.Date
	}
	return s
}

func (s *saying) values(row int) []string {
	n := len(s.columns)
	if len(s.room) < n {
		s.room = make([]string, n)
	}
	out := s.room[:n:n]
	s.room = s.room[n:]
	for k, c := range s.columns {
		switch {
		case c == nil:
		case c.Valid == nil:
			out[k] = c.TextAt(row)
		case !c.Valid[row]:
		case s.dates[k]:
			out[k] = day(c.Ints[row])
		default:
			out[k] = strconv.FormatInt(c.Ints[row], 10)
		}
	}
	return out
}

// day writes days since 1970-01-01 as a date.
func day(days int64) string {
	return string(time.Unix(days*86400, 0).UTC().AppendFormat(make([]byte, 0, 10), "2006-01-02"))
}

// Copy copies the state in dir into another folder, beside whoever uses it. Where there is none it copies nothing. The two
// partitions may be of different moments, as after a kill.
func Copy(dir, to string) error {
	for _, about := range []string{Person, Organisation} {
		if err := partition.Copy(filepath.Join(dir, about), filepath.Join(to, about)); err != nil {
			return err
		}
	}
	return nil
}
