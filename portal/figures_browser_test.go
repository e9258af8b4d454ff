package portal

import (
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/shirecounty/shire/portal/browsertest"
)

// TestFiguresInTheBrowser goes from the list of all figures down to the events behind one and on to how cases go, with the keyboard alone.
func TestFiguresInTheBrowser(t *testing.T) {
	w := newWorld(t)
	server := httptest.NewServer(w.Handler())
	t.Cleanup(server.Close)
	if r := w.get("/figures"); r.Header().Get("ETag") == `W/"not-built"` {
		absent(t, "the web application has not been built: run make web")
	}
	b, err := browsertest.Open(t, server.URL+"/figures?lang=zh-CN")
	if err != nil {
		noBrowser(t, err)
	}
	count := func(selector string) string { return `document.querySelectorAll('` + selector + `').length` }
	b.Wait("every figure has its value", count("tr[data-metric]")+` > 0 && !document.querySelector(".fig-waits")`)
	if got, want := b.Text(count("tr[data-metric] td.num")), len(w.names); got != b.Text(count("tr[data-metric]")) || got != strconv.Itoa(want) {
		t.Errorf("%s figures of %d", got, want)
	}
	b.Picture("list")
	b.Size(390, 844)
	if b.Text("document.documentElement.scrollWidth > innerWidth") == "true" {
		t.Error("the list is wider than a telephone")
	}
	b.Size(1280, 900)

	// From the list to one figure: a link that Tab reaches and Enter opens.
	b.TabTo("tr[data-metric=on_time_rate] a")
	b.Press(browsertest.Enter)
	b.Wait("the figure is there with its definition, its departments and its events", `document.querySelector(".fig-value") && document.querySelector(".fig-definition") && `+count(".fig-bar")+` > 3 && `+count(".fig-events-table tbody tr")+` === 20`)
	if b.Text(`document.querySelector(".fig-headline h2").textContent.includes("按时办结率") && !!document.querySelector(".chart svg")`) != "true" {
		t.Error("the figure has no name or no chart")
	}
	b.Picture("metric")

	// Down: a department, then its items.
	b.TabTo(".fig-bar[data-key=health]")
	b.Press(browsertest.Enter)
	b.Wait("the department is a filter and its items are shown", `location.search.includes("is.department=health") && document.querySelector(".chips") && document.querySelector('.fig-bar[data-key="11WJ00105"]')`)
	if b.Text(`document.querySelector('.fig-bar[data-key="11XX00999"]').disabled`) != "true" {
		t.Error("what is too few to publish can be opened")
	}
	b.Wait("its events are here", `!document.querySelector(".fig-events .pending")`)
	b.TabTo(".fig-events .pager button:not([disabled])")
	b.Press(browsertest.Enter)
	b.Wait("the second page", `location.search.includes("skip=20") && document.querySelector(".fig-events .pager span")?.textContent.startsWith("21")`)

	// In the other language, and as a table.
	b.Text(`location.href = location.pathname + "?metric=citizen_time&lang=en&table=trend,by"`)
	b.Wait("the tables are there", `document.documentElement?.lang === "en" && document.querySelectorAll(".fig-trend tbody tr").length === 12 && document.querySelectorAll(".fig-by tbody tr").length > 3`)
	b.Size(390, 844)
	if b.Text("document.documentElement.scrollWidth > innerWidth") == "true" {
		t.Error("the figure is wider than a telephone")
	}
	b.Picture("metric_390")
	b.Size(1280, 900)

	// When the warehouse does not answer, what was read stays, and the page says so.
	w.figures.err = errFault
	b.Text(`document.querySelectorAll(".controls .segments button")[3].click()`)
	b.Wait("it is said", `document.querySelector("[role=alert]")`)
	w.figures.err = nil
	b.Text(`document.querySelector("[role=alert] button").click()`)
	b.Wait("it recovers", `!document.querySelector("[role=alert]") && document.querySelector(".fig-value")`)

	// On to how cases go.
	b.Click(".fig-below a.link")
	b.Wait("the graph is drawn", `location.pathname === "/process" && document.querySelectorAll(".dfg .node").length === 5 && document.querySelectorAll(".dfg .edge.again").length === 1`)
	b.Picture("process")
	if b.Text(`!!document.querySelector(".fig-restated")`) != "false" {
		t.Error("what is known now has changed since")
	}
	// As it was known on a day, with what has changed since (I9), and back to now.
	b.Text(`(() => { const day = document.querySelector("input[type=date]"); day.value = "2026-08-15"; day.dispatchEvent(new Event("change", { bubbles: true })); })()`)
	b.Wait("the day is in the address, and it is said what has changed", `location.search.includes("known=2026-08-15") && document.querySelector(".fig-restated summary")?.textContent.includes("44") && document.querySelector(".process-summary .definition")?.textContent.includes("2026")`)
	b.Text(`document.querySelector(".fig-restated").open = true`)
	b.Picture("process_known")
	b.Text(`document.querySelector("input[type=date]").closest("fieldset").querySelector("button").click()`)
	b.Wait("now again", `!location.search.includes("known=") && !document.querySelector(".fig-restated") && document.querySelector(".dfg")`)
	b.Size(390, 844)
	if b.Text("document.documentElement.scrollWidth > innerWidth") == "true" {
		t.Error("the page of how cases go is wider than a telephone")
	}
	b.Text(`document.querySelector(".panel-tools button").click()`)
	b.Wait("the graph as a table", `!document.querySelector(".dfg") && document.querySelectorAll("section[aria-labelledby=graph-title] tbody tr").length === 5`)

	w.figures.empty = true
	w.flow.generation.Add(1)
	b.Text(`location.href = "/figures?lang=en"`)
	b.Wait("nothing is loaded, and what to do is said", `[...document.querySelectorAll("code")].some((c) => c.textContent === "shire load")`)
}
