package grafana

import (
	"fmt"
	"slices"

	"github.com/shirecounty/shire/schemas/metrics"
)

var themes = map[string]metrics.Text{
	"time":         {Zh: "办理时长", En: "Time"},
	"promise":      {Zh: "时限与承诺", En: "Limits and promises"},
	"visits":       {Zh: "跑动", En: "Visits"},
	"papers":       {Zh: "材料", En: "Papers"},
	"satisfaction": {Zh: "满意度", En: "Satisfaction"},
	"incidents":    {Zh: "诉求", En: "Incidents"},
	"councils":     {Zh: "议事会", En: "Councils"},
	"training":     {Zh: "培训", En: "Training"},
	"data":         {Zh: "数据", En: "Data"},
	"":             {Zh: "其他", En: "Other"},
}

// units of Grafana.
var units = map[string]string{"share": "percentunit", "seconds": "s", "working_days": "none", "cases": "none", "papers": "none", "visits": "none", "points": "none"}

// figures is the dashboard of all metrics: a row of the grid for each theme, and in it for each metric the months and the departments.
func figures(set metrics.Set, language string) Dashboard {
	b := &board{language: language}
	variables := []any{b.departments(), b.portal()}
	for i, theme := range append(slices.Clone(metrics.Themes), "") {
		row := object{"id": b.next(), "type": "row", "title": b.say(themes[theme]), "collapsed": i > 0, "gridPos": object{"x": 0, "y": b.y, "w": 24, "h": 1}}
		b.y++
		inside := []any{}
		for _, d := range set.All() {
			if d.Theme == theme {
				inside = append(inside, b.months(d), b.byDepartment(d))
				b.y += 9
			}
		}
		if len(inside) == 0 {
			b.y--
			continue
		}
		if i == 0 { // the others are closed, and ask nothing until somebody opens them
			row["panels"] = []any{}
			b.panels = append(append(b.panels, row), inside...)
			continue
		}
		row["panels"] = inside
		b.panels = append(b.panels, row)
	}
	return b.file("figures", metrics.Text{Zh: "县域服务指标", En: "Figures of the county"}, "now-2y", variables)
}

func (b *board) description(d *metrics.Definition) string {
	text := b.say(d.Description)
	if left := b.say(d.LeavesOut); left != "" {
		text += "\n\n" + b.say(metrics.Text{Zh: "不计入：", En: "Leaves out: "}) + left
	}
	return text + fmt.Sprintf("\n\nmetrics.%s, %s %d", d.Name, b.say(metrics.Text{Zh: "版本", En: "version"}), d.Version) // I9
}

// link to the figure's own page, where it is opened.
func (b *board) link(d *metrics.Definition) []any {
	language := map[string]string{"zh": "zh-CN", "en": "en"}[b.language]
	return []any{object{
		"title": b.say(metrics.Text{Zh: "打开这个指标", En: "Open this figure"}), "targetBlank": true,
		"url": "${portal}/figures?metric=" + d.Name + "&lang=" + language,
	}}
}

func (b *board) field(d *metrics.Definition) object {
	field := object{"unit": units[d.Unit], "noValue": b.say(metrics.Text{Zh: "无数据或不公布", En: "nothing, or not published"})}
	if d.Unit == "share" {
		field["decimals"] = 1
	}
	return field
}

// period is the condition of the time that the reader has chosen, on whole months.
const period = "month >= toStartOfMonth(toDate(" + fromTime + ")) AND month <= toDate(" + toTime + ")"

// months is a metric over time.
func (b *board) months(d *metrics.Definition) object {
	name := b.say(d.Label)
	field := b.field(d)
	field["custom"] = object{"drawStyle": "line", "lineWidth": 2, "showPoints": "always", "pointSize": 5, "spanNulls": false, "fillOpacity": 0}
	field["min"] = 0
	options := object{"legend": object{"showLegend": true, "displayMode": "list", "placement": "bottom"}, "tooltip": object{"mode": "multi"}}
	var sql string
	var columns []string
	var overrides []any
	viewed, adds := d.Viewed()
	if adds {
		columns = []string{"time", name}
		sql = fmt.Sprintf("SELECT toDateTime(month) AS time, if(%s, %s, NULL) AS %s\nFROM %s\nWHERE %s AND (%s = '%s' OR department = %s)\nGROUP BY month\nORDER BY month",
			viewed.Shown, viewed.Value, identifier(name), viewed.View, period, department, anywhere, department)
	} else {
		p90 := b.say(metrics.Text{Zh: "九成在此时间内", En: "9 in 10 within"})
		lower, upper := b.say(metrics.Text{Zh: "95% 区间下限", En: "95% interval, lower"}), b.say(metrics.Text{Zh: "95% 区间上限", En: "95% interval, upper"})
		columns = []string{"time", name, lower, upper, p90}
		sql = fmt.Sprintf("SELECT toDateTime(month) AS time, median AS %s, median_lower AS %s, median_upper AS %s, p90 AS %s\nFROM metrics.%s\nWHERE %s AND by = if(%s = '%s', '', 'department') AND (%s = '%s' OR department = %s)\nORDER BY month",
			identifier(name), identifier(lower), identifier(upper), identifier(p90), d.Name, period, department, anywhere, department, anywhere, department)
		thin := object{"id": "custom.lineWidth", "value": 0}
		overrides = []any{
			override(lower, thin, object{"id": "custom.showPoints", "value": "never"}),
			override(upper, thin, object{"id": "custom.showPoints", "value": "never"}, object{"id": "custom.fillBelowTo", "value": lower}, object{"id": "custom.fillOpacity", "value": 15}),
		}
	}
	panel := b.panel("timeseries", name, b.description(d), sql, columns, 0, 14, 9, field, options, overrides)
	panel["links"] = b.link(d)
	return panel
}

// byDepartment is a metric of each department over the time that the reader has chosen, with how much of the truth it is counted over. A median
// of several months is not the median of medians: of a survival metric it is that of the last month.
func (b *board) byDepartment(d *metrics.Definition) object {
	who, value := b.say(metrics.Text{Zh: "部门", En: "Department"}), b.say(d.Label)
	count, coverage := b.say(metrics.Text{Zh: "数量", En: "Number"}), b.say(metrics.Text{Zh: "归集率", En: "Coverage"})
	columns := []string{who, value, count}
	title := fmt.Sprintf("%s %s", value, b.say(metrics.Text{Zh: "（按部门）", En: "by department"}))
	overrides := []any{override(value, object{"id": "unit", "value": units[d.Unit]})}

	var rows, more, join string
	if viewed, adds := d.Viewed(); adds {
		rows = fmt.Sprintf("SELECT toString(department) AS code, if(%s, %s, NULL) AS figure, toUInt64(%s) AS number\n    FROM %s\n    WHERE %s\n    GROUP BY code",
			viewed.Shown, viewed.Value, viewed.Units, viewed.View, period)
	} else {
		month := b.say(metrics.Text{Zh: "月份", En: "Month"})
		columns, more = append(columns, month), ", f.month AS "+identifier(month)
		overrides = append(overrides, override(month, object{"id": "unit", "value": "time:YYYY-MM"}))
		rows = fmt.Sprintf("SELECT toString(department) AS code, median AS figure, cases AS number, month\n    FROM metrics.%s\n    WHERE %s AND by = 'department'\n    ORDER BY code, month DESC\n    LIMIT 1 BY code",
			d.Name, period)
	}
	if d.Coverage != "" {
		columns, more = append(columns, coverage), more+", c.share AS "+identifier(coverage)
		overrides = append(overrides, override(coverage, object{"id": "unit", "value": "percentunit"}, object{"id": "custom.cellOptions", "value": object{"type": "color-text"}},
			object{"id": "thresholds", "value": object{"mode": "absolute", "steps": []any{object{"color": "orange", "value": nil}, object{"color": "text", "value": metrics.LowCoverage}}}}))
		join = fmt.Sprintf("LEFT JOIN\n(\n    SELECT toString(department) AS code, toNullable(sum(least(captured, reported)) / sum(reported)) AS share\n    FROM mart.coverage\n"+
			"    WHERE subject = '%s' AND reported IS NOT NULL AND %s\n    GROUP BY code\n) AS c ON c.code = f.code\n", d.Coverage, period)
	}
	sql := fmt.Sprintf("SELECT if(n.name_%[1]s = '', f.code, n.name_%[1]s) AS %[2]s, f.figure AS %[3]s, f.number AS %[4]s%[5]s\nFROM\n(\n    %[6]s\n) AS f\n"+
		"LEFT JOIN (SELECT toString(code) AS code, name_zh, name_en FROM mart.departments) AS n ON n.code = f.code\n%[7]sORDER BY f.figure %[8]s NULLS LAST, f.code",
		b.language, identifier(who), identifier(value), identifier(count), more, rows, join, map[string]string{"up": "ASC", "down": "DESC"}[d.Better])
	panel := b.panel("table", title, b.description(d), sql, columns, 14, 10, 9, object{"custom": object{"align": "auto"}, "decimals": 1, "noValue": "–"}, object{"showHeader": true, "cellHeight": "sm"}, overrides)
	panel["links"] = b.link(d)
	return panel
}

func override(column string, properties ...any) object {
	return object{"matcher": object{"id": "byName", "options": column}, "properties": properties}
}

// identifier quotes a name of a column.
func identifier(name string) string { return "`" + name + "`" }
