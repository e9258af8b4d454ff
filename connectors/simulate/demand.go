package simulate

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/shirecounty/shire/schemas/calendar"
)

// hall makes the cases of a day, in order of application.
type hall struct {
	*world
	d      *dice
	groups [groupCount][]int32
	day    []caseLife // reused
}

func newHall(w *world) *hall {
	h := &hall{world: w, d: newDice(w.opts.Seed)}
	for i := range w.people {
		for g := range groupCount {
			if h.mayEverApply(g, int32(i)) {
				h.groups[g] = append(h.groups[g], int32(i))
			}
		}
	}
	for i := range w.organisations {
		h.groups[companies] = append(h.groups[companies], int32(i))
	}
	for g := range h.groups {
		s := h.groups[g]
		h.d.at(ofShuffle, uint64(g), 0).Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
	}
	return h
}

// mayEverApply tells whether a person can belong to the group on some simulated day.
func (h *hall) mayEverApply(g group, i int32) bool {
	q := &h.people[i]
	age := h.age(i, h.last)
	if age < 18 {
		return false
	}
	switch g {
	case adults:
		return true
	case needy:
		return h.households[q.household].poor || mix(h.opts.Seed, uint64(i), 77)%8 == 0
	case disabled:
		return q.disabled
	case elderly:
		return age >= 66
	case workers:
		return age < 60
	case retiring:
		return age >= 50 && age <= 65
	case newcomers:
		return q.migrant
	case newParents, schoolParents:
		for k := h.households[q.household].first; k < h.households[q.household].first+h.households[q.household].size; k++ {
			if child := &h.people[k]; child.mother == i || child.father == i {
				a := h.age(k, h.last)
				if g == newParents && a < 5 || g == schoolParents && a >= 6 && a <= 17 {
					return true
				}
			}
		}
	}
	return false
}

// activePeriod is how long, in days, somebody is busy with an event of their life: a birth, a move, a pension.
const activePeriod = 80

// active tells whether something is going on in a person's life on the day: about one time in nine.
func (h *hall) active(i, day int32) bool {
	shift := int32(mix(h.opts.Seed, uint64(i), 88) % activePeriod)
	return mix(h.opts.Seed, uint64(i), uint64((day+shift)/activePeriod), 89)%9 == 0
}

// applicant draws somebody of the group who lives here on the day; nobody when the group is empty. Most applications
// come from the few for whom it is a busy time, so that the same papers are asked for within weeks.
func (h *hall) applicant(g group, day int32) int32 {
	s := h.groups[g]
	found := nobody
	if len(s) == 0 {
		return nobody
	}
	for range 25 {
		i := s[h.d.IntN(len(s))]
		if !h.present(i, day) || h.age(i, day) < 18 {
			continue
		}
		if found = i; h.active(i, day) || h.d.chance(.03) {
			break
		}
	}
	return found
}

// casesOf makes the cases of a day. The slice is valid until the next call.
func (h *hall) casesOf(day int32) []caseLife {
	h.day = h.day[:0]
	for it := range items {
		h.d.at(ofDemand, uint64(day), uint64(it))
		n := h.d.poisson(h.demand(&items[it], day))
		for k := range n {
			ordinal := uint64(it)<<32 | uint64(k)
			if c, ok := h.live(day, it, ordinal); ok {
				h.day = append(h.day, c)
			}
		}
	}
	slices.SortStableFunc(h.day, func(a, b caseLife) int { return cmp.Compare(a.applied, b.applied) })
	counters := map[int]int{}
	date := calendar.Date(day).Time().Format("20060102")
	for i := range h.day {
		dept := items[h.day[i].item].department
		counters[dept]++
		h.day[i].number = fmt.Sprintf("%s%s%05d", departments[dept].prefix, date, counters[dept])
	}
	return h.day
}

// demand is the mean number of applications of an item on a day.
func (h *hall) demand(it *item, day int32) float64 {
	mean := it.demand * float64(h.opts.People) / 1000 / 365.25
	if it.season != even {
		mean *= it.season[calendar.Date(day).Time().Month()-1]
	}
	if !h.clock.isWorking(day) {
		return mean * it.online * .35 // nobody comes to a closed window
	}
	// The offices are open on about 248 of 365 days; Monday is busiest.
	byWeekday := [7]float64{1, 1.25, 1.05, 1, .95, .85, 1}
	return mean * 1.38 * byWeekday[calendar.Date(day).Weekday()]
}

// live makes the whole life of one case.
func (h *hall) live(day int32, it int, ordinal uint64) (caseLife, bool) {
	d := h.d.at(ofCase, uint64(day), ordinal)
	item := &items[it]
	c := caseLife{day: day, ordinal: ordinal, item: it, org: nobody,
		accepted: never, promised: never, extended: never, closed: never, delivered: never, rated: never, corrected: never}
	if item.group == companies {
		if len(h.groups[companies]) == 0 {
			return c, false
		}
		c.org = h.groups[companies][d.IntN(len(h.groups[companies]))]
		c.person = h.organisations[c.org].director
		c.division = villages[h.organisations[c.org].village].township
	} else {
		if c.person = h.applicant(item.group, day); c.person == nobody {
			return c, false
		}
		c.division = villages[h.households[h.people[c.person].household].villageOn(day)].township
	}
	h.apply(d, item, &c)
	h.prepare(d, item, &c)
	h.handle(d, item, &c)
	h.conclude(d, item, &c)
	h.handIn(d, item, &c)
	return c, true
}
