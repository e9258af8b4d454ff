package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/pipeline/identity/partition"
	"github.com/shirecounty/shire/pipeline/identity/review"
)

// peopled is a data directory with a simulated county loaded, in which pairs of records wait for a person.
func peopled(t *testing.T) (data string, file []string) {
	t.Helper()
	needEngine(t)
	data = filepath.Join(t.TempDir(), "data")
	file = []string{"-c", countyYAML(t, demoCounty(t, 600, 90), nil), "--data", data}
	shire(t, append([]string{"load"}, file...)...).ok(t)
	return data, file
}

// waitingPairs is the queue of a data directory.
func waitingPairs(t *testing.T, data string) []review.Item {
	t.Helper()
	var q queued
	envelopeOf(t, shire(t, "identity", "review", "--json", "--data", data).ok(t), &q)
	if q.Total != len(q.Items) || q.Total < 3 {
		t.Fatalf("%d pairs wait, and %d are listed", q.Total, len(q.Items))
	}
	return q.Items
}

// People decide on the command line: what waits is listed and shown, a verdict holds, is explained, outlives a new model,
// and is taken back. No running node is needed.
func TestIdentityDesk(t *testing.T) {
	t.Parallel() // it waits more than it works
	data, _ := peopled(t)
	do := func(args ...string) result {
		t.Helper()
		return shire(t, append(append([]string{"identity"}, args...), "--data", data)...)
	}
	says := func(r result, want ...string) {
		t.Helper()
		r.ok(t)
		for _, w := range want {
			if !strings.Contains(r.Stdout, w) {
				t.Errorf("does not say %q: %v", w, r)
			}
		}
	}
	items := waitingPairs(t, data)
	a, b := items[0].A.String(), items[0].B.String()
	says(do("review", "--limit", "1"), a, b, fmt.Sprintf("%d pairs wait", len(items)))
	says(do("review", "--about", "organisation"), "nothing waits for a person")

	// Who looks is written down before anything is shown; not by name.
	do("review", a, b).fails(t, exitInput, "say who you are, with --as NAME")
	if n := query(t, data, "SELECT count() FROM audit.accesses"); n[0][0] != float64(0) {
		t.Errorf("%v accesses before anybody looked", n)
	}
	says(do("review", a, b, "--as", "李梅"), "weight of the evidence", "before any evidence", "Citizen number")
	var shown review.Case
	envelopeOf(t, do("review", b, a, "--as", "李梅", "--json").ok(t), &shown)
	rows := query(t, data, "SELECT clerk, purpose, person_id, length(fields), decision FROM audit.accesses ORDER BY sequence")
	if len(rows) != 4 || rows[0][0] == "李梅" || rows[0][1] != "identity review" || rows[0][2] != shown.Left.Party.String() || rows[1][2] != shown.Right.Party.String() || rows[0][4] != "granted" {
		t.Errorf("the access log has %v", rows)
	}

	// The log of them goes into a file, which is proven without any engine, and not when it ends too early.
	file := filepath.Join(t.TempDir(), "audit.log")
	shire(t, "audit", "export", file, "--data", data).ok(t)
	var report audit.Report
	envelopeOf(t, shire(t, "audit", "verify", "--from-file", file, "--json", "--data", data).ok(t), &report)
	if report.Entries != 4 || report.Signed != 4 {
		t.Errorf("the log's export: %+v", report)
	}
	if info, err := os.Stat(file); err != nil || os.Truncate(file, info.Size()-1) != nil {
		t.Fatal(err)
	}
	shire(t, "audit", "verify", "--from-file", file, "--data", data).fails(t, exitFailed, "the audit log is not as it was written: entry 4 was changed")
	shire(t, "audit", "verify", "--from-file", filepath.Join(data, "secrets.json"), "--data", data).fails(t, exitInput, "is no export of an audit log")

	// An explanation names no values, unless it is asked to.
	personal := func(r result) (found bool) {
		for _, v := range append(append([]string{}, shown.Left.Record.Values...), shown.Right.Record.Values...) {
			found = found || len(v) > 6 && strings.Contains(r.Stdout, v)
		}
		return found
	}
	before := do("explain", a, b)
	says(before, "The two records are two persons.", "The evidence:", "model person/1/")
	if personal(before) || personal(do("explain", a, "--json")) || personal(do("review")) {
		t.Error("an explanation shows what the records say")
	}
	if !personal(do("explain", a, b, "--values")) {
		t.Error("--values shows no values")
	}

	const same, different = "the two are together now", "the two are apart now"
	says(do("decide", a, b, "same", "--as", "李梅", "--reason", "their cards show one photograph"), "the verdict holds", same)
	if left := waitingPairs(t, data); len(left) >= len(items) {
		t.Error("what is decided waits still")
	}
	says(do("explain", a, b), "The two records are one person", "a person said that they are one", "verdict of ")
	var party, gone partition.Party
	envelopeOf(t, do("explain", a, "--json").ok(t), &party)
	lost := shown.Left.Party
	if party.Party == lost {
		lost = shown.Right.Party
	}
	envelopeOf(t, do("explain", lost.String(), "--json").ok(t), &gone)
	if gone.Party != party.Party || len(gone.Successors) != 1 || party.Size != shown.Left.Members+shown.Right.Members {
		t.Errorf("%+v, %+v", party, gone)
	}
	verdicts := "SELECT verdict, reviewer != '' AND reviewer NOT LIKE '%李%' FROM mart.verdicts"
	if got := fmt.Sprint(query(t, data, verdicts)); got != "[[same 1]]" {
		t.Errorf("mart.verdicts has %s", got)
	}

	// What was before the verdict can be asked for as long as the bus keeps it: it was the last message.
	last := query(t, data, "SELECT max(last_sequence) FROM ops.loads")[0][0].(float64)
	version := func(sequence float64) string { return fmt.Sprint(uint64(sequence) << 16) }
	says(do("explain", a, b, "--at", version(last-1)), "The two records are two persons.")
	says(do("explain", a, b, "--at", version(last)), "The two records are one person")
	do("explain", a, b, "--at", version(last+9)).fails(t, exitInput, "is not loaded; it is loaded up to message")
	do("explain", a, b, "--at", version(1)).fails(t, exitInput, "nothing of this was known then")
	if left, _ := filepath.Glob(filepath.Join(data, "past-*")); len(left) > 0 {
		t.Errorf("%v was left behind", left)
	}

	// Another model: trained on the county, tried in shadow, chosen. The verdict stays.
	trained := filepath.Join(t.TempDir(), "trained.yaml")
	says(do("train", "-o", trained), "person, version 2, is trained")
	var e partition.Effect
	envelopeOf(t, do("shadow", trained, "--json").ok(t), &e)
	if e.Records == 0 || e.PartiesAfter == 0 || !strings.HasPrefix(e.Model, "person/2/") || !strings.HasPrefix(e.Before, "person/1/") {
		t.Errorf("%+v", e)
	}
	do("use", trained).fails(t, exitInput, "say who you are")
	says(do("use", trained, "--as", "王强"), "WITH THE MODEL", e.Model+" is in use from message")
	says(do("use", trained, "--as", "王强"), "is in use already")
	says(do("explain", a, b), "The two records are one person", e.Model)
	models := fmt.Sprint(query(t, data, "SELECT party, model, current FROM mart.models ORDER BY party, model"))
	if models != "[[organisation organisation/1 1] [person person/1 0] [person person/2 1]]" {
		t.Errorf("mart.models has %s", models)
	}
	var total struct {
		Identities []struct{ Records, Parties int }
	}
	envelopeOf(t, shire(t, "status", "--json", "--data", data).ok(t), &total)
	if len(total.Identities) != 2 || total.Identities[0].Records != e.Records || total.Identities[0].Parties != e.PartiesAfter {
		t.Errorf("the status says %+v, the trial said %+v", total, e)
	}

	says(do("withdraw", b, a, "--as", "李梅"), "the verdict is withdrawn")
	do("withdraw", a, b, "--as", "李梅").fails(t, exitInput, "no such verdict")
	if got := query(t, data, verdicts); len(got) != 0 {
		t.Errorf("mart.verdicts has %v", got)
	}

	// Through a third: the last two of the queue that share a record would contradict.
	do("decide", a, b, "different", "--as", "李梅", "--reason", "two cards").ok(t)
	n := shown.Left.Neighbours
	if len(n) > 0 {
		do("decide", a, n[0].ID.String(), "same", "--as", "李梅", "--reason", "one card").ok(t)
		do("decide", b, n[0].ID.String(), "same", "--as", "李梅", "--reason", "one card").fails(t, exitInput, "while these verdicts stand", "withdraw one of them first")
	}
}

func TestIdentityMistakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const a, b = "00000000-0000-8000-8000-000000000001", "00000000-0000-8000-8000-000000000002"
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	text, err := os.ReadFile("../../schemas/identity/person.yaml")
	if err != nil {
		t.Fatal(err)
	}
	wrong := write("wrong.yaml", strings.Replace(string(text), "version: 1", "version: 0", 1))
	for _, c := range []struct{ args, says string }{
		{"review " + a, "takes no arguments, or the ids of two records"},
		{"review --about animal", `identities are of a person or an organisation, and not of "animal"`},
		{"review --limit -1", "--limit is not negative"},
		{"review", "holds no identities yet; load something first"},
		{"review " + a + " " + a + " --as x", "the two records are one"},
		{"review 339921198601201134 " + a + " --as x", "argument 1 is no id"},
		{"decide " + a + " " + b, "takes the ids of two records, and same, different or unsure"},
		{"decide " + a + " " + b + " same --reason x", "say who you are, with --as NAME"},
		{"decide " + a + " " + b + " maybe --as x --reason y", `same, different or unsure, and not "maybe"`},
		{"decide " + a + " " + b + " same --as x", "needs a reason"},
		{"decide " + a + " x same --as x --reason y", "argument 2 is no id"},
		{"withdraw " + a + " " + b, "say who you are"},
		{"withdraw " + a, "takes the ids of two records"},
		{"explain", "takes the id of a person or a record, or the ids of two records"},
		{"explain x", "argument 1 is no id"},
		{"explain " + a, "holds no identities yet"},
		{"explain " + a + " --at 7", "7 is not a version"},
		{"explain " + a + " --at x", "invalid argument"},
		{"shadow", "takes the file of a model"},
		{"shadow nowhere.yaml", "nowhere.yaml: cannot be read"},
		{"shadow " + wrong, wrong + ":"},
		{"use " + wrong + " --as x", wrong + ":"},
		{"train -o x.yaml", "holds no identities yet"},
		{"train", "name the file for the trained model, with -o"},
		{"train -o x.yaml --map a=b", "--map is for a file"},
		{"train a.csv b.csv -o x.yaml", "takes one file of records, or none"},
		{"reviewers remove x", "there is no reviewer of this name; see shire identity reviewers list"},
	} {
		r := shire(t, append(append([]string{"identity"}, strings.Fields(c.args)...), "--data", filepath.Join(dir, "none"))...)
		if r.fails(t, exitInput, c.says); strings.Contains(r.Stderr, "339921198601201134") || r.Stdout != "" {
			t.Errorf("%s: %v", c.args, r)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "none", "identity")); err == nil {
		t.Error("a mistake made a state of identities")
	}
}

// A model with mistakes is answered with its file and line, and is not chosen.
func TestModelMistakes(t *testing.T) {
	t.Parallel()
	needEngine(t)
	d := newDesk(t)
	d.write("drop/visits-1.csv", deskHeader+"A1,"+someNumber+",即办,2026-03-02,2026-03-02\n")
	d.shire("load").ok(t)
	text, err := os.ReadFile("../../schemas/identity/person.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, says string }{
		{"kind: phone,", "kind: fone,", `: there is no kind of evidence "fone"; did you mean "phone"?`},
		{"name: phone, kind: phone", "name: phone, column: fone, kind: phone", `: records about a person have no fone; did you mean "phone"?`},
		{"\nparameters:", "\n#parameters:", "wrong.yaml:"},
	} {
		changed := strings.Replace(string(text), c.old, c.new, 1)
		if strings.HasPrefix(c.new, "\n#") {
			changed, _, _ = strings.Cut(string(text), "\nparameters:")
			c.says = "the model has no parameters; train it first"
		}
		d.write("wrong.yaml", changed)
		wrong := filepath.Join(d.dir, "wrong.yaml")
		d.shire("identity", "shadow", wrong).fails(t, exitInput, wrong+":", c.says)
		d.shire("identity", "use", wrong, "--as", "x", "--yes").fails(t, exitInput, wrong+":", c.says)
	}
	if n := query(t, d.data, "SELECT count() FROM mart.models"); n[0][0] != float64(2) {
		t.Errorf("%v models", n)
	}
}
