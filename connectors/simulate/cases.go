package simulate

import (
	"math"
	"slices"
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

// apply chooses the channel and the time of the application.
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
