package gains

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	texttemplate "text/template"

	"github.com/shirecounty/shire/schemas/metrics"
)

// The languages of reports.
const (
	Chinese = "zh-CN"
	English = "en"
)

// Report is a result laid out for reading. Markdown and HTML are written from it; it holds no figure that is not the result's.
type Report struct {
	Language string
	Title    string
	Verdict  string
	Because  string
	Notes    []string
	Sections []Section
}

// Section is one part of a report.
type Section struct {
	Heading string
	Text    string
	Table   *Table
	Charts  []Chart
}

// Table is rows under a header, all of the same length.
type Table struct {
	Header []string
	Rows   [][]string
}

// Chart is a drawing with the name of the file that it goes into beside a Markdown report.
type Chart struct {
	File string
	Alt  string
	SVG  template.HTML // by chart.go, which escapes every text in it
}

var (
	//go:embed report.md.tmpl
	markdownText string
	//go:embed report.html.tmpl
	htmlText string

	markdownTemplate = texttemplate.Must(texttemplate.New("report.md").Funcs(texttemplate.FuncMap{"plain": plain}).Parse(markdownText))
	htmlTemplate     = template.Must(template.New("report.html").Parse(htmlText))
)

// plain writes a text into Markdown so that nothing in it is markup.
var plain = strings.NewReplacer("\\", "\\\\", "|", "\\|", "*", "\\*", "_", "\\_", "`", "\\`", "[", "\\[", "]", "\\]", "<", "&lt;", "#", "\\#", "\r", " ", "\n", " ").Replace

// Markdown writes the report; its charts are files beside it, by name.
func (p *Report) Markdown() (text string, charts map[string]string, err error) {
	var b bytes.Buffer
	if err := markdownTemplate.Execute(&b, p); err != nil {
		return "", nil, fmt.Errorf("write the report %q as Markdown: %w", p.Title, err)
	}
	charts = map[string]string{}
	for _, s := range p.Sections {
		for _, c := range s.Charts {
			charts[c.File] = string(c.SVG)
		}
	}
	return b.String(), charts, nil
}

// HTML writes the report as a page that needs no other file.
func (p *Report) HTML() (string, error) {
	var b bytes.Buffer
	if err := htmlTemplate.Execute(&b, p); err != nil {
		return "", fmt.Errorf("write the report %q as HTML: %w", p.Title, err)
	}
	return b.String(), nil
}

// writer lays out a result in one language.
type writer struct {
	*Result
	zh bool
}

// Report lays the result out in a language: [Chinese], or else English.
func (r *Result) Report(language string) *Report {
	w := writer{r, language == Chinese}
	p := &Report{Language: English, Title: w.say("评估报告：", "Evaluation: ") + w.named(r.Intervention.Title, r.Intervention.Name), Verdict: w.text(r.Verdict.Text()), Because: w.text(r.Because)}
	if w.zh {
		p.Language = Chinese
	}
	for _, n := range r.Notes {
		p.Notes = append(p.Notes, w.text(n))
	}
	p.Sections = append(p.Sections, w.figures())
	p.Sections = append(p.Sections, w.charts()...)
	p.Sections = append(p.Sections, w.estimators()...)
	p.Sections = append(p.Sections, w.leftOut()...)
	p.Sections = append(p.Sections, w.months()...)
	p.Sections = append(p.Sections, w.registration(), w.account())
	return p
}

func (w *writer) say(zh, en string, values ...any) string {
	if w.zh {
		en = zh
	}
	if len(values) == 0 {
		return en
	}
	return fmt.Sprintf(en, values...)
}

func (w *writer) text(t metrics.Text) string {
	if w.zh {
		return t.Zh
	}
	return t.En
}

// named is a label in the language, or the short name where there is none.
func (w *writer) named(label metrics.Text, name string) string {
	if s := w.text(label); s != "" {
		return s
	}
	return name
}

const nothing = "–"

// value writes a figure in the metric's unit.
func (w *writer) value(x *float64) string {
	switch {
	case x == nil:
		return w.say("无法估计", "not estimable")
	case w.Metric.Unit == Days:
		return w.say("%s 天", "%s days", decimals(*x))
	case w.Metric.Unit == WorkingDays:
		return w.say("%s 个工作日", "%s working days", decimals(*x))
	case w.Metric.Unit == "visits":
		return w.say("%s 次", "%s visits", decimals(*x))
	case w.Metric.Unit == "points":
		return w.say("%s 分", "%s points", decimals(*x))
	default:
		return strconv.FormatFloat(100**x, 'f', 2, 64) + "%"
	}
}

func decimals(x float64) string {
	if x != 0 && math.Abs(x) < 1 {
		return strconv.FormatFloat(x, 'g', 2, 64)
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
}

func (w *writer) quantile(q *Quantile) string {
	if q == nil {
		return w.value(nil)
	}
	high := w.say("不限", "open")
	if q.High != nil {
		high = decimals(*q.High)
	}
	return w.value(&q.Value) + w.say("（95%% 区间 %s 至 %s）", " (95%% interval %s to %s)", decimals(q.Low), high)
}

// gain is a ratio in the words of the claim.
func (w *writer) gain(ratio *float64) string {
	if ratio == nil {
		return nothing
	}
	return percentage(w.Intervention.Claim.Gain(*ratio), math.Round)
}

func (w *writer) gains(ratio Interval) string {
	return w.text(intervalText(w.Intervention.Claim.gains(ratio)))
}

// intervalText is an interval of gains. Its ends are rounded outwards: what is written never claims more than what is.
func intervalText(gain Interval) metrics.Text {
	value, low, high := percentage(gain.Value, math.Round), percentage(gain.Low, math.Floor), percentage(gain.High, math.Ceil)
	return metrics.Text{Zh: fmt.Sprintf("%s（95%% 区间 %s 至 %s）", value, low, high), En: fmt.Sprintf("%s (95%% interval %s to %s)", value, low, high)}
}

func percentage(x float64, round func(float64) float64) string {
	x = round(1000*x) / 10
	if x == 0 {
		x = 0 // no minus
	}
	return strconv.FormatFloat(x, 'f', 1, 64) + "%"
}

func (w *writer) figures() Section {
	s := Section{Heading: w.say("数字", "The figures"), Table: &Table{Header: []string{"", w.say("之前", "before"), w.say("之后", "after"), w.say("改善", "gain")}}}
	row := func(cells ...string) { s.Table.Rows = append(s.Table.Rows, cells) }
	if w.Before == nil || w.After == nil {
		s.Table = nil
		s.Text = w.say("没有可比较的数字。", "There are no figures to compare.")
		return s
	}
	if w.Intervention.Claim.OfTime() {
		row(w.say("中位数（Kaplan-Meier）", "median (Kaplan-Meier)"), w.quantile(w.Before.Median), w.quantile(w.After.Median), w.gain(w.Raw))
		row(w.say("90 分位数（Kaplan-Meier）", "90th percentile (Kaplan-Meier)"), w.quantile(w.Before.P90), w.quantile(w.After.P90), nothing)
		row(w.say("只看已办结的中位数（会误导）", "median of closed cases alone (misleads)"), w.value(w.Before.ClosedOnly), w.value(w.After.ClosedOnly), w.gain(w.Closed))
		row(w.say("办件 / 已办结", "cases / ended"), fmt.Sprintf("%d / %d", w.Before.Cases, w.Before.Ended), fmt.Sprintf("%d / %d", w.After.Cases, w.After.Ended), nothing)
	} else {
		row(w.say("比率", "ratio"), w.value(w.Before.Value), w.value(w.After.Value), w.gain(w.Raw))
		row(w.say("分母", "denominator"), strconv.Itoa(w.Before.Cases), strconv.Itoa(w.After.Cases), nothing)
	}
	if w.CaseMix != nil {
		row(w.say("办件结构按之前固定", "case mix held as before"), w.value(w.CaseMix.Before), w.value(w.CaseMix.After), w.gain(w.CaseMix.Ratio))
	}
	decides := nothing
	if w.Ratio != nil {
		decides = w.gains(*w.Ratio)
	}
	row(w.say("决定结论的估计：", "the estimate that decides: ")+w.text(w.Estimator.Text()), "", "", decides)
	s.Text = w.say("“改善”按所登记的主张计算：%s。只有最后一行决定结论；前后对比本身分不清成效和季节、趋势。", "Gains are in the words of the claim: %s. The last row alone decides; before and after by themselves cannot tell a gain from a season or a trend.", w.text(w.Intervention.Claim.Text()))
	return s
}

func (w *writer) estimators() (sections []Section) {
	if d := w.Differences; d != nil {
		s := Section{Heading: w.text(ByDifferences.Text()), Table: &Table{Header: []string{"", w.say("改善", "gain")}}}
		s.Text = w.say("范围内 %d 个、对照 %d 个部门或乡镇（后来才开始的，在开始之前也作对照）。每个部门本应怎样，由它自己之前的水平和未实施者同月的变化推出。",
			"%d clusters in scope, %d to compare (those that start later compare until then). What each would have been like follows from its own level before and from what the others did in the same month.", d.Scope, d.Comparing)
		row := func(cells ...string) { s.Table.Rows = append(s.Table.Rows, cells) }
		row(w.say("效果（按部门刀切）", "effect (jackknife over clusters)"), w.gains(d.Effect))
		if d.Bootstrap != nil {
			row(w.say("效果（野自助法，旁证）", "effect (wild cluster bootstrap, beside it)"), w.gains(*d.Bootstrap))
		}
		if d.Trend != nil {
			row(w.say("之前每月的相对走势，p = %.3f", "trend against the comparison before the start, per month, p = %.3f", d.Trend.P), w.gains(d.Trend.PerMonth))
		}
		for _, p := range d.Placebos {
			row(w.say("假设提前 %d 个月开始，p = %.3f", "pretended start %d months earlier, p = %.3f", p.Earlier, p.P), w.gains(p.Effect))
		}
		if d.Refuted {
			s.Text += w.say("之前的走势或假设的日期不支持这一对照，所以它不决定结论。", " The trend before, or a pretended start, speaks against the comparison: it does not decide.")
		}
		sections = append(sections, s)
	}
	if t := w.TimeSeries; t != nil {
		name := BySeries
		if t.Controlled {
			name = ByControlledSeries
		}
		s := Section{Heading: w.text(name.Text()), Table: &Table{Header: []string{"", w.say("改善", "gain")}}}
		s.Text = w.say("开始前 %d 个月、开始后 %d 个月；扣除趋势和年度季节。相邻月份相似的程度约 %.2f。", "%d months before and %d after the start, less trend and yearly season. Months that follow each other are alike by about %.2f beyond that.", t.Before, t.After, t.Autocorrelation)
		row := func(cells ...string) { s.Table.Rows = append(s.Table.Rows, cells) }
		row(w.say("之后各月的平均效果", "mean effect over the months after"), w.gains(t.Effect))
		row(w.say("同上，Newey-West 误差（偏窄，旁证）", "the same, Newey-West errors (too narrow, beside it)"), w.gains(t.NeweyWest))
		row(w.say("开始当月的台阶", "step at the start"), w.gain(&t.Step))
		if t.Slope != nil {
			row(w.say("此后每月的变化", "change of the trend, per month"), w.gain(t.Slope))
		}
		sections = append(sections, s)
	}
	return sections
}

func (w *writer) leftOut() []Section {
	if w.CaseMix == nil || len(w.CaseMix.LeftOut) == 0 {
		return nil
	}
	const most = 30
	s := Section{Heading: w.say("前后有一个时段办件太少、未计入的类别", "Cases left out, having too few in one of the periods"),
		Text:  w.say("共占范围内 %s。", "Together %s of the scope.", percentage(w.CaseMix.LeftOutShare, math.Round)),
		Table: &Table{Header: []string{w.say("部门", "cluster"), w.say("事项", "item"), w.say("类型", "kind"), w.say("渠道", "channel"), w.say("占比", "share")}}}
	for _, l := range w.CaseMix.LeftOut[:min(most, len(w.CaseMix.LeftOut))] {
		share := w.say("少", "few")
		if l.Share != nil {
			share = percentage(*l.Share, math.Round)
		}
		s.Table.Rows = append(s.Table.Rows, []string{l.Department, l.Item, l.Kind, l.Channel, share})
	}
	if more := len(w.CaseMix.LeftOut) - most; more > 0 {
		s.Text += w.say("表中列最大的 %d 类，另有 %d 类。", " The table has the largest %d; there are %d more.", most, more)
	}
	return []Section{s}
}

var stateTexts = map[string]metrics.Text{
	MonthOK:           {Zh: "可估计", En: "ok"},
	MonthYoung:        {Zh: "观察时间不够", En: "too young"},
	MonthNotEstimable: {Zh: "无法估计", En: "not estimable"},
	MonthSmall:        {Zh: "少于最小单元", En: "too few"},
	MonthEmpty:        {Zh: "没有数据", En: "empty"},
}

func (w *writer) months() []Section {
	if len(w.Months) == 0 {
		return nil
	}
	s := Section{Heading: w.say("逐月", "By month"), Table: &Table{Header: []string{w.say("月份", "month"), w.say("状态", "state"), w.say("数量", "units"), w.say("指标", "figure")}}}
	ofTime := w.Intervention.Claim.OfTime()
	if ofTime {
		s.Table.Header = append(s.Table.Header, w.say("只看已办结", "closed alone"))
	}
	s.Table.Header = append(s.Table.Header, w.say("结构固定后", "case mix held"), w.say("若无举措", "without the measure"))
	for _, m := range w.Months {
		row := []string{m.Month, w.text(stateTexts[m.State])}
		if m.State == MonthSmall {
			row = append(row, w.say("少", "few"))
		} else {
			row = append(row, strconv.Itoa(m.Cases))
		}
		columns := []*float64{m.Value}
		if ofTime {
			columns = append(columns, m.ClosedOnly)
		}
		for _, x := range append(columns, m.Adjusted, m.Expected) {
			if x == nil {
				row = append(row, nothing)
			} else {
				row = append(row, w.value(x))
			}
		}
		s.Table.Rows = append(s.Table.Rows, row)
	}
	return []Section{s}
}

func (w *writer) registration() Section {
	v := &w.Intervention
	s := Section{Heading: w.say("登记", "The registration"), Table: &Table{Header: []string{"", ""}}}
	row := func(name, value string) {
		if value == "" {
			value = nothing
		}
		s.Table.Rows = append(s.Table.Rows, []string{name, value})
	}
	row(w.say("名称", "name"), v.Name)
	row(w.say("内容", "what"), w.text(v.What))
	row(w.say("范围", "where"), w.where(v.Scope))
	row(w.say("开始", "since"), v.Since)
	if len(v.Starts) > 0 {
		row(w.say("分批开始", "starts of their own"), strconv.Itoa(len(v.Starts)))
	}
	row(w.say("主张", "claim"), w.text(v.Claim.Text()))
	row(w.say("指标", "metric"), w.named(w.Metric.Label, v.Metric)+w.say("（第 %d 版）", " (version %d)", w.Metric.Version))
	row(w.say("队列", "cohort"), w.where(v.Cohort))
	for _, e := range v.Exclusions {
		row(w.say("不计", "excluded"), fmt.Sprintf("%s %s–%s: %s", w.where(e.Where), e.From, e.To, e.Why))
	}
	row(w.say("窗口", "windows"), w.say("之前 %d 个月，之后 %d 个月，其中磨合 %d 个月", "%d months before, %d after, %d of them to settle in", v.Windows.Before, v.Windows.After, v.Windows.Settling))
	at := ""
	if !v.RegisteredAt.IsZero() {
		at = v.RegisteredAt.Format("2006-01-02 15:04:05 -07:00")
	}
	if w.Late {
		at += w.say("（在结果已被查看之后）", " (after the result had been seen)")
	}
	row(w.say("登记时间", "registered at"), at)
	row(w.say("登记哈希（SHA-256）", "hash of the registration (SHA-256)"), w.Hash)
	return s
}

func (w *writer) where(of Where) string {
	var parts []string
	for _, p := range []struct {
		name string
		list []string
	}{{w.say("部门", "departments"), of.Departments}, {w.say("区划", "divisions"), of.Divisions}, {w.say("事项", "items"), of.Items}, {w.say("类型", "kinds"), of.Kinds}, {w.say("渠道", "channels"), of.Channels}} {
		if len(p.list) > 0 {
			parts = append(parts, p.name+": "+strings.Join(p.list, ", "))
		}
	}
	if len(parts) == 0 {
		return w.say("全部", "all")
	}
	return strings.Join(parts, "; ")
}

func (w *writer) account() Section {
	a := w.Account
	return Section{Heading: w.say("数据去向", "What became of the rows"),
		Text: w.say("数据截至 %s，窗口 %s 至 %s。", "The data reach to %s; the windows are %s to %s.", orNothing(w.AsOf), orNothing(w.From), orNothing(w.To)),
		Table: &Table{Header: []string{w.say("给出", "given"), w.say("无法使用", "unusable"), w.say("不在队列或窗口内", "outside cohort or windows"), w.say("磨合期", "settling in"), w.say("范围内", "in scope"), w.say("对照", "to compare")},
			Rows: [][]string{{strconv.Itoa(a.Given), strconv.Itoa(a.Unusable), strconv.Itoa(a.Outside), strconv.Itoa(a.Settling), strconv.Itoa(a.Scope), strconv.Itoa(a.Comparing)}}}}
}

func orNothing(s string) string {
	if s == "" {
		return nothing
	}
	return s
}
