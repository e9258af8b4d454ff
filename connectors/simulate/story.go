package simulate

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/shirecounty/shire/schemas/calendar"
)

// Story is one resident's way through three departments of a county that Write made. Every one of the three asks for the same paper, an
// identity card. What happens in it is dropped at the service hall like everything else; the truth is not extended.
type Story struct {
	Number  int // of this county, from 1: each is about another resident
	Errands []Errand
	hall    *hallOffice
	person  int32
	files   string // what stands in the names of its files
}

// Errand is an application for a service item (事项).
type Errand struct {
	Case       string // number of the case
	Item       string // code of the item
	Department string // that handles it
}

// storyItems are the errands of a parent who has lost their work, in their order.
var storyItems = []string{"339921RS0002", "339921WJ0001", "339921JY0002"}

// windowItems are what a needy resident applies for at the window of civil affairs: it asks for papers that a register shows, for one that none
// does, and in some cases for one that civil affairs keeps itself.
var windowItems = []string{"339921MZ0001"}

// ErrNoCounty says that a folder holds no county that [Write] made.
var ErrNoCounty = errors.New("no simulated county is there")

// NewStory begins the next story of the county in a folder. The resident is in the register of public security, and their identity card
// is valid on the day of now.
func NewStory(dir string, now time.Time) (*Story, error) {
	return newStory(dir, now, "story", schoolParents, storyItems)
}

// NewWindowCase begins the next case of the county in a folder that a clerk may look at: a story of one errand, of the item whose papers are
// of most kinds. The resident holds what NewStory says.
func NewWindowCase(dir string, now time.Time) (*Story, error) {
	return newStory(dir, now, "window", needy, windowItems)
}

func newStory(dir string, now time.Time, kind string, who group, wanted []string) (*Story, error) {
	m, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoCounty)
	}
	o := m.Options
	o.Dir = dir
	o.defaults()
	o.Defects = Defects{} // a story's rows are as a careful clerk writes them
	w, err := newWorld(o, dir)
	if err != nil {
		return nil, err
	}
	hall, err := newOffice(w, "service_hall", style{}, true)
	if err != nil {
		return nil, err
	}
	told, err := filepath.Glob(filepath.Join(dir, "departments", "service_hall", "cases-"+kind+"-*-1.csv"))
	if err != nil {
		return nil, err
	}
	s := &Story{Number: len(told) + 1, hall: newHallOffice(w, hall), files: kind}
	if s.person, err = s.resident(who, int32(calendar.DateOf(now))); err != nil {
		return nil, err
	}
	for i, code := range wanted {
		it := itemOf(code)
		s.Errands = append(s.Errands, Errand{Case: fmt.Sprintf("339921-%s%04d-%d", strings.ToUpper(kind), s.Number, i+1), Item: code, Department: departments[it.department].code})
	}
	return s, nil
}

// resident is of a group, such as parents of pupils, and of working age: another one for every story, until all have had theirs.
func (s *Story) resident(of group, today int32) (int32, error) {
	w := s.hall.world
	var able []int32
	for _, i := range s.hall.hall.groups[of] {
		q := &w.people[i]
		card := documentOf(w.opts.Seed, idCard, uint64(i), w.last)
		if !q.migrant && q.died == 0 && q.left == 0 && s.hall.hall.age(i, w.last) < 55 && card.from <= today && today <= card.until {
			able = append(able, i)
		}
	}
	if len(able) == 0 {
		return 0, errors.New("the simulated county has nobody for this story whose identity card is valid today; simulate more people")
	}
	return able[(s.Number-1)%len(able)], nil
}

// itemOf is the item of a code, which is one of this package's.
func itemOf(code string) *item {
	for i := range items {
		if items[i].code == code {
			return &items[i]
		}
	}
	panic("simulate: there is no item " + code)
}

// CitizenNumber is the resident's, who is as invented as it is.
func (s *Story) CitizenNumber() string { return s.hall.mentioning(s.person, s.hall.last).number }

// Apply drops the case of an errand, counted from 0, as it stands when the resident has just applied.
func (s *Story) Apply(errand int, at time.Time) error {
	e, it := s.Errands[errand], itemOf(s.Errands[errand].Item)
	m := s.hall.mentioning(s.person, s.hall.last)
	s.hall.cases.open(fmt.Sprintf("cases-%s-%04d-%d.csv", s.files, s.Number, errand+1))
	return errors.Join(s.hall.cases.row(e.Case, e.Item, it.name, departments[it.department].zh, "2", channels[window], townships[villages[m.village].township].code,
		m.name, m.number, m.phone, "", "", at.Format(time.DateTime), "", "", "", "", "", "1", number(it.statutory), number(it.promised), "", ""), s.hall.cases.close())
}

// HandIn drops the resident's identity card, handed in on paper in the case of an errand.
func (s *Story) HandIn(errand int, at time.Time) error {
	e, mat := s.Errands[errand], &materials[idCard]
	card := documentOf(s.hall.opts.Seed, idCard, uint64(s.person), s.hall.last)
	s.hall.materials.open(fmt.Sprintf("materials-%s-%04d-%d.csv", s.files, s.Number, errand+1))
	return errors.Join(s.hall.materials.row(paperKey(e.Case, 0), e.Case, departments[itemOf(e.Item).department].zh, mat.code, mat.zh, departments[mat.issuer].zh, card.number,
		at.Format(time.DateTime), formatDate(card.from, "2006-01-02"), formatDate(card.until, "2006-01-02"), "纸质"), s.hall.materials.close())
}
