package simulate

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/shirecounty/shire/schemas/calendar"
)

// category is a kind of incident (诉求类别) with the department that deals with it and the days that takes.
type category struct {
	zh, code   string
	department int
	weight     float64
	days       float64
}

var incidentCategories = []category{
	{"噪音扰民", "noise", urbanManagement, 20, 2.5},
	{"占道经营", "street_trading", urbanManagement, 14, 2},
	{"垃圾清运", "waste", urbanManagement, 16, 1.5},
	{"违法建设", "illegal_building", naturalResources, 7, 12},
	{"社保咨询", "insurance_question", socialSecurity, 12, 1},
	{"欠薪投诉", "unpaid_wages", socialSecurity, 8, 9},
	{"消费纠纷", "consumer_dispute", marketRegulation, 12, 5},
	{"邻里纠纷", "neighbour_dispute", civilAffairs, 9, 4},
	{"校园周边", "school_surroundings", education, 5, 4},
	{"户籍咨询", "register_question", publicSecurity, 6, .8},
}

// incident is one 12345 call or grid incident, its whole life.
type incident struct {
	number   string
	day      int32
	ordinal  uint64
	caller   int32
	village  int
	category int
	reported int64
	assigned int64
	closed   int64
	reopened int   // how often
	first    int64 // closed for the first time; then reopened
	score    int   // 0: not asked
}

// incidentDesk writes one line of incidents: the hotline or the grid.
type incidentDesk struct {
	*dataset
	stream uint64
	file   string
	prefix string
	demand float64 // per thousand residents and year
	calls  bool    // the caller is known
	open   []incident
	truth  *sheet
}

func newHotline(o *office) *incidentDesk {
	return &incidentDesk{
		dataset: o.dataset("hotline_calls", "工单编号,来电人,来电号码,诉求类别,承办单位,行政区划,受理时间,派单时间,首次办结时间,办结时间,退回重办次数,满意度",
			badness{key: 0, date: 6, noSuch: noSuchTime, code: 4, later: 9, earlier: 6, tooShort: true, appendKey: "E"}),
		stream: ofCall, file: "calls", prefix: "RX", demand: 125, calls: true,
	}
}

func newGrid(o *office) *incidentDesk {
	return &incidentDesk{
		dataset: o.dataset("grid_incidents", "事件编号,网格员工号,事件类型,处置单位,网格所在村社,上报时间,分派时间,结案时间,重办次数",
			badness{key: 0, date: 5, noSuch: noSuchTime, code: 3, later: 7, earlier: 5, tooShort: true, appendKey: "E"}),
		stream: ofGrid, file: "incidents", prefix: "WG", demand: 105,
	}
}

func (k *incidentDesk) write(ctx context.Context) error {
	var err error
	k.truth, err = createSheet(filepath.Join(k.root, "truth", "incidents."+k.office.name+".part"), style{}, nil)
	if err != nil {
		return err
	}
	from, day := int64(k.first)*dayLong-1, k.first
	for _, last := range monthEnds(k.first, k.last) {
		for ; day <= last; day++ {
			if err := ctx.Err(); err != nil {
				return err
			}
			k.begin(day)
		}
		to := int64(last+1)*dayLong - 1
		if err := k.drop(from, to, calendar.Date(last).Time().Format("2006-01")); err != nil {
			return err
		}
		from = to
	}
	for i := range k.open {
		if err := k.remember(&k.open[i]); err != nil {
			return err
		}
	}
	return k.truth.close()
}

// begin takes the incidents of a day.
func (k *incidentDesk) begin(day int32) {
	mean := k.demand * float64(k.opts.People) / 1000 / 365.25
	if !k.clock.isWorking(day) {
		mean *= .7
	}
	n := k.d.at(k.stream, uint64(day), 1<<40).poisson(mean)
	for j := range n {
		k.open = append(k.open, k.happen(day, j))
	}
}

func (k *incidentDesk) happen(day int32, j int) incident {
	d := k.d.at(k.stream, uint64(day), uint64(j))
	weights := make([]float64, len(incidentCategories))
	for i, c := range incidentCategories {
		weights[i] = c.weight
	}
	in := incident{day: day, ordinal: uint64(j), caller: nobody, category: d.pick(weights...), closed: never, first: never}
	in.number = fmt.Sprintf("%s%s%04d", k.prefix, calendar.Date(day).Time().Format("20060102"), j+1)
	in.village = d.IntN(len(villages))
	if k.calls {
		for range 30 {
			i := int32(d.IntN(len(k.people)))
			if k.present(i, day) && k.age(i, day) >= 18 {
				in.caller = i
				in.village = int(k.households[k.people[i].household].villageOn(day))
				break
			}
		}
	}
	in.reported = int64(day)*dayLong + 7*hour + int64(d.Float64()*float64(15*hour))
	in.assigned = in.reported + int64(d.lognormal(float64(25*minute), 1))
	effort := d.lognormal(incidentCategories[in.category].days, .7) * float64(workday)
	in.first = max(in.assigned+10*minute, k.clock.after(in.assigned, int64(effort)))
	in.closed = in.first
	if d.chance(.07) {
		in.reopened = 1 + d.pick(.85, .15)
		in.closed = k.clock.after(in.first+dayLong, int64(effort*.6)*int64(in.reopened))
	}
	if d.chance(.45) {
		in.score = d.pick(.62, .22, .09, .04, .03) + 1
	}
	return in
}

// drop writes what happened after from and up to to.
func (k *incidentDesk) drop(from, to int64, suffix string) error {
	k.dataset.open(k.file + "-" + suffix + ".csv")
	w := period{from, to}
	for i := range k.open {
		in := &k.open[i]
		if w.has(in.reported, in.assigned, in.first, in.closed) && in.reported <= to {
			if err := k.show(in, w); err != nil {
				return err
			}
		}
	}
	return errors.Join(k.forget(to), k.dataset.close())
}

// forget lets go of the incidents that are over, and hands them to the truth.
func (k *incidentDesk) forget(to int64) (err error) {
	k.open = slices.DeleteFunc(k.open, func(in incident) bool {
		over := in.closed <= to
		if over && k.truth != nil {
			err = errors.Join(err, k.remember(&in))
		}
		return over
	})
	return err
}

// reopenedBy is how often it was opened again, as it is known at the end of the window.
func (in *incident) reopenedBy(w period) int {
	switch {
	case w.seen(in.closed) < never:
		return in.reopened
	case in.reopened > 0 && in.first <= w.to:
		return 1
	}
	return 0
}

func (k *incidentDesk) show(in *incident, w period) error {
	c := &incidentCategories[in.category]
	closed, reopened := w.seen(in.closed), in.reopenedBy(w)
	if !k.calls {
		worker := fmt.Sprintf("WG%04d", in.village*3+int(in.ordinal)%3)
		return k.row(in.number, worker, c.zh, departments[c.department].zh, villages[in.village].code, formatTime(in.reported), formatTime(w.seen(in.assigned)),
			formatTime(closed), number(reopened))
	}
	var m mention
	if in.caller != nobody {
		m = k.mention(k.d.at(ofIncident, uint64(in.day), in.ordinal), &k.opts.Defects, in.caller, in.day)
		m.number = ""
		if w.has(in.reported) {
			if err := k.about(in.number, "caller", in.caller, &m); err != nil {
				return err
			}
		}
	}
	score := ""
	if in.score > 0 && closed < never {
		score = number(in.score)
	}
	return k.row(in.number, m.name, m.phone, c.zh, departments[c.department].zh, townships[villages[in.village].township].code,
		formatTime(in.reported), formatTime(w.seen(in.assigned)), formatTime(w.seen(in.first)), formatTime(closed), number(reopened), score)
}

func (k *incidentDesk) remember(in *incident) error {
	k.tally.add("incidents", incidentCategories[in.category].department, in.day)
	end := period{0, k.end()}
	caller := ""
	if in.caller != nobody {
		caller = personID(in.caller)
	}
	return k.truth.row(in.number, caller, formatTime(in.reported), formatTime(end.seen(in.closed)), number(in.reopenedBy(end)))
}
