package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/portal/accounts"
)

// tour runs the founding story beside the demo: in JSON, and once more in Chinese, where the grants are there already.
func (d *demoNode) tour(t *testing.T) {
	var got tourResult
	first := shire(t, "demo", "tour", "--json", "--data", d.data)
	envelopeOf(t, first.ok(t), &got)
	if got.Story != 1 || len(got.Visits) != 3 || len(got.Granted) != 2 {
		t.Fatalf("%+v", got)
	}
	departments := map[string]bool{}
	for i, v := range got.Visits {
		departments[v.Department] = true
		card := []string{"ID-CARD"}
		if asked, spared := v.Asked, v.Spared; i == 0 && (!slices.Equal(asked, card) || len(spared) > 0) || i > 0 && (len(asked) > 0 || !slices.Equal(spared, card)) {
			t.Errorf("visit %d: asked for %q, spared %q", i+1, asked, spared)
		}
	}
	if len(departments) != 3 {
		t.Errorf("the resident was at %v", departments)
	}
	if got.Visits[0].Materials[0].Reason != disclosure.NotGranted || got.Visits[1].Materials[0].Proof == nil {
		t.Errorf("%+v", got.Visits)
	}
	if f := got.Avoided; f.Story != 2 || f.After != f.Before+2 {
		t.Errorf("repeats avoided: %+v", f)
	}
	if got.Looks != 3 || len(got.Accesses) != 5 {
		t.Errorf("%d looks: %+v", got.Looks, got.Accesses)
	}
	// The metric is the one that analysts see.
	if rows := query(t, d.data, "SELECT toString(toUInt64(sum(numerator))) FROM metrics.avoided_repeats"); rows[0][0] != fmt.Sprint(got.Avoided.After) {
		t.Errorf("the metric says %v, the tour %d", rows[0][0], got.Avoided.After)
	}
	second := shire(t, "demo", "tour", "--lang", "zh", "--data", d.data).ok(t)
	for _, text := range []string{"第 2 个故事", "卫生健康局已有有效授权", "教育局已有有效授权", "其中本故事 2", "共 3 次查看"} {
		if !strings.Contains(second.Stdout, text) {
			t.Errorf("the second tour does not say %q: %v", text, second)
		}
	}
	// I7: pseudonyms alone. Nor is a key left with which somebody could call.
	known := readIdentifiers(t, filepath.Join(d.county, "truth", "identifiers.txt"))
	for _, r := range []result{first, second} {
		known.clean(t, "the tour", r.Stdout+r.Stderr)
	}
	keys, err := os.ReadFile(filepath.Join(d.data, accounts.ClientsFile))
	if err != nil || strings.Contains(string(keys), tourPrefix) {
		t.Errorf("keys of the tour are left: %v", err)
	}
	shire(t, "demo", "tour", "--lang", "fr", "--data", d.data).fails(t, exitInput, "zh or en")
	shire(t, "demo", "tour", "--data", t.TempDir()).fails(t, exitInput, "start shire demo")
}
