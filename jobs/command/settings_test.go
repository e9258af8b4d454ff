//go:build unix

package command

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

func read(t *testing.T, text string) (*Settings, string) {
	t.Helper()
	var with any
	if err := yaml.Unmarshal([]byte(text), &with); err != nil {
		t.Fatal(err)
	}
	s, problems := Read("do.command", with, []string{"district", "year"}, func(p string) string { return "/etc/shire/" + p })
	var lines []string
	for _, p := range problems {
		lines = append(lines, strings.TrimPrefix(p.Error(), ": "))
	}
	return s, strings.Join(lines, "\n")
}

func TestRead(t *testing.T) {
	s, wrong := read(t, `
run: [./export.py, --since, "{{from}}", 5, true, "{{ district }}"]
folder: work
environment: {PGHOST: db, PGPORT: 5432, YEAR: "{{year}}"}
secrets: {PGPASSWORD: file:secrets/civil}
grace: 20s
memory_max: 512MiB
processes_max: 20
file_max: 1GiB
output_max: 64KiB
output_full: stop
nice: 10
`)
	if wrong != "" {
		t.Fatal(wrong)
	}
	if got := fmt.Sprintln(s.Run, s.Folder, s.Environment, string(s.Secrets["PGPASSWORD"])); got !=
		"[/etc/shire/export.py --since {{from}} 5 true {{ district }}] /etc/shire/work map[PGHOST:db PGPORT:5432 YEAR:{{year}}] file:/etc/shire/secrets/civil\n" {
		t.Errorf("got %s", got)
	}
	if s.Grace != 20*time.Second || s.MemoryMax != 512<<20 || s.ProcessesMax != 20 || s.FileMax != 1<<30 || s.OutputMax != 64<<10 || s.OutputFull != stop || s.Nice != 10 {
		t.Errorf("got %+v", s)
	}
	s, wrong = read(t, `[python3, -W, ignore, report.py, -c, "{{from}}"]`)
	if wrong != "" || s.Folder != "/etc/shire" || s.Grace != defaultGrace || s.OutputFull != cut || s.Run[0] != "python3" {
		t.Errorf("got %+v, %s", s, wrong)
	}
	// I7: not even when somebody prints the settings.
	s, _ = read(t, `{run: [a], secrets: {KEY: hunter2}}`)
	text, err := json.Marshal(s)
	if printed := fmt.Sprintf("%v %+v %#v %s", s, s, s, text); err != nil || strings.Contains(printed, "hunter2") {
		t.Errorf("printed: %s, %v", printed, err)
	}
}

func TestReadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`5`:                                     "do.command is neither a list nor a mapping; write run: [program, argument, argument]",
		`{}`:                                    "do.command has no run:; write run: [program, argument, argument]",
		`[]`:                                    "do.command.run names no program",
		`[""]`:                                  "do.command.run names no program",
		`{run: {a: b}}`:                         "do.command.run is not a list",
		`{run: python3 x.py}`:                   "do.command.run is one text, and no shell is there to take it apart; write run: [python3, x.py], or with a shell run: [sh, -c, ...]",
		`{run: [a, [b]]}`:                       "do.command.run[1] is not a single argument",
		`{run: [a], shell: true}`:               "do.command.shell is not a setting",
		`{run: [a], foldr: x}`:                  `do.command.foldr is not a setting; did you mean "folder"?`,
		`{run: [a, "{{distrct}}"]}`:             `do.command.run[1] names the parameter {{distrct}}, which the job has not; did you mean "district"?`,
		`{run: ["{{district}}"]}`:               "do.command.run[0] would make the program itself depend on a parameter",
		`{run: [a], folder: "{{x}}"}`:           "do.command.folder names the parameter {{x}}, which the job has not",
		`{run: [a], environment: {A: "{{x}}"}}`: "do.command.environment.A names the parameter {{x}}",
		`{run: [a], environment: [A]}`:          "do.command.environment is not a mapping",
		`{run: [a], environment: {A: [b]}}`:     "do.command.environment.A is not a text",
		`{run: [a], environment: {A-B: b}}`:     "do.command.environment.A-B is no name of an environment variable",
		`{run: [a], environment: {SHIRE_RUN: b}}`:            "is one of the names that Shire gives itself",
		`{run: [a], environment: {A: b}, secrets: {A: c}}`:   "do.command.secrets.A stands in environment: too",
		`{run: [a], grace: 1h}`:                              "do.command.grace is longer than a stop may take; write at most 5m",
		`{run: [a], grace: soon}`:                            "do.command.grace is not a duration",
		`{run: [a], memory_max: 5}`:                          "do.command.memory_max is not a size that can be used",
		`{run: [a], output_max: 1GiB}`:                       "do.command.output_max is more than is kept with a run; write at most 64MiB",
		`{run: [a], output_full: drop}`:                      `do.command.output_full "drop" is not one of the choices; write cut or stop`,
		`{run: [a], nice: -5}`:                               "do.command.nice is not a number that can be used; write a whole number from 0 to 19",
		`{run: [a], processes_max: 0}`:                       "do.command.processes_max is not a number that can be used",
		`[sh, -c, "echo {{district}}"]`:                      `do.command.run[2] would make what is in {{district}} a part of the program's text; take it from the environment instead: "$SHIRE_PARAM_DISTRICT" in a shell`,
		`[bash, -euo, pipefail, -c, "echo {{from}}"]`:        `"$SHIRE_FROM" in a shell`,
		`[nice, -n, 5, /bin/bash, -ec, "echo {{district}}"]`: "do.command.run[5] would make",
		`[python3, -W, ignore, -c, "print({{year}})"]`:       "do.command.run[4] would make",
		`[perl, "-eprint {{year}}"]`:                         "do.command.run[1] would make",
		`[psql, -h, db, -c, "SELECT {{year}}"]`:              "do.command.run[4] would make",
	} {
		if _, got := read(t, text); !strings.Contains(got, want) {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
	for _, text := range []string{`[sh, -c, 'echo "$1"', sh, "{{district}}"]`, `[bash, script.sh, -c, "{{district}}"]`, `[sh, -e, x.sh, "{{from}}"]`, `[docker, ps, --format, "{{.Names}}"]`} {
		if _, got := read(t, text); got != "" {
			t.Errorf("%s: got %s", text, got)
		}
	}
	_, problems := Read("do.command", []any{"a"}, []string{"due", "a-b", "a_b"}, func(p string) string { return p })
	if got := problems.Error(); !strings.Contains(got, "the job has a parameter of that name") || !strings.Contains(got, "would get the parameters a-b and a_b both as SHIRE_PARAM_A_B") {
		t.Errorf("got %s", got)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(`run: [a, "{{from}}"]`)
	f.Add(`[sh, -c, x]`)
	f.Add(`{run: [psql, -c], secrets: {A: file:x}, environment: {B: 1.5}}`)
	f.Fuzz(func(t *testing.T, text string) {
		var with any
		if yaml.Unmarshal([]byte(text), &with) != nil {
			t.Skip()
		}
		s, problems := Read("do.command", with, []string{"district"}, func(p string) string { return p })
		for _, p := range problems {
			if !strings.HasPrefix(p.Message, "do.command") {
				t.Errorf("%q has no place", p.Message)
			}
		}
		if len(problems) == 0 && len(s.Run) == 0 {
			t.Error("nothing to run, and no problem")
		}
		s.Check("do.command")
	})
}
