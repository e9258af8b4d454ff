package calendar

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// file is one calendar file as a person writes it: the days of one year that do not follow the week.
type file struct {
	Name      string      `yaml:"name"`      // whose calendar: 中华人民共和国, 福建省, ...
	Year      year        `yaml:"year"`      //
	Published day         `yaml:"published"` // when the notice was issued
	Source    string      `yaml:"source"`    // title and number of the notice
	Holidays  []exception `yaml:"holidays"`

	path string // as people call it
}

// exception is a holiday: the days off, both ends included, and the make-up workdays that pay for them. A local file may name
// either alone: a regional holiday, or a workday that stands although the nation is off.
type exception struct {
	Zh       string `yaml:"zh"`
	En       string `yaml:"en"`
	From     day    `yaml:"from"`
	To       day    `yaml:"to"`
	Workdays []day  `yaml:"workdays"`

	line int
}

// UnmarshalYAML keeps the line, for the errors that only show once the holiday is read.
func (e *exception) UnmarshalYAML(node ast.Node) error {
	type plain exception
	if err := yaml.NodeToValue(node, (*plain)(e), yaml.Strict()); err != nil {
		return err
	}
	e.line = lineOf(node)
	return nil
}

// day is a date with the line it stands on.
type day struct {
	Date
	line int
}

func (d *day) UnmarshalYAML(node ast.Node) (err error) {
	d.line = lineOf(node)
	if d.Date, err = ParseDate(scalar(node)); err != nil {
		return &lineError{d.line, err}
	}
	return nil
}

type year struct{ value, line int }

func (y *year) UnmarshalYAML(node ast.Node) error {
	y.line = lineOf(node)
	d, err := ParseDate(scalar(node) + "-01-01")
	if err != nil {
		return &lineError{y.line, fmt.Errorf("%q is not a year; write it as 2024", scalar(node))}
	}
	y.value = d.Year()
	return nil
}

func scalar(node ast.Node) string {
	if s, ok := node.(*ast.StringNode); ok {
		return s.Value
	}
	return node.String()
}

func lineOf(node ast.Node) int {
	// The token of a mapping is the colon of its first entry.
	if token := node.GetToken(); token != nil && token.Position != nil {
		return token.Position.Line
	}
	return 0
}

// lineError is an error that knows its line, for which readFile knows the file.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return e.err.Error() }
func (e *lineError) Unwrap() error { return e.err }

// readLayer reads every .yaml file at the top of a layer, ordered by year. A layer that does not exist has none.
func readLayer(layer fs.FS) ([]*file, error) {
	// fs.Glob would take a folder that cannot be read for an empty one.
	entries, err := fs.ReadDir(layer, ".")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("calendar: list the calendar files: %w", err)
	}
	var files []*file
	for _, entry := range entries {
		if path.Ext(entry.Name()) != ".yaml" {
			continue
		}
		f, err := readFile(layer, entry.Name())
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b *file) int { return a.Year.value - b.Year.value })
	for i := 1; i < len(files); i++ {
		if a, b := files[i-1], files[i]; a.Year.value == b.Year.value {
			return nil, b.errorf(b.Year.line, "%s already holds the year %d; put one year of one layer in one file", a.path, a.Year.value)
		}
	}
	return files, nil
}

func readFile(layer fs.FS, p string) (*file, error) {
	data, err := fs.ReadFile(layer, p)
	if err != nil {
		return nil, fmt.Errorf("calendar: read %s: %w", p, err)
	}
	f := &file{path: p}
	if n, ok := layer.(named); ok {
		f.path = path.Join(n.folder, p)
	}
	if err := decode(data, f); err != nil {
		var at *lineError
		var syntax yaml.Error
		switch {
		case errors.As(err, &at):
			return nil, f.errorf(at.line, "%w", at.err)
		case errors.As(err, &syntax) && syntax.GetToken() != nil:
			return nil, f.errorf(syntax.GetToken().Position.Line, "%s", syntax.GetMessage())
		}
		return nil, f.errorf(1, "%w", err)
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	return f, nil
}

// decode guards against the YAML library, which panics on some malformed files (a tag on a scalar where a list is due, for one).
func decode(data []byte, f *file) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the file is not YAML of a calendar's shape, and the YAML library gave up on it: %v", r)
		}
	}()
	return yaml.UnmarshalWithOptions(data, f, yaml.Strict())
}

// check finds what is wrong within one file.
func (f *file) check() error {
	switch {
	case f.Year.value == 0:
		return f.errorf(1, "the key year is missing")
	case f.Name == "":
		return f.errorf(1, "the key name is missing: whose calendar is this?")
	case f.Source == "":
		return f.errorf(1, "the key source is missing: the title of the notice that this file restates")
	case f.Published.line == 0:
		return f.errorf(1, "the key published is missing: the date of the notice, such as %d-11-04", f.Year.value-1)
	}
	seen := map[Date]int{}
	once := func(d Date, line int) error {
		// December dates can stand in the next year's file, and a holiday can run into January.
		if d < NewDate(f.Year.value-1, 12, 1) || d > NewDate(f.Year.value+1, 1, 31) {
			return f.errorf(line, "%s does not belong to the year %d of this file", d, f.Year.value)
		}
		if other, twice := seen[d]; twice {
			return f.errorf(line, "%s is already named at line %d", d, other)
		}
		seen[d] = line
		return nil
	}
	for _, h := range f.Holidays {
		switch {
		case h.Zh == "" || h.En == "":
			return f.errorf(h.line, "a holiday needs a name in both languages, zh and en")
		case h.From.line == 0 && h.To.line == 0 && len(h.Workdays) == 0:
			return f.errorf(h.line, "the holiday %s has no days: give from and to, or workdays", h.Zh)
		case h.From.line == 0 && h.To.line != 0 || h.From.line != 0 && h.To.line == 0:
			return f.errorf(h.line, "the holiday %s needs both from and to, the same day twice if it is one", h.Zh)
		case h.To.Date < h.From.Date:
			return f.errorf(h.To.line, "the holiday %s ends on %s, before it starts on %s", h.Zh, h.To, h.From)
		case h.To.Date-h.From.Date > 30:
			return f.errorf(h.To.line, "the holiday %s lasts longer than a month", h.Zh)
		}
		for d := range h.daysOff() {
			if err := once(d, h.From.line); err != nil {
				return err
			}
		}
		for _, w := range h.Workdays {
			if err := once(w.Date, w.line); err != nil {
				return err
			}
		}
	}
	return nil
}

// daysOff ranges over the days from From to To.
func (e exception) daysOff() func(yield func(Date) bool) {
	return func(yield func(Date) bool) {
		if e.From.line == 0 {
			return
		}
		for d := e.From.Date; d <= e.To.Date && yield(d); d++ {
		}
	}
}

func (f *file) errorf(line int, format string, args ...any) error {
	return fmt.Errorf("calendar %s:%d: %w", f.path, line, fmt.Errorf(format, args...))
}
