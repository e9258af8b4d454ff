//go:build unix

package command

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/document"
)

// Settings are what stands under command: of a job.
type Settings struct {
	Run          []string                 `json:"run" jsonschema:"required,description=The program and its arguments; each stays one argument whatever is in it"`
	Folder       string                   `json:"folder,omitempty" jsonschema:"description=Where it runs; the folder of county.yaml when absent"`
	Environment  map[string]string        `json:"environment,omitempty" jsonschema:"description=Added to its otherwise clean environment"`
	Secrets      map[string]county.Secret `json:"secrets,omitempty" jsonschema:"description=Added to its environment and kept out of logs: ${NAME} or file:PATH"`
	Grace        time.Duration            `json:"grace,omitempty" jsonschema:"description=Between asking it to end and killing it"`
	MemoryMax    int                      `json:"memory_max,omitempty" jsonschema:"description=Most memory of all its processes together"`
	ProcessesMax int                      `json:"processes_max,omitempty" jsonschema:"description=Most processes at once"`
	FileMax      int                      `json:"file_max,omitempty" jsonschema:"description=Largest file that it may write"`
	OutputMax    int                      `json:"output_max,omitempty" jsonschema:"description=Most bytes of its output that are kept"`
	OutputFull   string                   `json:"output_full,omitempty" jsonschema:"enum=cut,enum=stop,description=Whether it goes on when it prints more"`
	Nice         int                      `json:"nice,omitempty" jsonschema:"description=0 to 19: how far it steps back for others"`

	resolve func(string) string
}

// What is to happen with output beyond output_max.
const (
	cut  = "cut"  // the middle is left out, the command goes on
	stop = "stop" // the command is stopped
)

const (
	defaultGrace        = 5 * time.Second
	longestGrace        = 5 * time.Minute
	defaultProcessesMax = 1000
	defaultOutputMax    = 1 << 20
	largestOutputMax    = 64 << 20
)

var keys = []string{"run", "folder", "environment", "secrets", "grace", "memory_max", "processes_max", "file_max", "output_max", "output_full", "nice"}

const example = `write run: [program, argument, argument]`

// Read reads the settings as they stand in the file after ${NAME} was filled in: a mapping, or a list that is its run:.
// parameters are the names that the job has; resolve makes a path of county.yaml absolute. It finds every mistake in one
// pass and looks at nothing but the text. Messages begin with the mistake's path, which begins with at.
func Read(at string, with any, parameters []string, resolve func(string) string) (*Settings, document.Problems) {
	s := &Settings{Grace: defaultGrace, ProcessesMax: defaultProcessesMax, OutputMax: defaultOutputMax, OutputFull: cut}
	s.resolve = func(path string) string {
		// The program starts in another folder than this process runs in.
		if absolute, err := filepath.Abs(resolve(path)); err == nil {
			return absolute
		}
		return resolve(path)
	}
	d := connectors.NewDecoder(connectors.Settings{})
	m, ok := with.(map[string]any)
	if list, isList := with.([]any); isList {
		m, ok = map[string]any{"run": list}, true
	}
	if !ok {
		d.Fail(at, example, "is neither a list nor a mapping")
		return s, problems(d)
	}
	d.Known(at, m, keys)
	s.readRun(d, at, m)
	d.Text(at, m, "folder", &s.Folder)
	s.Folder = s.resolve(s.Folder)
	s.Environment = texts(d, at+".environment", m["environment"])
	s.Secrets = map[string]county.Secret{}
	for name, text := range texts(d, at+".secrets", m["secrets"]) {
		if file, isFile := strings.CutPrefix(text, "file:"); isFile {
			text = "file:" + s.resolve(file)
		}
		s.Secrets[name] = county.Secret(text)
		if _, twice := s.Environment[name]; twice {
			d.Fail(at+".secrets."+name, "keep it here and take it out there", "stands in environment: too")
		}
	}
	d.Duration(at, m, "grace", &s.Grace)
	if s.Grace > longestGrace {
		d.Fail(at+".grace", "write at most 5m", "is longer than a stop may take")
	}
	d.Size(at, m, "memory_max", &s.MemoryMax)
	d.Int(at, m, "processes_max", &s.ProcessesMax, 1, 1<<20)
	d.Size(at, m, "file_max", &s.FileMax)
	d.Size(at, m, "output_max", &s.OutputMax)
	if s.OutputMax > largestOutputMax {
		d.Fail(at+".output_max", "write at most 64MiB, and let the command write files for more", "is more than is kept with a run")
	}
	d.Choice(at, m, "output_full", &s.OutputFull, cut, stop)
	d.Int(at, m, "nice", &s.Nice, 0, 19)
	s.proveTemplates(d, at, parameters)
	return s, problems(d)
}

// problems are the mistakes that the decoder found; who asked knows the file that they stand in.
func problems(d *connectors.Decoder) document.Problems {
	found, _ := d.Err().(document.Problems)
	for _, p := range found {
		p.File = ""
	}
	return found
}

func (s *Settings) readRun(d *connectors.Decoder, at string, m map[string]any) {
	switch run := m["run"].(type) {
	case []any:
		for i, item := range run {
			// YAML takes an argument such as 5 or true for something else than a text.
			switch item.(type) {
			case map[string]any, []any, nil:
				d.Fail(fmt.Sprintf("%s.run[%d]", at, i), "write a text", "is not a single argument")
			default:
				s.Run = append(s.Run, fmt.Sprint(item))
			}
		}
		if len(run) == 0 || len(s.Run) > 0 && strings.TrimSpace(s.Run[0]) == "" {
			d.Fail(at+".run", example, "names no program")
		}
	case string:
		do := example
		if words := strings.Fields(run); len(words) > 0 {
			do = fmt.Sprintf("write run: [%s], or with a shell run: [sh, -c, ...]", strings.Join(words, ", "))
		}
		d.Fail(at+".run", do, "is one text, and no shell is there to take it apart")
	case nil:
		d.Fail(at, example, "has no run:")
	default:
		d.Fail(at+".run", example, "is not a list")
	}
	if len(s.Run) > 0 && strings.ContainsRune(s.Run[0], '/') {
		s.Run[0] = s.resolve(s.Run[0])
	}
}

var environmentName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// texts reads a mapping of environment variables.
func texts(d *connectors.Decoder, at string, v any) map[string]string {
	out := map[string]string{}
	m, ok := v.(map[string]any)
	if !ok && v != nil {
		d.Fail(at, "write NAME: text", "is not a mapping")
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		switch value := m[name].(type) {
		case map[string]any, []any, nil:
			d.Fail(at+"."+name, "write a text", "is not a text")
		default:
			out[name] = fmt.Sprint(value)
		}
		switch {
		case !environmentName.MatchString(name):
			d.Fail(at+"."+name, "use letters, digits and _", "is no name of an environment variable")
		case strings.HasPrefix(name, "SHIRE_"):
			d.Fail(at+"."+name, "choose another name", "is one of the names that Shire gives itself")
		}
	}
	return out
}

// proveTemplates proves that every {{name}} means something, and that none stands where it would become code.
func (s *Settings) proveTemplates(d *connectors.Decoder, at string, parameters []string) {
	known := append(slices.Clone(builtin), parameters...)
	prove := func(path, text string) {
		for _, name := range names(text) {
			if !slices.Contains(known, name) {
				d.Fail(path, document.DidYouMean(name, known), "names the parameter {{%s}}, which the job has not", name)
			}
		}
	}
	code := codeArguments(s.Run)
	for i, argument := range s.Run {
		path := fmt.Sprintf("%s.run[%d]", at, i)
		if found := names(argument); len(found) > 0 && (i == 0 || code[i]) {
			what, do := "would make the program itself depend on a parameter", "write the program's name"
			if code[i] {
				what = fmt.Sprintf("would make what is in {{%s}} a part of the program's text", found[0])
				do = fmt.Sprintf(`take it from the environment instead: "$%s" in a shell`, environmentOf(found[0]))
			}
			d.Fail(path, do, "%s", what)
			continue
		}
		prove(path, argument)
	}
	prove(at+".folder", s.Folder)
	for name, text := range s.Environment {
		prove(at+".environment."+name, text)
	}
	seen := map[string]string{}
	for _, name := range slices.Sorted(slices.Values(parameters)) {
		if slices.Contains(builtin, name) {
			d.Fail(at, "rename the parameter", "is given {{%s}} by Shire, and the job has a parameter of that name", name)
		}
		variable := environmentOf(name)
		if other, twice := seen[variable]; twice {
			d.Fail(at, "rename one of them", "would get the parameters %s and %s both as %s", other, name, variable)
		}
		seen[variable] = name
	}
}

// interpreters are programs that take code as an argument: after an option with one of the letters code. They look at
// options up to the first argument that is none, which is the script; those that end with one of valued take another
// argument along.
var interpreters = map[string]struct{ code, valued string }{
	"sh": {"c", "oO"}, "bash": {"c", "oO"}, "dash": {"c", "oO"}, "ash": {"c", "oO"}, "zsh": {"c", "oO"}, "ksh": {"c", "oO"},
	"python": {"c", "WX"}, "python3": {"c", "WX"}, "perl": {"eE", "IM"}, "ruby": {"e", "Ir"}, "node": {"ep", "r"}, "php": {"r", "cd"},
}

// clients are programs that take SQL after an option, wherever it stands.
var clients = map[string]string{"psql": "-c", "mysql": "-e", "mariadb": "-e"}

// codeArguments are the places in run that hold code of a shell, a script language or a database.
func codeArguments(run []string) map[int]bool {
	code := map[int]bool{}
	for i, program := range run {
		name := filepath.Base(program)
		if option, known := clients[name]; known {
			for j := i + 1; j < len(run); j++ {
				if strings.HasPrefix(run[j], option) {
					code[j], code[j+1] = true, true // -c CODE and -cCODE
				}
			}
		}
		options, known := interpreters[name]
		for j := i + 1; known && j < len(run) && strings.HasPrefix(run[j], "-"); j++ {
			if !strings.HasPrefix(run[j], "--") && strings.ContainsAny(run[j], options.code) {
				code[j], code[j+1] = true, true
				break
			}
			if strings.ContainsAny(run[j][len(run[j])-1:], options.valued) {
				j++
			}
		}
	}
	return code
}

// Check looks whether what the settings name is there on this machine. A mistake that it finds is one of the machine, or
// of the settings; who only reads them elsewhere does not call it.
func (s *Settings) Check(at string) document.Problems {
	d := connectors.NewDecoder(connectors.Settings{})
	if len(names(s.Folder)) == 0 {
		if err := checkFolder(s.Folder); err != nil {
			d.Fail(at+".folder", "create it, or name another", "%v", err)
		}
	}
	if len(s.Run) > 0 {
		if _, err := locate(s.Run[0], s.path()); err != nil {
			d.Fail(at+".run[0]", "install it, or write its full path", "%v", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Secrets)) {
		if _, err := s.Secrets[name].Reveal(); err != nil {
			d.Fail(at+".secrets."+name, "check the path and its permissions", "cannot be read: %v", reason(err))
		}
	}
	return problems(d)
}

// path is the PATH of the command.
func (s *Settings) path() string {
	for _, p := range []string{s.Environment["PATH"], os.Getenv("PATH")} {
		if p != "" {
			return p
		}
	}
	return "/usr/local/bin:/usr/bin:/bin"
}
