package warehouse

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/shirecounty/shire/schemas/metrics"
)

// view is a view of mart that is written down.
type view struct {
	name    string
	text    string // what it selects
	columns []viewColumn
}

type viewColumn struct{ Name, Type string }

// views are the views of these names, each behind those that it reads. used grows by what they need of each other.
func (b *build) views(ctx context.Context, used map[string]string) (ordered []view, err error) {
	waiting := map[string]view{}
	for name := range used {
		v := view{name: name}
		if err := b.Conn.QueryRow(ctx, "SELECT as_select FROM system.tables WHERE database = 'mart' AND name = ?", name).Scan(&v.text); err != nil {
			return nil, fmt.Errorf("ask what mart.%s selects: %w", name, err)
		}
		if err := b.Conn.Select(ctx, &v.columns, "SELECT name AS Name, type AS Type FROM system.columns WHERE database = 'mart' AND table = ? ORDER BY position", name); err != nil {
			return nil, fmt.Errorf("ask for the columns of mart.%s: %w", name, err)
		}
		waiting[name] = v
	}
	for len(waiting) > 0 {
		before := len(ordered)
		for _, name := range slices.Sorted(maps.Keys(waiting)) {
			v := waiting[name]
			if slices.ContainsFunc(slices.Sorted(maps.Keys(waiting)), func(other string) bool { return other != name && v.reads(other) }) {
				continue
			}
			for _, o := range ordered {
				if v.reads(o.name) {
					used[o.name] += " " + v.text
				}
			}
			ordered = append(ordered, v)
			delete(waiting, name)
		}
		if len(ordered) == before {
			return nil, fmt.Errorf("the views %v of mart read each other", slices.Sorted(maps.Keys(waiting)))
		}
	}
	return ordered, nil
}

func (v view) reads(other string) bool {
	return regexp.MustCompile(`\bmart\.` + regexp.QuoteMeta(other) + `\b`).MatchString(v.text)
}

// copy is the statement that writes down the columns of the view that are named in used, from the copies of other views where there
// are any: a view that reads another makes the engine do all of that one's work again.
func (v view) copy(p metrics.Prepared, used string, copied []string) string {
	var names, kept []string
	for _, c := range v.columns {
		if v.name == "coverage" || regexp.MustCompile(`\b`+regexp.QuoteMeta(c.Name)+`\b`).MatchString(used) {
			names, kept = append(names, "`"+c.Name+"`"), append(kept, "`"+c.Name+"` "+c.Type)
		}
	}
	from := "mart." + v.name
	if slices.ContainsFunc(copied, v.reads) {
		from = "(" + p.Instead(v.text, copied...) + ")"
	}
	return fmt.Sprintf("CREATE TABLE %s (%s) ENGINE = MergeTree ORDER BY tuple() AS SELECT %s FROM %s", p.Table("view", v.name), strings.Join(kept, ", "), strings.Join(names, ", "), from)
}
