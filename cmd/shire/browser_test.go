package main

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/schemas/metrics"
)

// browser opens the portal in a headless browser, in both languages, and compares the cards with the API's figures.
func (d *demoNode) browser(t *testing.T) {
	program, err := exec.LookPath("chromium")
	if err != nil {
		absent(t, "there is no chromium: %v", err)
	}
	for _, c := range []struct {
		language, cases, of string
		words               []string
	}{
		{"zh-CN", "%s 件", "%s / %s", []string{"澄溪县", "群众办事时长", "重复提交率", "民政局", "公安户籍数据直连民政救助办理"}},
		{"en", "%s cases", "%s of %s", []string{"Chengxi County", "Citizen time", "Repeat submissions", "Civil Affairs Bureau", "Household register linked to social assistance"}},
	} {
		t.Run(c.language, func(t *testing.T) {
			want := c.words
			for _, metric := range []string{"citizen_time", "legal_time"} {
				want = append(want, fmt.Sprintf(c.cases, thousands(int(d.figure(t, metric).Count))))
			}
			for _, metric := range []string{"on_time_rate", "repeat_rate", "satisfaction_rate"} {
				row := d.figure(t, metric)
				want = append(want, fmt.Sprintf("%.1f%%", *row.Value*100), fmt.Sprintf(c.of, thousands(int(*row.Numerator)), thousands(int(*row.Denominator))))
			}
			page := render(t, program, d.portal+"/?lang="+c.language)
			for _, w := range want {
				if !strings.Contains(page, w) {
					t.Errorf("the page does not show %q", w)
				}
			}
			if t.Failed() {
				t.Log(page)
			}
		})
	}
}

// figure is what the API says of a metric over the months that the portal shows first.
func (d *demoNode) figure(t *testing.T, metric string) metrics.Row {
	t.Helper()
	r, err := http.Get(d.portal + "/api/v1/metrics/" + metric)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var result metrics.Result
	if err := json.NewDecoder(r.Body).Decode(&result); err != nil || len(result.Rows) != 1 || result.Rows[0].State != metrics.StateOK {
		t.Fatalf("%s is no figure: %+v, %v", metric, result, err)
	}
	return result.Rows[0]
}

var (
	hidden = regexp.MustCompile(`(?s)<(script|style)\b.*?</(script|style)>`)
	tags   = regexp.MustCompile(`<[^>]*>`)
	blanks = regexp.MustCompile(`\s+`)
)

// render is the text of a page after its scripts have run.
func render(t *testing.T, program, url string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--user-data-dir="+t.TempDir(), "--virtual-time-budget=8000", "--dump-dom", url)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	text := tags.ReplaceAllString(hidden.ReplaceAllString(string(out), ""), " ")
	return blanks.ReplaceAllString(html.UnescapeString(text), " ")
}
