package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/shirecounty/shire/portal/browsertest"
)

// sharing walks through the catalogue, the requests, the window and the supervision of the demo in a browser, in both languages. What
// the clerk did is in the mart and in the log of accesses afterwards, and nothing of it names the applicant (I7).
func (d *demoNode) sharing(t *testing.T) {
	var w windowResult
	opened := shire(t, "demo", "window", "--json", "--data", d.data)
	envelopeOf(t, opened.ok(t), &w)
	known := readIdentifiers(t, filepath.Join(d.county, "truth", "identifiers.txt"))
	if len(known.in(w.Number)) == 0 {
		t.Fatal("the resident at the window is nobody of the county")
	}
	added := func(args ...string) browsertest.Site {
		var one struct{ Name, Password string }
		envelopeOf(t, shire(t, append(args, "--json", "--data", d.data)...).ok(t), &one)
		return browsertest.Site{Name: one.Name, Password: one.Password}
	}
	site := browsertest.SharingSite{
		URL: d.portal, Item: w.Item, Case: w.Case, Number: w.Number, OtherNumber: "11010519491231002X",
		Clerk:      browsertest.Site{Name: w.Name, Password: w.Password},
		Officer:    added("sharing", "officers", "add", "officer", "--department", "civil_affairs", "-c", filepath.Join(d.county, "county.yaml")),
		Supervisor: added("audit", "supervisors", "add", "supervisor"),
	}
	for i, language := range []string{"zh-CN", "en"} {
		t.Run(language, func(t *testing.T) {
			err := browsertest.Sharing(t, site, language, i > 0)
			if errors.Is(err, browsertest.ErrNoBrowser) {
				absent(t, "%v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
		if t.Failed() || t.Skipped() {
			return
		}
	}
	where := " WHERE case_number = '" + w.Case + "'"
	d.waitUntil("what the clerk did is in the mart", func() bool {
		got := fmt.Sprint(query(t, d.data, "SELECT material_code, act, reason FROM mart.material_acts"+where+" ORDER BY ALL"))
		return got == "[[HOUSEHOLD-REGISTER decline original_needed] [ID-CARD use ]]"
	})
	d.waitUntil("the card stands among the case's papers", func() bool {
		return fmt.Sprint(query(t, d.data, "SELECT material_code FROM mart.submissions"+where+" AND method = 'shared'")) == "[[ID-CARD]]"
	})
	// I8: in each language a look that was refused, one that was granted, a use and a decline.
	got := fmt.Sprint(query(t, d.data, "SELECT decision, toString(count()), toString(uniqExact(clerk)), any(caller) FROM audit.accesses"+where+" GROUP BY decision ORDER BY decision"))
	want := "[[declined 2 1 civil_affairs/portal-window] [granted 2 1 civil_affairs/portal-window] [refused 2 1 civil_affairs/portal-window] [used 2 1 civil_affairs/portal-window]]"
	if got != want {
		t.Errorf("the log of accesses has %s\nwant %s", got, want)
	}
	known.clean(t, "the node's log", d.Output())
}
