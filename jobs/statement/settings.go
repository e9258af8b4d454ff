package statement

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/document"
)

// Settings are what stands under sql: of a job.
type Settings struct {
	File      string `json:"file" jsonschema:"required,description=File with the statements; relative to county.yaml"`
	Write     bool   `json:"write,omitempty" jsonschema:"description=May write to the database own; reads only when absent"`
	To        string `json:"to,omitempty" jsonschema:"description=Folder for a CSV file of each SELECT; relative to county.yaml"`
	MemoryMax int    `json:"memory_max,omitempty" jsonschema:"description=Most memory of one statement on the server"`

	parameters []string
}

var keys = []string{"file", "write", "to", "memory_max"}

// largestFile bounds what is read of a file (I10).
const largestFile = 4 << 20

const example = "write file: jobs/name.sql"

// Read reads the settings as they stand in the file: a mapping, or a text that is its file:. parameters are the names
// that the job has; resolve makes a path of county.yaml absolute. It finds every mistake in one pass and does not look at
// the SQL file. Messages begin with the mistake's path, which begins with at.
func Read(at string, with any, parameters []string, resolve func(string) string) (*Settings, document.Problems) {
	s := &Settings{parameters: parameters}
	d := connectors.NewDecoder(connectors.Settings{})
	m, ok := with.(map[string]any)
	if file, isText := with.(string); isText {
		m, ok = map[string]any{"file": file}, true
	}
	if !ok {
		d.Fail(at, example, "is neither a file nor a mapping")
		return s, unplaced(d)
	}
	d.Known(at, m, keys)
	if m["file"] == nil {
		d.Fail(at, example, "names no file")
	}
	d.Text(at, m, "file", &s.File)
	d.Bool(at, m, "write", &s.Write)
	d.Text(at, m, "to", &s.To)
	d.Size(at, m, "memory_max", &s.MemoryMax)
	if s.File != "" {
		s.File = resolve(s.File)
	}
	if s.To != "" {
		s.To = resolve(s.To)
	}
	for _, name := range parameters {
		if slices.Contains(builtin, name) {
			d.Fail(at, "rename the parameter", "is given {%s:...} by Shire, and the job has a parameter of that name", name)
		}
		if !isName(name) {
			d.Fail(at, "use letters, digits and _", "cannot use the parameter %q, which ClickHouse does not take for a name", name)
		}
	}
	return s, unplaced(d)
}

func isName(name string) bool {
	for i := range len(name) {
		if !isWord(name[i]) || name[i] == '$' || i == 0 && name[i] <= '9' {
			return false
		}
	}
	return name != ""
}

// unplaced are the mistakes that the decoder found; who asked knows the file that they stand in.
func unplaced(d *connectors.Decoder) document.Problems {
	found, _ := d.Err().(document.Problems)
	for _, p := range found {
		p.File = ""
	}
	return found
}

// Check looks at the SQL file and at the folder of the results. What is wrong in the SQL file names that file and the
// line; the other messages begin with the mistake's path, as those of [Read]. Whether ClickHouse understands the
// statements only a server can say: see [Worker.Prove].
func (s *Settings) Check(at string) document.Problems {
	d := connectors.NewDecoder(connectors.Settings{})
	var problems document.Problems
	if statements, err := s.statements(); err != nil {
		var inFile document.Problems
		if !errors.As(err, &inFile) {
			d.Fail(at+".file", "check the path and its permissions", "%v", err)
		}
		problems = inFile
	} else if s.To != "" && len(statements) > 0 {
		if info, err := os.Stat(s.To); err == nil && !info.IsDir() {
			d.Fail(at+".to", "name a folder", "%s is a file", s.To)
		}
	}
	return append(problems, unplaced(d)...)
}

// statements reads the file and proves what can be proven without a server. The error is document.Problems where it is
// one of the file's content.
func (s *Settings) statements() ([]Statement, error) {
	text, err := readFile(s.File)
	if err != nil {
		return nil, err
	}
	var problems document.Problems
	fail := func(line int, do, format string, args ...any) {
		problems = append(problems, &document.Problem{File: s.File, Line: line, Message: fmt.Sprintf(format, args...), Do: do})
	}
	statements, err := Split(text)
	var syntax *SyntaxError
	if errors.As(err, &syntax) {
		fail(syntax.Line, syntax.Do, "%s", syntax.Message)
		return nil, problems
	}
	if len(statements) == 0 {
		fail(1, "write one, such as SELECT count() FROM mart.cases", "there is no statement in the file")
	}
	known := append(slices.Clone(builtin), s.parameters...)
	used := map[string]bool{}
	for _, st := range statements {
		if message, do := st.misuse(); message != "" {
			fail(st.Line, do, "%s", message)
		}
		for _, p := range st.Parameters {
			used[p.Name] = true
			if !slices.Contains(known, p.Name) {
				fail(p.Line, document.DidYouMean(p.Name, known), "the job has no parameter %s", p.Name)
				continue
			}
			if slices.Contains(moments, p.Name) && !isMoment(p.Type) {
				fail(p.Line, fmt.Sprintf("write {%s:DateTime}, {%s:Date} or {%s:String}", p.Name, p.Name, p.Name), "%s is a moment, not %s", p.Name, p.Type)
			}
		}
	}
	for _, name := range s.parameters {
		if !used[name] && len(problems) == 0 {
			fail(1, fmt.Sprintf("write {%s:String} where it belongs, or take it out of the job", name), "the parameter %s of the job stands in no statement", name)
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return statements, nil
}

func readFile(file string) (string, error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%s does not exist", file)
	case err != nil:
		return "", fmt.Errorf("%s cannot be looked at: %w", file, reason(err))
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is not a file", file)
	case info.Size() > largestFile:
		return "", fmt.Errorf("%s is larger than %d MiB: statements are small, and rows belong in a source", file, largestFile>>20)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s cannot be read: %w", file, reason(err))
	}
	return string(text), nil
}

// reason is an error without the operation and the path that the sentence around it names.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// name is the file without folder and ending: what results are named after.
func (s *Settings) name() string {
	return strings.TrimSuffix(filepath.Base(s.File), filepath.Ext(s.File))
}
