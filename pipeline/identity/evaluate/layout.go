package evaluate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/shirecounty/shire/schemas/document"
	"github.com/shirecounty/shire/schemas/identity"
)

// Layout says which columns of a file hold what.
type Layout struct {
	Truth string // the column that tells who is who; "" when it is not asked for
	ID    string // the column that names each record; "" when it is not asked for

	fields  []string // of the model, in its order
	columns []string // where each is read from; "" for a field that the file does not have
	source  string   // the column that tells where a record comes from; "" when it is not told
	sourced bool     // it was mapped: then the file must have it
}

// NewLayout takes the columns from the model, or from mapped, by field: {"birth_date": "dob"}. A field that is mapped to
// "" is missing in the file. Where a record comes from is mapped by "source", and a file need not tell. The error says which
// name is wrong.
func NewLayout(m *identity.Model, mapped map[string]string) (Layout, error) {
	l := Layout{fields: m.FieldNames(), source: m.SourceColumn}
	if l.source != "" && m.Field(sourceName) < 0 {
		if column, ok := mapped[sourceName]; ok {
			l.source, l.sourced = column, column != ""
		}
	}
	for _, name := range slices.Sorted(maps.Keys(mapped)) {
		if m.Field(name) < 0 && (name != sourceName || m.SourceColumn == "") {
			return Layout{}, document.Problems{{File: m.File, Message: fmt.Sprintf("the model has no field %q to map a column to", name), Do: document.DidYouMean(name, l.fields)}}
		}
	}
	for i := range m.Fields {
		column, ok := mapped[m.Fields[i].Name]
		if !ok {
			column = m.Fields[i].Source()
		}
		l.columns = append(l.columns, column)
	}
	return l, nil
}

// sourceName is what a record's source is mapped by.
const sourceName = "source"

// Absent lists the fields of the model that the file does not have.
func (l *Layout) Absent() []string {
	var out []string
	for i, c := range l.columns {
		if c == "" {
			out = append(out, l.fields[i])
		}
	}
	return out
}

// places are where a header has the columns; -1 for what is not asked for.
type places struct {
	fields    []int // of the model, and behind them the source if the file has it
	truth, id int
	all       int // columns of the file
}

// mostListed is how many columns a message names.
const mostListed = 40

func (l *Layout) find(file string, header []string) (places, error) {
	at := map[string]int{}
	twice := map[string]bool{}
	for i, name := range header {
		name = strings.TrimSpace(name)
		if _, ok := at[name]; ok {
			twice[name] = true
		}
		at[name] = i
	}
	names := slices.Sorted(maps.Keys(at))
	var problems document.Problems
	find := func(column, what, do string) int {
		i, ok := at[column]
		switch {
		case column == "":
			return -1
		case !ok:
			if near := document.Nearest(column, names); near != "" {
				do = fmt.Sprintf("did you mean %q? %s", near, do)
			}
			problems = append(problems, &document.Problem{File: file, Line: 1, Message: fmt.Sprintf("there is no column %q %s; the columns are %s", column, what, listed(names)), Do: do})
		case twice[column]:
			problems = append(problems, &document.Problem{File: file, Line: 1, Message: fmt.Sprintf("two columns are called %q", column), Do: "give each a name of its own"})
		}
		return i
	}
	p := places{all: len(header)}
	for i, c := range l.columns {
		f := l.fields[i]
		p.fields = append(p.fields, find(c, "for the field "+f, fmt.Sprintf("say where it is by --map %s=COLUMN, or --map %s= if the file does not have it", f, f)))
	}
	if _, has := at[l.source]; l.source != "" && (has || l.sourced) {
		p.fields = append(p.fields, find(l.source, "for the records' sources", "name it by --map source=COLUMN"))
	}
	p.truth = find(l.Truth, "for the truth", "name the column that says who is who by --truth")
	p.id = find(l.ID, "for the records' ids", "name the column by --id")
	if len(problems) == 0 && len(l.Absent()) == len(l.fields) {
		problems = append(problems, &document.Problem{File: file, Message: "none of the model's fields is read from the file", Do: "map at least one field to a column"})
	}
	return p, problems.OrNil()
}

func listed(names []string) string {
	if len(names) > mostListed {
		return strings.Join(names[:mostListed], ", ") + fmt.Sprintf(" and %d more", len(names)-mostListed)
	}
	return strings.Join(names, ", ")
}
