package simulate

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/shirecounty/shire/schemas/calendar"
)

// The steps of a case (环节).
const (
	applying = iota
	accepting
	reviewing
	visiting
	deciding
	issuing
)

var activities = []string{applying: "收件", accepting: "受理", reviewing: "审查", visiting: "现场核查", deciding: "审批决定", issuing: "制证发证"}

const (
	window = iota
	online
	mobile
	terminal
)

const (
	granted = iota
	refused
	withdrawn
)

// span is a period; end is never while it is open for ever.
type span struct{ start, end int64 }

type step struct {
	span
	activity int
	returned bool
	handler  int
	filled   bool // its end was not recorded: the source fills it with the start
}

type special struct {
	span
	extension bool // else a hearing, an inspection or an appraisal
}

type paper struct {
	material int
	shared   bool
	at       int64
	document
}

// caseLife is the whole life of a case (办件), also of what lies beyond the simulated days; what the hall has written
// down at a given time is read off by asking for the events up to then.
type caseLife struct {
	number     string
	day        int32
	ordinal    uint64 // names its random stream
	item       int
	person     int32 // the applicant, or the agent of an organisation
	org        int32
	division   int
	channel    int
	applied    int64
	accepted   int64
	promised   int64 // first promise
	extended   int64 // the promise after stops
	closed     int64
	delivered  int64
	rated      int64
	corrected  int64 // when a mistake in the case's row was mended; before that its visits are wrong
	score      int
	result     int
	visits     int
	supplement []span
	specials   []special
	steps      []step
	papers     []paper
	work       int64 // working time from acceptance to closing, stops left out
	unlinked   int64 // the same without the data link
}

// lastEvent is the time after which nothing changes any more.
func (c *caseLife) lastEvent() int64 {
	last := c.applied
	for _, t := range []int64{c.accepted, c.closed, c.delivered, c.rated, c.corrected} {
		if t < never {
			last = max(last, t)
		}
	}
	for _, s := range c.supplement {
		last = max(last, s.start, s.end)
	}
	for _, s := range c.specials {
		last = max(last, s.start, s.end)
	}
	return last
}

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
	case couples:
		return q.spouse != nobody
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

func (h *hall) apply(d *dice, item *item, c *caseLife) {
	start := int64(c.day) * dayLong
	switch {
	case !h.clock.isWorking(c.day) || d.chance(item.online):
		c.channel = []int{online, mobile, terminal}[d.pick(.5, .4, .1)]
		c.applied = start + 7*hour + int64(d.Float64()*float64(15*hour))
	default:
		c.channel = window
		u := int64(d.Float64() * float64(workday))
		if c.applied = start + opens + u; u >= noon-opens {
			c.applied += afternoon - noon
		}
	}
}

// prepare leads from the application over a supplement (补正) to the acceptance (受理).
func (h *hall) prepare(d *dice, item *item, c *caseLife) {
	look := d.lognormal(.3, .8) // working days until somebody looks at it
	if item.onSpot {
		look = d.lognormal(.01, .5)
	} else if c.channel == window && d.chance(.6) {
		look = d.lognormal(.02, .5) // accepted at the window
	}
	ready := h.clock.after(c.applied, int64(min(look, 4.5)*float64(workday)))
	if ready == c.applied {
		ready += minute
	}
	c.steps = append(c.steps, step{span: span{c.applied, ready}, activity: applying, handler: d.IntN(30), filled: d.chance(h.opts.Defects.StepEndFilled)})
	if d.chance(item.supplement * .75) {
		back := ready + int64(d.lognormal(3, .7)*float64(dayLong))
		if back = max(h.clock.after(back, 10*minute), ready+hour); d.chance(.02) {
			back = never // the applicant never came back
		}
		c.supplement = append(c.supplement, span{ready, back})
		if ready = back; back == never {
			return
		}
		ready = h.clock.after(back, int64(d.lognormal(.1, .7)*float64(workday)))
	}
	c.accepted = ready
	c.promised = h.clock.deadline(c.accepted, item.promised)
	c.extended = c.promised
}

// part is a step's share of the working time.
type part struct {
	activity int
	share    float64
}

var (
	promisedParts = []part{{accepting, .04}, {reviewing, .56}, {deciding, .28}, {issuing, .12}}
	onSpotParts   = []part{{accepting, .3}, {deciding, .7}}
)

// handle spreads the working time over the steps and stops the clock where a procedure does.
func (h *hall) handle(d *dice, item *item, c *caseLife) {
	// The effort of the case, in shares of the promised time: most cases take a bit under half, a few are late, and
	// very few lie about for months.
	effort := min(d.lognormal(.45, .45), .97)
	switch d.pick(.928, .065, .007) {
	case 1:
		effort = 1.03 + .5*d.ExpFloat64()
	case 2:
		effort = 4 + 8*d.Float64()
	}
	work := effort * float64(item.promised) * float64(workday)
	if item.onSpot {
		work = min(d.lognormal(float64(14*minute), .7), float64(workday))
	}
	years := float64(c.day-h.first) / 365.25
	work *= math.Pow(1-yearlyGain, years)
	c.unlinked = max(3*minute, int64(work))
	c.work = c.unlinked
	if item.linked && c.day >= h.launch {
		c.work = max(2*minute, int64(work*link.factor))
	}
	stopped := [2]int64{}          // working time that the stops take
	stopAt := [2]float64{.25, .55} // where in the work they fall
	inWork := d.chance(item.supplement * .25)
	extra := !item.onSpot && d.chance(.04)
	answer := int64(d.lognormal(2.5, .6) * float64(workday))
	procedure := int64(d.between(4, 15)) * workday
	extension := d.chance(.35)
	if inWork {
		stopped[0] = answer
	}
	if extra {
		stopped[1] = procedure
	}
	parts := promisedParts
	if item.onSpot {
		parts = onSpotParts
	}
	returned := !item.onSpot && d.chance(.05)
	visited := !item.onSpot && d.chance(.25)
	if c.accepted == never {
		return
	}
	done := 0.0
	at := func(share float64) int64 {
		w := int64(share * float64(c.work))
		for i, s := range stopped {
			if share > stopAt[i] {
				w += s
			}
		}
		return h.clock.after(c.accepted, w)
	}
	begin := c.accepted
	add := func(activity int, share float64, returned bool) {
		done += share
		end := at(min(done, 1))
		c.steps = append(c.steps, step{span{begin, end}, activity, returned, items[c.item].department*40 + d.IntN(12), d.chance(h.opts.Defects.StepEndFilled)})
		begin = end
	}
	for _, p := range parts {
		switch {
		case p.activity == reviewing && returned:
			add(reviewing, p.share*.5, true)
			add(reviewing, p.share*.5, false)
		case p.activity == reviewing && visited:
			add(reviewing, p.share*.5, false)
			add(visiting, p.share*.5, false)
		default:
			add(p.activity, p.share, false)
		}
	}
	c.closed = begin
	stop := func(i int) span {
		start := h.clock.after(c.accepted, int64(stopAt[i]*float64(c.work))+stopped[0]*int64(i))
		return span{start, h.clock.after(start, stopped[i])}
	}
	if inWork {
		c.supplement = append(c.supplement, stop(0))
	}
	if extra {
		c.specials = append(c.specials, special{stop(1), extension})
	}
	if longer := stopped[0] + stopped[1]; longer > 0 {
		c.extended = h.clock.deadline(c.accepted, item.promised+int((longer+workday-1)/workday))
	}
}

// conclude closes, delivers and rates.
func (h *hall) conclude(d *dice, item *item, c *caseLife) {
	c.result = d.pick(.94, .04, .02)
	collect, none := d.chance(.5), d.chance(.03)
	wait := d.lognormal(.8, .8)
	if item.onSpot {
		wait = d.lognormal(.01, .5)
	}
	rates, after := d.chance(.37), d.ExpFloat64()
	late := c.closed > c.extended
	weights := []float64{.70, .21, .06, .02, .01}
	if late {
		weights = []float64{.38, .27, .17, .10, .08}
	}
	c.score = d.pick(weights...) + 1
	c.visits = len(c.supplement)
	if c.channel == window {
		if c.visits++; collect && !item.onSpot {
			c.visits++
		}
	}
	if d.chance(.01) {
		c.corrected = c.applied + int64(d.between(20, 45))*dayLong
	}
	if c.closed == never {
		return
	}
	if !none {
		c.delivered = max(c.closed+minute, h.clock.after(c.closed, int64(wait*float64(workday))))
	}
	if rates && c.delivered < never {
		c.rated = c.delivered + 2*minute + int64(after*float64(dayLong))
		if night := 7*hour - c.rated%dayLong; night > 0 {
			c.rated += night
		}
	}
}

// handIn lists the papers of the case; one that had to be supplemented comes later.
func (h *hall) handIn(d *dice, item *item, c *caseLife) {
	late := -1
	if len(c.supplement) > 0 {
		late = d.IntN(len(item.asks))
	}
	for i, a := range item.asks {
		needed, fromData, delay := d.chance(a.share), d.Float64(), int64(d.between(0, 240))
		if a.material == marriageCertificate && (c.org != nobody || h.people[c.person].spouse == nobody) {
			needed = false
		}
		if a.material == disabilityCertificate && !h.people[c.person].disabled {
			needed = false
		}
		if !needed {
			continue
		}
		p := paper{material: a.material, at: c.applied + delay}
		if i == late {
			if p.at = c.supplement[0].end; p.at == never {
				continue
			}
		}
		p.document = documentOf(h.opts.Seed, a.material, h.documentOwner(a.material, c.person, c.org), int32(p.at/dayLong))
		p.shared = item.linked && c.day >= h.launch && covered(a.material) && fromData < link.share
		c.papers = append(c.papers, p)
	}
}

// covered tells whether the data link answers for a material.
func covered(m int) bool { return slices.Contains(link.materials, m) }
