package portal

import (
	"net/http/httptest"
	"os"
	"testing"

	"github.com/shirecounty/shire/portal/browsertest"
)

// TestReviewInTheBrowser reviews made-up people with the keyboard alone, in both languages. Another portal is reviewed with
//
//	SHIRE_REVIEW_URL=http://127.0.0.1:8080 SHIRE_REVIEW_NAME=... SHIRE_REVIEW_PASSWORD=... go test -run TestReviewInTheBrowser ./portal
//
// where each language decides one pair as "different".
func TestReviewInTheBrowser(t *testing.T) {
	for _, language := range []string{"zh-CN", "en"} {
		t.Run(language, func(t *testing.T) {
			site := browsertest.Site{URL: os.Getenv("SHIRE_REVIEW_URL"), Name: os.Getenv("SHIRE_REVIEW_NAME"), Password: os.Getenv("SHIRE_REVIEW_PASSWORD")}
			var v *reviewWorld
			if site.URL == "" {
				v = newReview(t)
				site = browsertest.Site{URL: serve(t, v.world), Name: testReviewer, Password: "only-for-tests"}
			}
			pair, err := browsertest.Review(t, site, language)
			if err != nil {
				noBrowser(t, err)
			}
			if v != nil && (len(v.desk.decided) != 1 || pair != recordID(1).String()+"/"+recordID(2).String() || v.desk.decided[0].Reviewer != testReviewer || len(v.accesses.list) != 1) {
				t.Errorf("%s: %+v, %+v", pair, v.desk.decided, v.accesses.list)
			}
		})
	}
}

// TestReviewStates looks at what is seldom seen, and takes verdicts back with Tab and Enter alone.
func TestReviewStates(t *testing.T) {
	v := newReview(t)
	b, err := browsertest.Open(t, serve(t, v.world)+"/review?lang=en&pair="+recordID(21).String()+"_"+recordID(22).String())
	if err != nil {
		noBrowser(t, err)
	}
	b.Wait("the name is asked for", `document.activeElement.name === "name"`)
	b.Write(testReviewer)
	b.Press(browsertest.Tab)
	b.Write("wrong")
	b.Press(browsertest.Enter)
	b.Wait("a wrong password is said", `document.querySelector("[role=alert]")?.textContent.includes("wrong")`)
	b.Picture("wrong")
	b.Write("only-for-tests") // what was wrong is selected
	b.Press(browsertest.Enter)
	b.Wait("an address with a pair opens it", `document.querySelector(".records")`)
	b.Dark(true)
	b.Wait("dark", `document.documentElement.dataset.palette === "dark"`)
	b.Picture("dark")
	b.Text(`document.querySelector("#evidence-title").scrollIntoView()`)
	b.Picture("dark_evidence")
	b.TabTo("input[value=same]")
	b.Press(" ")
	b.TabTo("#reason")
	b.Write("the same household, and a slip of the clerk")
	b.TabTo("form.verdict-panel .primary")
	v.desk.set(func(d *fakeDesk) { d.contrary = "These two were told apart on 3 October by 王强." })
	b.Press(browsertest.Enter)
	b.Wait("a contradiction is said", `document.querySelector("#verdict-wrong")?.textContent.includes("told apart")`)
	b.Picture("contradiction")
	v.desk.set(func(d *fakeDesk) { d.contrary = "" })
	b.PressCtrl(browsertest.Enter)
	b.Wait("the verdict stands", `document.querySelector(".verdict-stands")`)
	b.TabTo(".verdict-panel button")
	b.Picture("stands")
	b.Press(browsertest.Enter)
	b.Wait("the pair waits again", `document.querySelector('[data-pair^="`+recordID(21).String()+`"]') && document.querySelector("form.verdict-panel")`)
	b.Dark(false)

	v.desk.set(func(d *fakeDesk) { d.err = errFault })
	b.Text(`document.dispatchEvent(new Event("visibilitychange"))`)
	b.Wait("a queue that cannot be read stays and says so", `document.querySelector(".queue .stale") && document.querySelector("[data-pair]")`)
	b.Picture("stale")
	b.Text(`document.querySelector("#cluster-title").scrollIntoView()`)
	b.Picture("neighbours")
	v.desk.set(func(d *fakeDesk) { d.err, d.cases = nil, nil })
	b.Text(`document.dispatchEvent(new Event("visibilitychange"))`)
	b.Wait("the queue is empty", `!document.querySelector("[data-pair]")`)
	b.Press("r")
	b.Write("a draft")
	b.Press(browsertest.Escape, browsertest.Escape)
	b.Wait("what to do is said", `document.querySelector(".case code")?.textContent === "shire identity review"`)
	b.Picture("empty")
	v.reviewers.set(v.clock)
	b.Text(`document.dispatchEvent(new Event("visibilitychange"))`)
	b.Wait("who was removed is asked to sign in", `document.querySelector("input[name=name]") && !document.querySelector(".queue")`)
	b.Picture("ended")
}

func (d *fakeDesk) set(change func(*fakeDesk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

func serve(t *testing.T, v *world) string {
	t.Helper()
	server := httptest.NewServer(v.Handler())
	t.Cleanup(server.Close)
	if r := v.get("/"); len(r.Body.String()) > 0 && r.Header().Get("ETag") == `W/"not-built"` {
		absent(t, "the web application has not been built: run make web")
	}
	return server.URL
}

func noBrowser(t *testing.T, err error) {
	t.Helper()
	absent(t, err.Error())
}

// absent ends a test whose needs are not met: skipped on a person's machine, failed where everything has to be there.
func absent(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal("CI has to provide this: " + what)
	}
	t.Skip(what)
}
