package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shirecounty/shire/pipeline/gains"
	"github.com/shirecounty/shire/portal"
)

// truthOfGains: the simulated county did two things. One of them takes 55% off a time, the other does nothing, and both were
// registered before anything was loaded. What is said of them is what is true, on the command line, in SQL and by the API.
func (d *demoNode) truthOfGains(t *testing.T) {
	var registered []registrationLine
	envelopeOf(t, shire(t, "metrics", "register", "--json", "--data", d.data).ok(t), &registered)
	if len(registered) != 2 {
		t.Fatalf("%d interventions are registered", len(registered))
	}
	for _, r := range registered {
		if r.New || r.Late || r.Version != 1 {
			t.Errorf("%+v was registered at the start, before its result could be seen", r)
		}
	}
	verdicts := map[string]gains.Verdict{}
	for _, r := range registered {
		var e evaluation
		page := filepath.Join(t.TempDir(), "report.html")
		envelopeOf(t, shire(t, "metrics", "evaluate", r.Name, "--html", page, "--json", "--data", d.data).ok(t), &e)
		verdicts[r.Name] = e.Result.Verdict
		if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), r.Hash) {
			t.Errorf("the report of %s does not name its hash: %v", r.Name, err)
		}
		if e.Result.Hash != r.Hash || e.Result.Late {
			t.Errorf("%s: registered as %s, judged as %s, late %v", r.Name, r.Hash, e.Result.Hash, e.Result.Late)
		}
		kept := d.answer(t, "SELECT verdict, definition_hash, result_hash FROM ops.evaluations WHERE newest AND intervention = '"+r.Name+"'")
		if f := kept.of(t, kept.rows[0], "verdict", "definition_hash", "result_hash"); f[0] != string(e.Result.Verdict) || f[1] != r.Hash || f[2] != e.Hash {
			t.Errorf("%s is kept as %q", r.Name, f)
		}
		answer, err := http.Get(d.portal + "/api/v1/interventions/" + r.Name + "/evaluation")
		if err != nil {
			t.Fatal(err)
		}
		var reply portal.EvaluationReply
		err = json.NewDecoder(answer.Body).Decode(&reply)
		answer.Body.Close()
		if err != nil || reply.ResultHash != e.Hash || reply.Result.Verdict != e.Result.Verdict {
			t.Errorf("by the API %s is %+v: %v", r.Name, reply, err)
		}
		if g := e.Result.Gain; d.whole && r.Name == "household_data_link" && (g == nil || g.Low > .55 || g.High < .55) {
			t.Errorf("the link takes off 55%%; the interval is %+v", g)
		}
	}
	if verdicts["window_coaching"] == gains.Shown || verdicts["window_coaching"] == gains.Worse {
		t.Errorf("of what did nothing is said: %s", verdicts["window_coaching"])
	}
	if d.whole && (verdicts["household_data_link"] != gains.Shown || verdicts["window_coaching"] != gains.NoChange) {
		t.Errorf("the verdicts are %v", verdicts)
	}
	t.Logf("verdicts: %v", verdicts)
	if r := shire(t, "metrics", "evaluate", "household_datalink", "--data", d.data); r.Code != exitInput || !strings.Contains(r.Stderr, `did you mean "household_data_link"`) {
		t.Errorf("a name that is not there: %v", r)
	}
}
