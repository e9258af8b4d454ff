// Package grafana makes Grafana's dashboards from the definitions of the metrics: files that Grafana reads at its start, in both languages.
// They ask metrics, mart and ops alone, as the analyst does, so that nothing personal can be on them (I7); every panel of a figure leads to
// the page of the portal that opens it (I9).
//
// The files beside this one are what [Dashboards] gives; a test holds them against it, and writes them anew with
//
//	go test ./deploy/grafana -update
package grafana

import (
	"encoding/json"
	"fmt"

	"github.com/shirecounty/shire/schemas/metrics"
)

// Datasource is the uid of the datasource that provisioning/datasources defines.
const Datasource = "shire-clickhouse"

// Dashboard is one file.
type Dashboard struct {
	File   string
	JSON   []byte
	Panels []Panel
}

// Panel is what is asked for one panel, or for the choices of a variable.
type Panel struct {
	Title   string
	SQL     string
	Columns []string // in order: what the panel needs
}

// What stands in a statement for what the reader has chosen; Grafana fills it in.
const (
	fromTime   = "$__fromTime"
	toTime     = "$__toTime"
	department = "${department:singlequote}"
	anywhere   = "*" // the choice of all departments
)

// Dashboards of the metrics and of the flow, in Chinese and in English.
func Dashboards(set metrics.Set) []Dashboard {
	var list []Dashboard
	for _, language := range []string{"zh", "en"} {
		list = append(list, figures(set, language), flow(language))
	}
	return list
}

// board collects panels in rows of the grid, which is 24 wide.
type board struct {
	language string
	panels   []any
	asked    []Panel
	y, id    int
}

func (b *board) say(text metrics.Text) string {
	if b.language == "en" {
		return text.En
	}
	return text.Zh
}

func (b *board) next() int {
	b.id++
	return b.id
}

type object = map[string]any

func datasource() object {
	return object{"type": "grafana-clickhouse-datasource", "uid": Datasource}
}

// panel is one panel with one statement. kind is Grafana's: timeseries, table ...
func (b *board) panel(kind, title, description, sql string, columns []string, x, width, height int, field, options object, overrides []any) object {
	b.asked = append(b.asked, Panel{Title: title, SQL: sql, Columns: columns})
	format, query := 1, "table"
	if kind == "timeseries" {
		format, query = 0, "timeseries"
	}
	if overrides == nil {
		overrides = []any{}
	}
	return object{
		"id": b.next(), "type": kind, "title": title, "description": description, "datasource": datasource(),
		"gridPos":     object{"x": x, "y": b.y, "w": width, "h": height},
		"fieldConfig": object{"defaults": field, "overrides": overrides},
		"options":     options,
		"targets": []any{object{
			"refId": "A", "datasource": datasource(), "editorType": "sql", "queryType": query, "format": format, "rawSql": sql,
		}},
	}
}

// file completes the dashboard.
func (b *board) file(name string, title metrics.Text, from string, variables []any) Dashboard {
	tag := map[string]string{"zh": "中文", "en": "English"}[b.language]
	data, err := json.MarshalIndent(object{
		"uid": "shire-" + name + "-" + b.language, "title": b.say(title), "tags": []string{"shire", tag}, "timezone": "browser", "schemaVersion": 39,
		"editable": false, "graphTooltip": 1, "refresh": "", "time": object{"from": from, "to": "now"},
		"templating": object{"list": variables}, "panels": b.panels,
	}, "", "  ")
	if err != nil {
		panic(err) // it is made of maps, lists, texts and numbers
	}
	return Dashboard{File: fmt.Sprintf("dashboards/%s.%s.json", name, b.language), JSON: append(data, '\n'), Panels: b.asked}
}

// departments is the variable by which a reader chooses one department, or all.
func (b *board) departments() object {
	all := b.say(metrics.Text{Zh: "全县", En: "The whole county"})
	sql := fmt.Sprintf("SELECT code, name FROM (SELECT '%s' AS code, '%s' AS name, 0 AS place UNION ALL SELECT toString(code), if(name_%s = '', toString(code), name_%s), 1 FROM mart.departments) ORDER BY place, code",
		anywhere, all, b.language, b.language)
	title := b.say(metrics.Text{Zh: "部门", En: "Department"})
	b.asked = append(b.asked, Panel{Title: title, SQL: sql, Columns: []string{"code", "name"}})
	return object{
		"name": "department", "label": title, "type": "query", "datasource": datasource(), "definition": sql, "refresh": 1, "sort": 0, "multi": false, "includeAll": false,
		"query":   object{"rawSql": sql, "refId": "department", "editorType": "sql", "queryType": "table", "format": 1},
		"current": object{"text": all, "value": anywhere},
	}
}

// portal is the variable that says where the county's portal is.
func (b *board) portal() object {
	address := "http://127.0.0.1:8080"
	return object{
		"name": "portal", "label": b.say(metrics.Text{Zh: "门户地址", En: "Portal"}), "type": "textbox", "query": address,
		"current": object{"text": address, "value": address},
	}
}
