package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shirecounty/shire/pipeline/identity/evaluate"
)

// countyModel is the shipped example that reads the files of shire identity simulate.
const countyModel = "../../docs/examples/identity/county.yaml"

// A file is simulated, a model is trained on it, and both the trained and the untrained one are evaluated on it.
func TestIdentity(t *testing.T) {
	t.Parallel()
	model, err := filepath.Abs(countyModel)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	shireIn(t, dir, "identity", "simulate", "--records", "4000", "--missing", "0.2", "--dirty", "--seed", "3", "-o", "people.csv").ok(t)
	text, err := os.ReadFile(filepath.Join(dir, "people.csv"))
	if err != nil {
		t.Fatal(err)
	}
	without := 0
	for line := range strings.Lines(string(text)) {
		if strings.Split(line, ",")[5] == "" {
			without++
		}
	}
	if n := strings.Count(string(text), "\n"); n != 4001 || without < 600 || without > 1000 {
		t.Errorf("the file has %d lines, %d of them without a number", n, without)
	}

	r := shireIn(t, dir, "identity", "train", "people.csv", "--model", model, "-o", "trained.yaml").ok(t)
	for _, want := range []string{"person, version 1, is trained and written to trained.yaml", "4000 records, ", "COMPARISON", "disagrees", "weak"} {
		if !strings.Contains(r.Stdout, want) {
			t.Errorf("train does not print %q: %v", want, r)
		}
	}
	var trained struct {
		Version    int
		Prior      float64
		Parameters []struct{ Comparison, Level string }
	}
	envelopeOf(t, shireIn(t, dir, "identity", "train", "people.csv", "--model", "trained.yaml", "-o", "again.yaml", "--json").ok(t), &trained)
	if trained.Version != 2 || trained.Prior <= 0 || len(trained.Parameters) < 20 || trained.Parameters[0].Comparison != "number" {
		t.Errorf("trained again: %+v", trained)
	}

	r = shireIn(t, dir, "identity", "evaluate", "people.csv", "--truth", "ent", "--model", model, "--id", "rid", "--draws", "100", "--errors", "3").ok(t)
	for _, want := range []string{"The model has no parameters: they were estimated from the file", "4000 records of ", "pair precision", "95% INTERVAL", " to ", "B-cubed F1", "cluster F1",
		"Brier score", "records per second", "ms p99", "ids changed when 1% came last", "missed  "} {
		if !strings.Contains(r.Stdout, want) {
			t.Errorf("evaluate does not print %q: %v", want, r)
		}
	}
	if strings.Contains(r.Stdout, "33992") || strings.Contains(r.Stdout, "澄溪") {
		t.Errorf("I7: a value of a record is printed: %v", r)
	}
	var e, again evaluate.Evaluation
	envelopeOf(t, shireIn(t, dir, "identity", "evaluate", "people.csv", "--truth", "ent", "--model", "trained.yaml", "--json").ok(t), &e)
	if e.Trained != nil || e.Records != 4000 || e.Quality.Precision < .99 || e.Quality.Recall < .9 || e.Intervals == nil || e.Intervals.F1.Low > e.Quality.F1 || e.Intervals.F1.High < e.Quality.F1 ||
		e.Candidates < e.Quality.TruePairs || e.RecordsPerSecond <= 0 || e.Single.P99 < e.Single.P50 || e.Late.Records != 40 || len(e.Calibration.Bins) == 0 {
		t.Errorf("evaluated: %+v", e)
	}
	// A file whose columns are called otherwise, and that has no telephone.
	text = []byte(strings.Replace(strings.Replace(string(text), "birth_date", "dob", 1), ",phone,", ",other,", 1))
	if err := os.WriteFile(filepath.Join(dir, "renamed.csv"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	envelopeOf(t, shireIn(t, dir, "identity", "evaluate", "renamed.csv", "--truth", "ent", "--model", "trained.yaml", "--map", "birth_date=dob,phone=", "--draws", "0", "--json").ok(t), &again)
	if fmt.Sprint(again.Absent) != "[phone]" || again.Intervals != nil || again.Quality.TruePairs >= e.Quality.TruePairs || again.Quality.F1 < .8 {
		t.Errorf("without telephones: %+v", again)
	}
}

// Whatever is wrong in what is typed or read is told in a sentence, with the exit code of wrong input.
func TestIdentityBadInput(t *testing.T) {
	t.Parallel()
	model, err := filepath.Abs(countyModel)
	if err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	const header = "rid,source,name,sex,birth_date,id_number,phone,address,ent\n"
	for file, text := range map[string]string{
		"people.csv":     header + "1,x,张伟,男,1990-01-01,,,,a\n2,x,张伟,男,1990-01-01,,,,b\n",
		"one.csv":        header + "1,x,张伟,男,1990-01-01,,,,a\n",
		"header.csv":     header,
		"empty.csv":      "",
		"ragged.csv":     header + "1,x\n",
		"unlabelled.csv": header + "1,x,张伟,男,1990-01-01,,,,\n2,x,张伟,男,1990-01-01,,,,\n",
		"kind.yaml":      strings.Replace(string(good), "kind: chinese_name", "kind: chinese_nam", 1),
		"key.yaml":       strings.Replace(string(good), "thresholds:", "treshold: 1\nthresholds:", 1),
		"bare.yaml":      "model: x\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	evaluation := func(file string, more ...string) []string {
		return append([]string{"identity", "evaluate", file, "--model", model}, more...)
	}
	for _, c := range []struct {
		args []string
		says []string
	}{
		{[]string{"identity", "evalute"}, []string{`shire identity has no command "evalute"; did you mean "evaluate"?`}},
		{[]string{"identity", "evaluate", "--truth", "ent"}, []string{"shire identity evaluate takes one labelled file"}},
		{evaluation("people.csv"), []string{"name the column that says who is who, with --truth"}},
		{[]string{"identity", "evaluate", "people.csv", "--truth", "ent"}, []string{"name the model's file, with --model"}},
		{evaluation("people.csv", "--truth", "entt"), []string{`people.csv:1: there is no column "entt" for the truth`, `did you mean "ent"?`}},
		{evaluation("people.csv", "--truth", "ent", "--id", "key"), []string{`there is no column "key" for the records' ids`}},
		{evaluation("people.csv", "--truth", "ent", "--map", "nam=name"), []string{`the model has no field "nam" to map a column to; did you mean "name"?`}},
		{evaluation("people.csv", "--truth", "ent", "--map", "name=nme"), []string{`there is no column "nme" for the field name`}},
		{evaluation("people.csv", "--truth", "ent", "--map", "name"), []string{`invalid argument "name" for "--map" flag`}},
		{evaluation("people.csv", "--truth", "ent", "--draws", "-1"), []string{"--draws and --errors are not negative"}},
		{evaluation("header.csv", "--truth", "ent"), []string{"header.csv: the file has a header and no record"}},
		{evaluation("empty.csv", "--truth", "ent"), []string{"empty.csv: the file is empty"}},
		{evaluation("ragged.csv", "--truth", "ent"), []string{"ragged.csv:2: the row has 2 columns and the header 9"}},
		{evaluation("unlabelled.csv", "--truth", "ent"), []string{"unlabelled.csv: the column ent is empty in every row"}},
		{evaluation("one.csv", "--truth", "ent"), []string{"one.csv: the file has one record, and at least two are needed to train a model"}},
		{evaluation("none.csv", "--truth", "ent"), []string{"none.csv: cannot be read: no such file or directory; check the path"}},
		{[]string{"identity", "evaluate", "people.csv", "--truth", "ent", "--model", "none.yaml"}, []string{"none.yaml: cannot be read"}},
		{[]string{"identity", "evaluate", "people.csv", "--truth", "ent", "--model", "kind.yaml"}, []string{"kind.yaml:", `there is no kind of evidence "chinese_nam"`, `did you mean "chinese_name"?`}},
		{[]string{"identity", "evaluate", "people.csv", "--truth", "ent", "--model", "key.yaml"}, []string{"key.yaml:", "treshold"}},
		{[]string{"identity", "train", "people.csv", "--model", "bare.yaml", "-o", "x.yaml"}, []string{"bare.yaml"}},
		{[]string{"identity", "train", "people.csv", "--model", model}, []string{"name the file for the trained model, with -o"}},
		{[]string{"identity", "train", "one.csv", "--model", model, "-o", "x.yaml"}, []string{"at least two are needed"}},
		{[]string{"identity", "train", "people.csv", "--model", model, "-o", "no/where/x.yaml"}, []string{"no/where/x.yaml cannot be written: no such file or directory; check the path"}},
		{[]string{"identity", "simulate", "--records", "5", "-o", "x.csv"}, []string{"5 records are too few; give at least --records 100"}},
		{[]string{"identity", "simulate", "--missing", "30", "-o", "x.csv"}, []string{"--missing is a share of the records, from 0 to 1, and not 30"}},
		{[]string{"identity", "simulate", "--records", "100"}, []string{"name the file to write, with -o"}},
		{[]string{"identity", "simulate", "--records", "100", "-o", "no/where/x.csv"}, []string{"no/where/x.csv cannot be written"}},
	} {
		t.Run(strings.Join(c.args[1:], " "), func(t *testing.T) {
			r := shireIn(t, dir, c.args...)
			r.fails(t, exitInput, c.says...)
			if r.Stdout != "" {
				t.Errorf("prints to standard output: %v", r)
			}
			if strings.Contains(r.String(), "张伟") {
				t.Errorf("I7: a name is printed: %v", r)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "x.yaml")); err == nil {
		t.Error("a command that failed wrote its file")
	}
}
