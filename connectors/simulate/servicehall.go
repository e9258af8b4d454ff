package simulate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/shirecounty/shire/schemas/calendar"
)

// hallOffice writes the service hall's files: one of each kind a month. A case that changes in a later month stands in
// that month's file again, as it is then.
type hallOffice struct {
	*office
	hall        *hall
	cases       dataset
	steps       dataset
	specials    dataset
	supplements dataset
	materials   dataset
	ratings     dataset
	open        []caseLife // whose life goes on
	truth       *hallTruth // nil while the county is running
}

const noSuchTime = "2025-02-30 09:00:00"

func newHallOffice(w *world, o *office) *hallOffice {
	h := &hallOffice{office: o, hall: newHall(w)}
	set := func(name string, bad badness, header string) dataset {
		return dataset{office: o, name: name, header: strings.Split(header, ","), bad: bad}
	}
	h.cases = set("hall_cases", badness{key: 0, date: 12, noSuch: noSuchTime, code: 3, later: 15, earlier: 12, tooShort: true, appendKey: "-E"},
		"办件编号,事项编码,事项名称,办理部门,办件类型,申请方式,行政区划,申请人姓名,申请人证件号码,申请人电话,单位名称,统一社会信用代码,申请时间,受理时间,承诺办结时间,办结时间,送达时间,办理结果,跑动次数,法定时限,承诺时限,经办人,经办人电话")
	h.steps = set("hall_steps", badness{key: 0, date: 3, noSuch: noSuchTime, code: 7, later: -1, tooShort: true, appendKey: "-E"},
		"办件编号,环节序号,环节名称,环节开始时间,环节结束时间,环节结果,办理人工号,办理部门")
	h.specials = set("hall_special_procedures", badness{key: 0, date: 3, noSuch: noSuchTime, code: 2, later: -1, tooShort: true, appendKey: "-E"},
		"办件编号,特别程序序号,特别程序种类,特别程序开始时间,特别程序结束时间,办理部门")
	h.supplements = set("hall_supplements", badness{key: 0, date: 2, noSuch: noSuchTime, code: 4, later: -1, tooShort: true, appendKey: "-E"},
		"办件编号,补正序号,补正告知时间,补正完成时间,办理部门")
	h.materials = set("hall_materials", badness{key: 0, date: 7, noSuch: noSuchTime, code: 2, later: -1, tooShort: true, appendKey: "-E"},
		"材料流水号,办件编号,要求部门,材料编码,材料名称,出具部门,证照编号,提交时间,有效期起,有效期止,提交方式")
	h.ratings = set("hall_ratings", badness{key: 0, date: 2, noSuch: noSuchTime, code: 4, later: -1, tooShort: true, appendKey: "-E"},
		"评价编号,办件编号,评价时间,满意度,评价渠道")
	return h
}

// forget lets go of the cases whose life is over, and hands them to the truth.
func (h *hallOffice) forget(to int64) {
	h.open = slices.DeleteFunc(h.open, func(c caseLife) bool {
		over := c.lastEvent() <= to
		if over && h.truth != nil {
			h.truth.remember(h.world, &c)
		}
		return over
	})
}

func (h *hallOffice) series() []*dataset {
	return []*dataset{&h.cases, &h.steps, &h.specials, &h.supplements, &h.materials, &h.ratings}
}

// fileNames of the series, in the same order.
var hallFiles = []string{"cases", "steps", "special", "supplements", "materials", "ratings"}

// write makes all months.
func (h *hallOffice) write(ctx context.Context, progress func(days int)) error {
	from := int64(h.first)*dayLong - 1
	day := h.first
	for _, last := range monthEnds(h.first, h.last) {
		for ; day <= last; day++ {
			if err := ctx.Err(); err != nil {
				return err
			}
			h.begin(day)
			progress(1)
		}
		to := int64(last+1)*dayLong - 1
		if err := h.drop(from, to, calendar.Date(last).Time().Format("2006-01")); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// begin takes the applications of a day.
func (h *hallOffice) begin(day int32) { h.open = append(h.open, h.hall.casesOf(day)...) }

// drop writes what happened after from and up to to into files named by the suffix, and forgets the cases whose
// life is over.
func (h *hallOffice) drop(from, to int64, suffix string) error {
	for i, s := range h.series() {
		s.open(fmt.Sprintf("%s-%s.csv", hallFiles[i], suffix))
	}
	w := period{from, to}
	for i := range h.open {
		if err := h.show(&h.open[i], w); err != nil {
			return err
		}
	}
	h.forget(to)
	for _, s := range h.series() {
		if err := s.close(); err != nil {
			return err
		}
	}
	return nil
}

// period is the time between two drops.
type period struct{ from, to int64 }

// has tells whether something that happened at one of the times is news in this window.
func (w period) has(times ...int64) bool {
	for _, t := range times {
		if t > w.from && t <= w.to {
			return true
		}
	}
	return false
}

// seen is the time as it is known at the end of the window.
func (w period) seen(t int64) int64 {
	if t > w.to {
		return never
	}
	return t
}

// show writes the rows of a case that are news in the window.
func (h *hallOffice) show(c *caseLife, w period) error {
	if c.applied > w.to {
		return nil
	}
	dept := departments[items[c.item].department].zh
	stops := int64(0)
	for i, s := range c.supplement {
		if stops = max(stops, s.end); w.has(s.start, s.end) && s.start <= w.to {
			if err := h.supplements.row(c.number, number(i+1), formatTime(s.start), formatTime(w.seen(s.end)), dept); err != nil {
				return err
			}
		}
	}
	for i, s := range c.specials {
		kind := "听证检验鉴定"
		if s.extension {
			kind = "延期"
		}
		if stops = max(stops, s.end); w.has(s.start, s.end) && s.start <= w.to {
			if err := h.specials.row(c.number, number(i+1), kind, formatTime(s.start), formatTime(w.seen(s.end)), dept); err != nil {
				return err
			}
		}
	}
	if w.has(c.applied, c.accepted, c.closed, c.delivered, c.corrected, stops) {
		if err := h.showCase(c, w, stops); err != nil {
			return err
		}
	}
	for i := range c.steps {
		s := &c.steps[i]
		if s.start > w.to || !w.has(s.start, s.end) {
			continue
		}
		end, result := w.seen(s.end), "通过"
		switch {
		case s.returned && end < never:
			result = "退回"
		case end == never:
			result = "在办"
		}
		if s.filled {
			end = s.start // the hall's system never stored the end
		}
		worker := fmt.Sprintf("%s%03d", departments[items[c.item].department].prefix, s.handler)
		if err := h.steps.row(c.number, number(i+1), activities[s.activity], formatTime(s.start), formatTime(end), result, worker, dept); err != nil {
			return err
		}
	}
	for i := range c.papers {
		if p := &c.papers[i]; w.has(p.at) {
			if err := h.showPaper(c, i, p, dept); err != nil {
				return err
			}
		}
	}
	if w.has(c.rated) {
		return h.ratings.row("PJ"+c.number, c.number, formatTime(c.rated), number(c.score), []string{"评价器", "短信"}[c.rated%2])
	}
	return nil
}

var (
	channels = []string{window: "窗口", online: "网上", mobile: "手机", terminal: "自助终端"}
	results  = []string{granted: "准予", refused: "不予", withdrawn: "撤回"}
)

func (h *hallOffice) showCase(c *caseLife, w period, stops int64) error {
	it := &items[c.item]
	var name, id, phone, orgName, orgCode, agent, agentPhone string
	m := h.mention(h.d.at(ofApplicant, uint64(c.day), c.ordinal), &h.opts.Defects, c.person, c.day)
	role := "applicant"
	if c.org == nobody {
		name, id, phone = m.name, m.number, m.phone
	} else {
		org := &h.organisations[c.org]
		orgName, orgCode = org.name, org.code
		role, agent, agentPhone, m.number = "agent", m.name, m.phone, ""
	}
	if w.has(c.applied) {
		if err := h.cases.about(c.number, role, c.person, &m); err != nil {
			return err
		}
	}
	kind, result, visits := "2", "", c.visits
	if it.onSpot {
		kind = "1"
	}
	promised := c.promised
	if stops > 0 && stops <= w.to {
		promised = c.extended
	}
	if w.seen(c.accepted) == never {
		promised = never
	}
	if w.seen(c.closed) < never {
		result = results[c.result]
	}
	if c.corrected > w.to && c.corrected < never {
		visits++
	}
	return h.cases.row(c.number, it.code, it.name, departments[it.department].zh, kind, channels[c.channel], townships[c.division].code,
		name, id, phone, orgName, orgCode, formatTime(c.applied), formatTime(w.seen(c.accepted)), formatTime(promised),
		formatTime(w.seen(c.closed)), formatTime(w.seen(c.delivered)), result, number(visits), number(it.statutory), number(it.promised), agent, agentPhone)
}

func (h *hallOffice) showPaper(c *caseLife, i int, p *paper, dept string) error {
	mat := &materials[p.material]
	method := "纸质"
	switch {
	case p.shared:
		method = "数据共享"
	case c.channel != window:
		method = "上传"
	}
	return h.materials.row(paperKey(c.number, i), c.number, dept, mat.code, mat.zh, departments[mat.issuer].zh, p.number, formatTime(p.at),
		formatDate(p.from, "2006-01-02"), formatDate(p.until, "2006-01-02"), method)
}

func paperKey(caseNumber string, i int) string { return fmt.Sprintf("%s-%02d", caseNumber, i+1) }
