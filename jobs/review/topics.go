package review

import (
	"fmt"
	"math"

	"github.com/shirecounty/shire/schemas/metrics"
)

// topic is something to talk about, and the rule that says why.
type topic struct{ what, because metrics.Text }

const (
	enough    = 30  // cases or papers behind a figure before it makes a topic: fewer are chance
	farBehind = 0.2 // of the county's figure
	backlog   = 100 // rows in quarantine that an owner should look at
)

// topics proposes what to talk about, by rules in this order: what cannot be seen comes before what is seen to be bad. From
// each rule come at most two, so that the list is not one subject in many words.
func (r *Review) topics(f *findings) (topics []topic) {
	propose := func(most *int, what, because metrics.Text) {
		if *most > 0 && len(topics) < r.Settings.Topics {
			*most--
			topics = append(topics, topic{what, because})
		}
	}
	most := 2
	for _, d := range f.stopped {
		name := r.name(f, d)
		propose(&most, both("%s 为何不再上报办件？", "Why does %s report no cases any more?", name.Zh, name.En),
			text("规则：上一周期有办件、本周期没有。", "Rule: cases in the period before, none in this one."))
	}
	most = 2
	for _, c := range f.changes {
		if !c.worsened() || c.now.Count < enough || c.before.Count < enough {
			continue
		}
		now, before := value(c.definition, *c.now.Value), value(c.definition, *c.before.Value)
		propose(&most, both("“%s”为何变差？", "Why has “%s” become worse?", c.definition.Label.Zh, c.definition.Label.En),
			metrics.Text{
				Zh: fmt.Sprintf("规则：比上一周期变差至少 %.0f%%。由 %s 变为 %s。", 100*notable, before.Zh, now.Zh),
				En: fmt.Sprintf("Rule: worse than in the period before by at least %.0f%%. It went from %s to %s.", 100*notable, before.En, now.En),
			})
	}
	most = 2
	told := map[string]bool{} // departments
	for _, g := range f.gaps {
		if g.worse < farBehind || g.row.Count < enough || told[g.department] {
			continue
		}
		told[g.department] = true
		name, own, all := r.name(f, g.department), value(g.definition, *g.row.Value), value(g.definition, g.county)
		propose(&most, metrics.Text{
			Zh: fmt.Sprintf("%s 的“%s”与全县差距较大，其他部门的做法能否借鉴？", name.Zh, g.definition.Label.Zh),
			En: fmt.Sprintf("%s is far behind in “%s”: what do the others do differently?", name.En, g.definition.Label.En),
		}, metrics.Text{
			Zh: fmt.Sprintf("规则：比全县差至少 %.0f%%。该部门 %s，全县 %s。", 100*farBehind, own.Zh, all.Zh),
			En: fmt.Sprintf("Rule: worse than the county by at least %.0f%%. The department has %s, the county %s.", 100*farBehind, own.En, all.En),
		})
	}
	most = 1
	for _, o := range f.open {
		if o.Longer < uint64(max(r.Settings.MinimumCell, 1)) {
			continue
		}
		name := r.name(f, o.Department)
		propose(&most, both("%s 的久拖未结办件卡在哪一环节？", "At which step do the long open cases of %s stand still?", name.Zh, name.En),
			metrics.Text{
				Zh: fmt.Sprintf("规则：未结且超过 %d 个工作日的办件最多。共 %d 件。", longerDays, o.Longer),
				En: fmt.Sprintf("Rule: most cases open for more than %d working days. There are %d.", longerDays, o.Longer),
			})
	}
	most = 1
	for _, o := range f.owners {
		if o.Rows < backlog {
			continue
		}
		propose(&most, both("%s 何时处理隔离区中的数据？", "When will %s mend its rows in quarantine?", o.OwnerZh, o.OwnerEn),
			metrics.Text{
				Zh: fmt.Sprintf("规则：隔离数据至少 %d 行。共 %d 行，这些数据未计入任何指标。", backlog, o.Rows),
				En: fmt.Sprintf("Rule: at least %d rows in quarantine. There are %d, and no figure counts them.", backlog, o.Rows),
			})
	}
	most = 1
	for _, s := range f.silent {
		name := r.name(f, s.department)
		propose(&most, metrics.Text{
			Zh: fmt.Sprintf("%s 的数据集 %s 是否仍在更新？", name.Zh, s.Dataset),
			En: fmt.Sprintf("Is the dataset %s of %s still alive?", s.Dataset, name.En),
		}, metrics.Text{
			Zh: fmt.Sprintf("规则：超过 %d 天没有新数据。最近一次 %s。", r.Settings.SilentDays, s.Last.In(r.Zone).Format("2006-01-02")),
			En: fmt.Sprintf("Rule: nothing new for more than %d days. The last came on %s.", r.Settings.SilentDays, s.Last.In(r.Zone).Format("2006-01-02")),
		})
	}
	return topics
}

// name is what a department is called; its code when county.yaml does not name it.
func (r *Review) name(f *findings, code string) metrics.Text {
	if t, ok := f.departments[code]; ok && t.Zh != "" && t.En != "" {
		return t
	}
	return text(code, code)
}

func text(zh, en string) metrics.Text { return metrics.Text{Zh: zh, En: en} }

// both fills a name into a sentence in both languages.
func both(zh, en, nameZh, nameEn string) metrics.Text {
	return text(fmt.Sprintf(zh, nameZh), fmt.Sprintf(en, nameEn))
}

// value writes a figure as people read it.
func value(d *metrics.Definition, v float64) metrics.Text {
	switch d.Unit {
	case "share":
		s := fmt.Sprintf("%.1f%%", 100*v)
		return text(s, s)
	case "seconds":
		return text(fmt.Sprintf("%.1f 天", v/86400), fmt.Sprintf("%.1f days", v/86400))
	case "working_days":
		return text(fmt.Sprintf("%.1f 个工作日", v), fmt.Sprintf("%.1f working days", v))
	}
	s := fmt.Sprintf("%.4g", v)
	if math.Abs(v) >= 1000 {
		s = fmt.Sprintf("%.0f", v)
	}
	return text(s, s)
}
