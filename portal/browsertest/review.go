package browsertest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Site is a portal whose review is to be driven, and a reviewer who may.
type Site struct {
	URL      string // http://127.0.0.1:8080
	Name     string
	Password string
}

// words of the review by language, which the page has to show.
var words = map[string][]string{
	"zh-CN": {"身份核对", "待核对", "一人", "两人", "不能确定", "证据", "理由"},
	"en":    {"Identity review", "Waiting", "Same", "Different", "Not sure", "Evidence", "Reason"},
}

// Review reviews a pair in one language, with the keyboard alone: it signs in, walks the queue, opens a pair, reads the two
// records, finds that a verdict needs a reason, gives both, and sees the pair leave the queue. At least one pair has to
// wait. It returns the pair as "a/b". The error is ErrNoBrowser, or nil.
func Review(t testing.TB, site Site, language string) (pair string, err error) {
	t.Helper()
	b, err := Open(t, site.URL+"/review?lang="+language)
	if err != nil {
		return "", err
	}
	b.signIn(site)
	pairs := strings.Fields(b.Text(`[...document.querySelectorAll("[data-pair]")].map((x) => x.dataset.pair).join(" ")`))
	b.walk(pairs)
	pair = pairs[0]

	b.Press(Enter)
	b.Wait("the pair opens and its title takes the focus", focusOn("#case-title"))
	b.Picture("case")
	for _, word := range words[language] {
		if !strings.Contains(b.Text("document.body.innerText"), word) {
			t.Errorf("the page does not show %q", word)
		}
	}
	if n := b.Text(`[...document.querySelectorAll(".records tbody tr")].filter((row) => [...row.querySelectorAll(".value")].length > 0).length`); n == "0" {
		t.Error("the two records say nothing")
	}
	if n := b.Text(`document.querySelectorAll(".waterfall tbody tr").length`); n == "0" || n == "1" {
		t.Error("there is no waterfall of the evidence")
	}
	if address := b.Text("location.href"); !strings.Contains(address, strings.ReplaceAll(pair, "/", "_")) {
		t.Errorf("the pair is not in the address: %s", address)
	}

	b.Press("2")
	b.Wait("2 chooses: different", `document.querySelector("input[value=different]").checked`)
	b.PressCtrl(Enter)
	b.Wait("a verdict without a reason is not taken, and the reason is asked for", focusOn("#reason")+` && document.querySelector("#reason").getAttribute("aria-invalid") === "true"`)
	b.Press("1", Escape)
	b.Wait("in the field, 1 is text; Esc leaves it", focusOn("#case-title")+` && document.querySelector("#reason").value === "1" && document.querySelector("input[value=different]").checked`)
	b.Press("r")
	b.Wait("r goes to the reason and is not written there", focusOn("#reason")+` && document.querySelector("#reason").value === "1"`)
	b.Write(": 出生日期与住址都不同 / different mothers")
	b.Picture("verdict")
	b.Wait("the records stay in sight while the reason is written", `document.querySelector(".records").getBoundingClientRect().top > 0`)
	b.PressCtrl(Enter)
	b.Wait("the pair leaves the queue", fmt.Sprintf(`!document.querySelector('[data-pair="%s"]')`, pair))
	b.Wait("what was done is announced", `document.querySelector(".said").textContent.length > 5`)
	if len(pairs) > 1 {
		b.Wait("the next pair takes the focus", `document.activeElement.dataset.pair === "`+pairs[1]+`"`)
	}
	b.Picture("recorded")
	b.Press(Escape)
	b.Wait("Esc leaves the pair", `!location.search.includes("pair=")`)
	return pair, nil
}

func focusOn(selector string) string {
	return `document.activeElement === document.querySelector("` + selector + `")`
}

func (b *Browser) signIn(site Site) {
	b.t.Helper()
	b.Wait("the name is asked for", focusOn("input[name=name]"))
	b.Picture("signin")
	b.Write(site.Name)
	b.Press(Tab)
	b.Write(site.Password)
	b.Press(Enter)
	b.Wait("the queue is there", `document.querySelector("[data-pair]")`)
	b.Picture("queue")
}

// walk goes through the queue and back to its first pair.
func (b *Browser) walk(pairs []string) {
	b.t.Helper()
	on := func(i int) string { return `document.activeElement.dataset.pair === "` + pairs[i] + `"` }
	b.Press("j")
	b.Wait("j enters the queue", on(0))
	if len(pairs) > 1 {
		b.Press("j")
		b.Wait("j goes on", on(1))
		b.Press(Up)
		b.Wait("an arrow goes back", on(0))
		b.Press(Down)
		b.Wait("an arrow goes on", on(1))
		b.Press("k", "k")
		b.Wait("k goes back and stops at the first", on(0))
	}
	b.Press("?")
	b.Wait("? shows the keys", `document.querySelector("dialog[open]")`)
	b.Picture("keys")
	b.Press(Escape)
	b.Wait("Esc closes them and the focus comes back", `!document.querySelector("dialog[open]") && `+on(0))
}

// TabTo presses Tab until the focus is on what a selector finds, as somebody does who knows no other key.
func (b *Browser) TabTo(selector string) {
	b.t.Helper()
	var passed []string
	for range 60 {
		if b.Text(focusOn(selector)) == "true" {
			return
		}
		passed = append(passed, b.Text(`(document.activeElement?.innerText || document.activeElement?.id || document.activeElement?.tagName || "").slice(0, 24)`))
		b.Press(Tab)
	}
	b.t.Fatalf("Tab does not lead to %s, but past %q", selector, slices.Compact(passed))
}
