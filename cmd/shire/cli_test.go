package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever is typed is answered with the right exit code, in a sentence or in one JSON object.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	configured := []string{"-c", filepath.Join(d.dir, "county.yaml"), "--data", d.data}
	empty := []string{"--data", filepath.Join(d.dir, "nothing")}
	elsewhere := t.TempDir() // where there is no county.yaml
	for _, c := range []struct {
		args    string
		extra   []string
		code    int
		says    string // on standard error, or with exit code 0 on standard output
		command string // as the envelope names it
	}{
		{"", nil, exitOK, "Usage:", "shire"},
		{"help", nil, exitOK, "Usage:", "help"},
		{"--help", nil, exitOK, "quarantine  ", "shire"},
		{"load --help", nil, exitOK, "shire load [SOURCE...]", "load"},
		{"help load", nil, exitOK, "shire load [SOURCE...]", "help"},
		{"quarantine", nil, exitOK, "Send what waits through the flow again", "quarantine"},
		{"completion bash", nil, exitOK, "bash completion", "completion bash"},
		{"version", nil, exitOK, "", "version"},
		{"check", configured, exitOK, "is right: 1 sources, 0 jobs, 1 contracts", "check"},
		{"lod", nil, exitInput, "Did you mean this?\n\tload", "shire"},
		{"frobnicate", nil, exitInput, `unknown command "frobnicate"`, "shire"},
		{"quarantine lsit", nil, exitInput, `shire quarantine has no command "lsit"; did you mean "list"?`, "quarantine"},
		{"load --fast", configured, exitInput, "unknown flag: --fast; see shire load --help", "load"},
		{"--fast", nil, exitInput, "unknown flag: --fast", "shire"},
		{"load desc", configured, exitInput, `has no source "desc"; did you mean "desk"?`, "load"},
		{"load", empty, exitInput, "there is no county.yaml here", "load"},
		{"load -c nowhere.yaml", empty, exitInput, "nowhere.yaml: cannot be read; give the path of your county.yaml with -c", "load"},
		{"check it", nil, exitInput, "shire check takes no arguments; see shire check --help", "check"},
		{"sql", nil, exitInput, "shire sql takes one statement in quotes", "sql"},
		{"quarantine show visits", nil, exitInput, "shire quarantine show takes a dataset and a version", "quarantine show"},
		{"quarantine show visits x", configured, exitInput, `"x" is not a version; copy it from shire quarantine list`, "quarantine show"},
		{"quarantine drop", configured, exitInput, "say why, with --because", "quarantine drop"},
		{"demo --people 5", empty, exitInput, "give at least --people 100 --days 30", "demo"},
		{"demo --people many", empty, exitInput, "invalid argument", "demo"},
	} {
		t.Run(strings.ReplaceAll(c.args, " ", "_"), func(t *testing.T) {
			args := append(strings.Fields(c.args), c.extra...)
			r := shireIn(t, elsewhere, args...)
			if c.code == exitOK {
				r.fails(t, exitOK)
				if !strings.Contains(r.Stdout, c.says) || r.Stderr != "" {
					t.Errorf("does not print %q: %v", c.says, r)
				}
			} else if r.fails(t, c.code, c.says); r.Stdout != "" {
				t.Errorf("prints to standard output: %v", r)
			}
			r = shireIn(t, elsewhere, append(args, "--json")...)
			var e map[string]any
			decoder := json.NewDecoder(strings.NewReader(r.Stdout))
			if err := decoder.Decode(&e); err != nil || decoder.More() {
				t.Fatalf("--json does not print one object: %v, %v", err, r)
			}
			if len(e) != 4 || e["command"] != c.command || e["ok"] != (c.code == exitOK) || (e["error"] == nil) != (c.code == exitOK) || r.Code != c.code || r.Stderr != "" {
				t.Errorf("--json: want command %q and exit code %d: %v", c.command, c.code, r)
			}
			if failure, ok := e["error"].(map[string]any); ok && failure["code"] != float64(c.code) {
				t.Errorf("the envelope has another code: %v", r)
			}
		})
	}
	if _, err := os.Stat(d.data); err == nil {
		t.Error("a wrong command made the data directory")
	}
}

// Exit code 1 is for what failed by itself, and the engine's own words reach whoever wrote the statement.
func TestStatements(t *testing.T) {
	t.Parallel()
	needEngine(t)
	d := newDesk(t)
	d.write("drop/visits-1.csv", deskHeader+"A1,,即办,2026-03-02,\n")
	d.shire("load").ok(t)
	d.shire("sql", "SELEC 1").fails(t, exitInput, "ClickHouse does not run this", "Syntax error")
	d.shire("sql", "SELECT 1 FROM restricted.person_records").fails(t, exitInput, "Not enough privileges")
	d.shire("sql", "CREATE TABLE mart.x (a Int8) ENGINE = Memory").fails(t, exitInput, "ClickHouse")
	if r := d.shire("sql", "--csv", "SELECT case_number, closed_at FROM mart.cases").ok(t); r.Stdout != "case_number,closed_at\nA1,\n" {
		t.Errorf("sql --csv: %v", r)
	}
	if rows := query(t, d.data, "SELECT 1 AS one, 'x' AS text, NULL AS nothing"); len(rows) != 1 || rows[0][0] != 1.0 || rows[0][1] != "x" || rows[0][2] != nil {
		t.Errorf("sql --json: %v", rows)
	}
}
