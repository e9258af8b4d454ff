package portal

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline/gains"
	"github.com/shirecounty/shire/pipeline/registry"
	"github.com/shirecounty/shire/portal/browsertest"
	"github.com/shirecounty/shire/schemas/metrics"
)

// judgedCounty is a county in which the first department halves its time in March 2026 and another goes on as before. The last months
// are young: their slow cases are still open.
func judgedCounty(v gains.Intervention) *gains.Result {
	random := rand.New(rand.NewPCG(1, 2))
	asOf := time.Date(2026, 10, 7, 0, 0, 0, 0, time.UTC)
	data := gains.Data{Metric: gains.Metric{Name: "citizen_time", Version: 1, Label: metrics.Text{Zh: "群众办事时长", En: "Citizen time"}, Unit: gains.Days}, AsOf: asOf}
	for at := time.Date(2025, 1, 1, 9, 0, 0, 0, time.UTC); at.Before(asOf); at = at.Add(9 * time.Hour) {
		for i, department := range []string{"civil_affairs", "health"} {
			days := 12 * math.Exp(.4*random.NormFloat64())
			if i == 0 && !at.Before(time.Date(2026, 3, 16, 0, 0, 0, 0, time.UTC)) {
				days *= .2
			}
			left := asOf.Sub(at).Hours() / 24
			data.Units = append(data.Units, gains.Unit{Applied: at, Duration: min(days, left), Ended: days <= left, Department: department, Item: "i", Kind: "promised"})
		}
	}
	return gains.Evaluate(v, data)
}

// A leader reads whether a claim is shown and an auditor when it was made, in both languages, on a wide and on a narrow screen. Another
// portal is looked at with SHIRE_EVALUATION_URL=http://127.0.0.1:8080 SHIRE_SCREENSHOTS=... go test -run TestEvaluationInTheBrowser ./portal
func TestEvaluationInTheBrowser(t *testing.T) {
	c := newClaims()
	c.versions[0].Windows.Settling, c.versions[1].Windows.Settling = 1, 1
	c.evaluation = &registry.Evaluation{At: c.evaluation.At, Hash: "abc", Result: judgedCounty(c.versions[1].Intervention)}
	if c.evaluation.Result.Verdict != gains.Shown {
		t.Fatalf("the made-up county is judged %s: %s", c.evaluation.Result.Verdict, c.evaluation.Result.Because.En)
	}
	for _, l := range []struct{ language, word, late, trap string }{
		{"zh-CN", "改善至少 50%，已证实", "之后", "只看已办结的中位数（会误导）"}, {"en", "at least 50%, shown", "after its result", "Median of closed cases alone (misleads)"},
	} {
		t.Run(l.language, func(t *testing.T) {
			url, name := os.Getenv("SHIRE_EVALUATION_URL"), "household_data_link"
			own := url == ""
			if own {
				url, name = serve(t, newWorld(t, func(o *Options) { o.Register = c })), "civil_social_link"
			}
			b, err := browsertest.Open(t, url+"/?lang="+l.language)
			if err != nil {
				noBrowser(t, err)
			}
			b.Wait("the overview leads there", `document.querySelector('a[href^="/evaluation"]')`)
			b.Click(`a[href^="/evaluation"]`)
			b.Wait("the interventions are listed", `document.querySelector("[data-intervention=`+name+`]")`)
			b.Wait("the verdict is said", fmt.Sprintf(`document.querySelector("[data-intervention=%s]").innerText.includes(%q)`, name, l.word))
			if own {
				b.Wait("all three, the newest first", `document.querySelectorAll("[data-intervention]").length === 3 && document.querySelector("[data-intervention]").dataset.intervention === "council_home"`)
				b.Wait("what was registered late says so", fmt.Sprintf(`document.querySelector("[data-intervention=civil_social_link] .late")?.innerText.includes(%q)`, l.late))
				b.Wait("the others do not", `document.querySelectorAll("[data-intervention] .late").length === 1`)
			}
			b.Picture("list")
			b.Click(`[data-intervention=` + name + `] a`)
			b.Wait("the page of one opens, and is in the address", `location.search.includes("intervention=`+name+`") && document.querySelector("#intervention-title")`)
			b.Wait("verdict and interval are said", fmt.Sprintf(`document.querySelector(".head .badge")?.innerText === %q && document.querySelector(".gain-figure")?.innerText.includes("95%%")`, l.word))
			b.Wait("the trap stands beside the figure", fmt.Sprintf(`document.querySelector("[data-figures] .trap")?.innerText.includes(%q)`, l.trap))
			b.Wait("the charts are drawn", `document.querySelectorAll(".chart svg path").length > 10`)
			b.Wait("the hash is there in full", `[...document.querySelectorAll("[data-version] .hash")].some((x) => /^[0-9a-f]{64}$/.test(x.innerText))`)
			b.Picture("wide")
			if own {
				b.Wait("both versions, the late one marked", `document.querySelectorAll("[data-version]").length === 2 && document.querySelectorAll("[data-version] .late-cell").length === 1 && document.querySelector(".head .late")`)
			}
			for i, part := range []string{"[data-figures]", "[data-figure=months]", "[data-figure=curves]", ".registration"} {
				b.Text(`document.querySelector("` + part + `").scrollIntoView()`)
				b.Picture(fmt.Sprintf("wide-%d", i+1))
			}
			b.Click("[data-figure=months] .panel-tools button")
			b.Wait("a chart can be read as a table", `document.querySelector("[data-figure=months] tbody tr") && location.search.includes("tables=months")`)
			b.Picture("table")
			b.Size(390, 844)
			b.Wait("on a narrow screen nothing hangs over", `document.documentElement.scrollWidth <= 390`)
			for i, part := range []string{"#intervention-title", "[data-figures]", "[data-figure=curves]", ".registration"} {
				b.Text(`document.querySelector("` + part + `").scrollIntoView()`)
				b.Picture(fmt.Sprintf("narrow-%d", i+1))
			}
			b.Click(".trail button")
			b.Wait("back to the list", `document.querySelector("[data-intervention]")`)
			b.Wait("nor does it there", `document.documentElement.scrollWidth <= 390`)
			b.Picture("narrow-list")
		})
	}
}
