package browsertest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// SharingSite is a portal whose pages of sharing are to be looked at: who may sign in where, and a case of the clerk's department
// whose applicant holds an identity card that shared data proves.
type SharingSite struct {
	URL                        string // http://127.0.0.1:8080
	Officer, Clerk, Supervisor Site   // their addresses are not needed
	Item, Case, Number         string
	OtherNumber                string // a citizen number of somebody else
}

// sharingWords are what the pages of sharing have to show, by page and language.
var sharingWords = map[string]map[string][]string{
	"/catalogue":   {"zh-CN": {"共享目录", "户籍人口", "有条件共享", "导出"}, "en": {"Catalogue", "Registered residents", "Conditional", "Export"}},
	"/sharing":     {"zh-CN": {"共享申请", "逾期", "民政局", "授权有效"}, "en": {"Requests for data", "Overdue", "Civil Affairs Bureau", "Live grant"}},
	"/window":      {"zh-CN": {"窗口", "民政局", "用途：材料免交", "已写入访问日志", "公安局", "户籍人口"}, "en": {"Window", "Civil Affairs Bureau", "Purpose: Sparing a paper", "Written to the log of accesses", "Public Security Bureau", "Registered residents"}},
	"/supervision": {"zh-CN": {"访问监督", "已准予", "已拒绝", "已采用", "民政局"}, "en": {"Supervision of accesses", "granted", "refused", "used", "Civil Affairs Bureau"}},
}

// tour is one walk through the pages of sharing in one language.
type tour struct {
	*Browser
	site     SharingSite
	language string
}

// Sharing walks through the catalogue, the requests, the window and the supervision of a node in one language, on a wide and a narrow
// screen: at the window a clerk mistypes a number, then sees what is met, uses it, and asks for it all the same. again says that this has
// been done on the node before. The error is ErrNoBrowser, or nil.
func Sharing(t testing.TB, site SharingSite, language string, again bool) error {
	t.Helper()
	b, err := Open(t, site.URL+"/?lang="+language)
	if err != nil {
		return err
	}
	w := &tour{b, site, language}
	for _, page := range []string{"/catalogue", "/sharing", "/window"} {
		w.Wait("the overview leads to "+page, `document.querySelector('a[href^="`+page+`"]')`)
	}
	w.catalogue()
	w.requests()
	w.window(again)
	w.supervision()
	return nil
}

func (w *tour) open(page string) { w.Go(w.site.URL + page + "?lang=" + w.language) }

// widths looks at the page on a wide and a narrow screen; where pictures are wanted, in the dark as well.
func (w *tour) widths(what string) {
	w.t.Helper()
	for _, width := range []int64{1440, 390} {
		w.Size(width, 1000)
		w.Wait("the window has its size", fmt.Sprintf("innerWidth === %d", width))
		if n := w.Text(`document.documentElement.scrollWidth - innerWidth`); !strings.HasPrefix(n, "-") && n != "0" {
			w.t.Errorf("%s hangs over by %s at %d pixels", what, n, width)
		}
		if n := w.Text(`[...document.querySelectorAll("main *")].filter((x) => !x.closest(".scroll, .visually-hidden, select") && x.getBoundingClientRect().right > innerWidth + 1 && getComputedStyle(x).position !== "absolute").map((x) => x.outerHTML.slice(0, 60)).join(" | ")`); n != "" {
			w.t.Errorf("%s at %d pixels is cut off: %s", what, width, n)
		}
		w.Picture(fmt.Sprintf("%s-%d", what, width))
	}
	w.Size(1440, 1000)
	if w.screenshots == "" {
		return // the rest is for people
	}
	w.Dark(true)
	w.Picture(what + "-dark")
	w.Dark(false)
}

func (w *tour) says(page string) {
	w.t.Helper()
	text := w.Text("document.body.innerText")
	for _, word := range sharingWords[page][w.language] {
		if !strings.Contains(text, word) {
			w.t.Errorf("%s does not show %q", page, word)
		}
	}
	if w.Text("document.documentElement.lang") != w.language {
		w.t.Errorf("%s is in another language", page)
	}
}

// enter signs in where a page asks for it.
func (w *tour) enter(who Site) {
	w.t.Helper()
	w.Wait("the name is asked for", focusOn("input[name=name]"))
	w.Text(`document.querySelector("input[name=name]").focus()`)
	w.Write(who.Name)
	w.Press(Tab)
	w.Write(who.Password)
	w.Press(Enter)
	w.Wait("the session is there", `document.querySelector(".who")`)
}

func (w *tour) catalogue() {
	w.open("/catalogue")
	w.Wait("the items are listed", `document.querySelectorAll(".entry").length > 5`)
	w.says("/catalogue")
	w.widths("catalogue")
	all := w.Text(`document.querySelectorAll(".entry").length`)
	w.Text(`document.querySelector("input[type=search]").focus()`)
	w.Write("insured_persons")
	w.Wait("a search finds one, and is in the address", `document.querySelectorAll(".entry").length === 1 && location.search.includes("q=insured_persons")`)
	w.Click(".entry summary")
	w.Wait("its fields are shown", `document.querySelector(".entry[open]")?.innerText.includes("citizen_number")`)
	w.widths("item")
	w.Text(`document.querySelector("input[type=search]").select()`)
	w.Press(kb.Backspace)
	w.Wait("all of them again", `document.querySelectorAll(".entry").length === `+all)
}

func (w *tour) requests() {
	w.open("/sharing")
	w.Wait("what is overdue is shown to everybody, with its clock", `document.querySelector("#overdue-title ~ .scroll tbody .bad")`)
	w.widths("signin")
	w.enter(w.site.Officer)
	w.Wait("the department's own are listed", `document.querySelectorAll("#mine-title").length === 1 && document.querySelectorAll("tbody button.link").length > 1`)
	w.says("/sharing")
	w.widths("requests")
	w.choose(".panel-head select", "live")
	w.Wait("the grants in force alone", `location.search.includes("state=live") && document.querySelector("tbody button.link")`)
	w.Click("tbody button.link")
	w.Wait("a grant with its terms and what was done", `location.search.includes("request=") && document.querySelectorAll(".history li").length >= 3 && document.querySelector(".facts").innerText.length > 40`)
	w.widths("request")
	w.Text(`history.back()`)
	w.Wait("back to the list", `document.querySelector("#mine-title")`)
	w.Click(".panel-head button")
	w.Wait("a new request can be written", `document.querySelector("form.deed select")`)
	w.widths("asking")
}

// fill writes a text into a field.
func (w *tour) fill(selector, text string) {
	w.t.Helper()
	w.Text(`document.querySelector('` + selector + `').select()`)
	w.Write(text)
}

func (w *tour) choose(selector, value string) {
	w.t.Helper()
	w.Text(`(() => { const s = document.querySelector('` + selector + `'); s.value = "` + value + `"; s.dispatchEvent(new Event("change", { bubbles: true })) })()`)
}

func (w *tour) window(again bool) {
	w.open("/window")
	w.enter(w.site.Clerk)
	w.Wait("the items of the department can be chosen", `document.querySelectorAll("select[name=item] option").length > 2`)
	w.choose("select[name=item]", w.site.Item)
	w.Wait("what only some cases need can be added", `document.querySelector('input[name="MARRIAGE-CERTIFICATE"]')`)
	w.Click(`input[name="MARRIAGE-CERTIFICATE"]`)
	w.fill("input[name=case]", w.site.Case)
	w.fill("input[name=number]", w.site.OtherNumber)
	w.Click("form.question button[type=submit]")
	w.Wait("somebody else's number is refused in a sentence", `document.querySelector("form.question .wrong")?.innerText.length > 10`)
	w.Wait("and shows nothing", `!document.querySelector(".answer")`)
	w.widths("refused")
	w.fill("input[name=number]", w.site.Number)
	w.Click("form.question button[type=submit]")
	card := `document.querySelector('[data-material="ID-CARD"]')`
	w.Wait("the card is met", card+`?.dataset.state === "met"`)
	w.Wait("the register of the department's own says the rest", `document.querySelector('[data-material="MARRIAGE-CERTIFICATE"]').dataset.state === "ask"`)
	w.Wait("the answer has the focus", focusOn("#answer-title"))
	w.Wait("source, time, quality and proof are shown", card+`.querySelectorAll(".facts dd").length === 6 && /[0-9a-z]{20}/.test(`+card+`.querySelector("code").innerText)`)
	w.says("/window")
	if everything := w.Text(`document.documentElement.outerHTML + [...document.querySelectorAll("input")].map((x) => x.value).join() + location.href`); strings.Contains(everything, w.site.Number) {
		w.t.Error("the applicant's number stays on the page")
	}
	if again {
		w.Wait("what was done before is told", card+`.querySelector(".turn")`)
	}
	w.widths("answer")
	w.Click(`[data-material="ID-CARD"] [data-act=use]`)
	w.Wait("the card is used", card+`.querySelector(".turn")`)
	w.Click(`[data-material="HOUSEHOLD-REGISTER"] [data-act=decline]`)
	w.Wait("without a reason nothing is declined", `document.querySelector('[data-material="HOUSEHOLD-REGISTER"] select:invalid')`)
	w.choose(`[data-material="HOUSEHOLD-REGISTER"] select`, "original_needed")
	w.Click(`[data-material="HOUSEHOLD-REGISTER"] [data-act=decline]`)
	w.Wait("the register is asked for, and why", `document.querySelector('[data-material="HOUSEHOLD-REGISTER"] .turn')?.innerText.length > 10`)
	w.widths("done")
	w.Click(".tools button.quiet")
	w.Wait("who signs out leaves nothing behind", `document.querySelector("input[name=password]") && !document.querySelector(".answer")`)
}

func (w *tour) supervision() {
	w.open("/supervision")
	w.enter(w.site.Supervisor)
	w.Wait("what can be looked for", `document.querySelector("form.search input[name=case]")`)
	w.fill("input[name=case]", w.site.Case)
	// The log is there at once; what is searched follows it.
	w.Wait("what the clerk did is found", `(() => {
		const text = document.querySelector("tbody")?.innerText ?? ""
		if (document.querySelectorAll("tbody tr").length >= 4 && text.includes(`+fmt.Sprintf("%q", w.site.Case)+`)) return true
		document.querySelector("form.search button[type=submit]").click()
		return false
	})()`)
	w.says("/supervision")
	w.widths("accesses")
	w.choose("select[name=decision]", "used")
	w.Click("form.search button[type=submit]")
	w.Wait("those alone that used something", `document.querySelectorAll("tbody tr").length > 0 && [...document.querySelectorAll("tbody tr")].every((x) => x.dataset.decision === "used")`)
	w.Wait("whom to look for stands in no address", `!location.href.includes(`+fmt.Sprintf("%q", w.site.Case)+`)`)
	w.fill("input[name=person]", "nobody")
	w.Click("form.search button[type=submit]")
	w.Wait("what is no pseudonym is said to be none", `document.querySelector(".wrong")?.innerText.length > 10`)
	w.widths("mistake")
}
