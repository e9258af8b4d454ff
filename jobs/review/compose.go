package review

import (
	"fmt"

	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/metrics"
)

// document is a review before it is written, in both languages.
type document struct {
	title    metrics.Text
	sections []section
}

type section struct {
	heading metrics.Text
	lines   []metrics.Text // paragraphs
	table   table
	items   []item // a numbered list
}

type table struct {
	head []metrics.Text
	rows [][]metrics.Text
}

type item struct{ what, because metrics.Text }

const mostRows = 10 // of a table

func (r *Review) compose(f *findings, topics []topic) document {
	d := document{title: text(
		fmt.Sprintf("%s 定期复盘：%s 至 %s", r.County.Zh, f.from, f.to),
		fmt.Sprintf("Review of %s: %s to %s", r.County.En, f.from, f.to))}
	before := f.from.Add(-1)
	d.add(section{heading: text("范围", "Scope"), lines: []metrics.Text{
		text(fmt.Sprintf("本期为 %s 至 %s，与 %s 至 %s 比较。数据截至 %s。少于 %d 件的分组不予显示。", f.from, f.to, f.fromBefore, before, f.asOf.Format("2006-01-02 15:04"), r.Settings.MinimumCell),
			fmt.Sprintf("The period is %s to %s, compared with %s to %s. The data speak up to %s. Groups of fewer than %d are not told.", f.from, f.to, f.fromBefore, before, f.asOf.Format("2006-01-02 15:04"), r.Settings.MinimumCell)),
		text("数字与门户一致：同一定义、同一版本。变差与变好由指标定义的方向判定，变化不足 5% 视为持平。", "The figures are those of the portal: the same definitions in the same versions. Better and worse are as the definition says; less than 5% is no change."),
	}})
	s := section{heading: text("建议议题", "Proposed topics")}
	for _, t := range topics {
		s.items = append(s.items, item(t))
	}
	if len(topics) == 0 {
		s.lines = []metrics.Text{text("没有规则提出议题。", "No rule proposes one.")}
	}
	d.add(s)
	d.add(r.changesSection(f))
	d.add(r.gapsSection(f))
	d.add(r.openSection(f))
	d.add(r.silenceSection(f))
	s = section{heading: text("隔离区", "Quarantine"), table: table{head: []metrics.Text{text("责任方", "Owner"), text("等待的行数", "Rows that wait")}}}
	for _, o := range f.owners {
		s.row(text(o.OwnerZh, o.OwnerEn), number(o.Rows))
	}
	d.add(s.orNone())
	s = section{heading: text("来源结构变化", "Drift"), table: table{head: []metrics.Text{text("数据集", "Dataset"), text("变化", "Change"), text("受影响的行数", "Rows affected")}}}
	kinds := map[string]metrics.Text{change.NewColumn: text("新列", "new column"), change.LostColumn: text("列消失", "lost column"), change.ChangedType: text("类型改变", "changed type")}
	for _, x := range f.drift {
		s.row(text(x.Dataset, x.Dataset), kinds[x.Code], number(x.Rows))
	}
	d.add(s.orNone())
	s = section{heading: text("失败的作业", "Jobs that failed"), table: table{head: []metrics.Text{text("作业", "Job"), text("运行次数", "Runs"), text("失败", "Failed")}}}
	for _, x := range f.failed {
		s.row(text(x.Job, x.Job), number(x.Runs), number(x.Failed))
	}
	d.add(s.orNone())
	return d
}

func (d *document) add(s section) { d.sections = append(d.sections, s) }

func (s *section) row(cells ...metrics.Text) {
	if len(s.table.rows) == mostRows {
		s.lines = []metrics.Text{text(fmt.Sprintf("只显示前 %d 行。", mostRows), fmt.Sprintf("The first %d are shown.", mostRows))}
		return
	}
	s.table.rows = append(s.table.rows, cells)
}

// orNone says so when a table has no rows.
func (s section) orNone() section {
	if len(s.table.rows) == 0 {
		s.table, s.lines = table{}, append(s.lines, text("无。", "None."))
	}
	return s
}

func number(n uint64) metrics.Text { return text(fmt.Sprint(n), fmt.Sprint(n)) }

func (r *Review) changesSection(f *findings) section {
	s := section{heading: text("指标变化（变差的在前）", "What has changed, the worst first"), table: table{head: []metrics.Text{
		text("指标", "Figure"), text("本期", "This period"), text("上期", "Before"), text("变化", "Change"), text("定义版本", "Version")}}}
	for _, c := range f.changes {
		verdict := text("不可比", "cannot be compared")
		switch {
		case c.worsened():
			verdict = text("变差", "worse")
		case c.improved():
			verdict = text("变好", "better")
		case c.known():
			verdict = text("持平", "no change")
		}
		s.table.rows = append(s.table.rows, []metrics.Text{c.definition.Label, c.told(c.now), c.told(c.before), verdict,
			text(fmt.Sprint(c.definition.Version), fmt.Sprint(c.definition.Version))})
	}
	return s
}

var states = map[string]metrics.Text{
	metrics.StateSuppressed:   text("数量过少", "too few"),
	metrics.StateNotEstimable: text("尚不可估计", "not estimable yet"),
	metrics.StateEmpty:        text("无数据", "no data"),
}

// told is a figure, or why there is none.
func (c *changed) told(row metrics.Row) metrics.Text {
	if row.Value != nil {
		return value(c.definition, *row.Value)
	}
	if c.refused {
		return text("定义拒绝给出", "refused by its definition")
	}
	if t, ok := states[row.State]; ok {
		return t
	}
	return text("无法给出", "cannot be told")
}

func (r *Review) gapsSection(f *findings) section {
	s := section{heading: text("与全县差距最大的部门", "Departments furthest behind the county"), table: table{head: []metrics.Text{
		text("部门", "Department"), text("指标", "Figure"), text("该部门", "Department's"), text("全县", "County's"), text("数量", "Count")}}}
	for _, g := range f.gaps {
		s.row(r.name(f, g.department), g.definition.Label, value(g.definition, *g.row.Value), value(g.definition, g.county), text(fmt.Sprint(g.row.Count), fmt.Sprint(g.row.Count)))
	}
	return s.orNone()
}

// openSection counts open cases; it names none, since a number of a case leads to a person.
func (r *Review) openSection(f *findings) section {
	s := section{heading: text("久拖未结的办件", "Cases that are open for long"), table: table{head: []metrics.Text{
		text("部门", "Department"), text("未结", "Open"),
		text(fmt.Sprintf("超过 %d 个工作日", longDays), fmt.Sprintf("More than %d working days", longDays)),
		text(fmt.Sprintf("超过 %d 个工作日", longerDays), fmt.Sprintf("More than %d working days", longerDays)),
		text("缺少日历", "Without a calendar")}}}
	for _, o := range f.open {
		s.row(r.name(f, o.Department), number(o.Open), r.few(o.Long), r.few(o.Longer), r.few(o.Untold))
	}
	return s.orNone()
}

// few keeps a count below the minimum cell from being told.
func (r *Review) few(n uint64) metrics.Text {
	if n > 0 && n < uint64(r.Settings.MinimumCell) {
		s := fmt.Sprintf("< %d", r.Settings.MinimumCell)
		return text(s, s)
	}
	return number(n)
}

func (r *Review) silenceSection(f *findings) section {
	s := section{heading: text("不再上报的部门与数据集", "Departments and datasets that stopped reporting"), table: table{head: []metrics.Text{
		text("部门", "Department"), text("数据集", "Dataset"), text("最近一次", "Last")}}}
	for _, d := range f.stopped {
		s.row(r.name(f, d), text("办件", "cases"), text("本期无", "none in this period"))
	}
	for _, x := range f.silent {
		day := x.Last.In(r.Zone).Format("2006-01-02")
		s.row(r.name(f, x.department), text(x.Dataset, x.Dataset), text(day, day))
	}
	return s.orNone()
}
