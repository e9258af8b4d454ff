package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/shirecounty/shire/portal/browsertest"
)

var served = regexp.MustCompile(`Shire serves \S+ at (http://\S+)`)

// A reviewer decides on the portal of a real node, with the keyboard alone, in both languages; the verdict is in the mart,
// the access before it in the log, and the command line beside the running node takes the verdict back.
func TestReviewOfANode(t *testing.T) {
	t.Parallel() // it waits more than it works
	data, file := peopled(t)
	const reviewer = "李梅"
	var added struct{ Password string }
	envelopeOf(t, shire(t, "identity", "reviewers", "add", reviewer, "--json", "--data", data).ok(t), &added)
	up := start(t, append([]string{"up"}, file...)...)
	up.WaitFor("Shire serves")
	site := browsertest.Site{URL: served.FindStringSubmatch(up.Output())[1], Name: reviewer, Password: added.Password}
	const log = "SELECT count() FROM audit.accesses"
	accesses := query(t, data, log)[0][0].(float64)

	for _, language := range []string{"zh-CN", "en"} {
		t.Run(language, func(t *testing.T) {
			pair, err := browsertest.Review(t, site, language)
			if errors.Is(err, browsertest.ErrNoBrowser) {
				absent(t, "%v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			a, b, _ := strings.Cut(pair, "/")
			where := fmt.Sprintf("record_a = toUUID('%s') AND record_b = toUUID('%s')", a, b)
			// Never the name, and the access came before the verdict.
			got := fmt.Sprint(query(t, data, "SELECT verdict, reviewer LIKE '%李%', decided_at > (SELECT max(at) FROM audit.accesses) - INTERVAL 5 MINUTE FROM mart.verdicts WHERE "+where))
			if got != "[[different 0 1]]" {
				t.Errorf("mart.verdicts has %s", got)
			}
			up.waitUntil("the look is in the table", func() bool { return query(t, data, log)[0][0].(float64) > accesses }) // it follows the log
			said := query(t, data, "SELECT count(), uniqExact(clerk), any(caller), any(clerk) LIKE '%李%' FROM audit.accesses")[0]
			if n := said[0].(float64); n <= accesses || said[1] != float64(1) || said[2] != "portal/review" || said[3] != float64(0) {
				t.Errorf("the access log has %v after %v before", said, accesses)
			} else {
				accesses = n
			}
			parted := func(what string, want bool) {
				t.Helper()
				var why struct {
					Together bool
					Verdicts []struct{ A, Decision string }
				}
				envelopeOf(t, shire(t, "identity", "explain", a, b, "--json", "--data", data).ok(t), &why)
				if why.Together || (len(why.Verdicts) > 0) != want {
					t.Errorf("%s: %+v", what, why)
				}
			}
			parted("decided", true)
			// The same answer from elsewhere: no reader of the mart sees one person.
			if got := query(t, data, fmt.Sprintf("SELECT uniqExact(person_id) FROM mart.links WHERE current AND record IN (toUUID('%s'), toUUID('%s'))", a, b)); got[0][0] != float64(2) {
				t.Errorf("the two are %v persons", got)
			}
			if r := shire(t, "identity", "withdraw", a, b, "--as", reviewer, "--data", data).ok(t); !strings.Contains(r.Stdout, "the verdict is withdrawn") {
				t.Errorf("%v", r)
			}
			parted("withdrawn", false)
			if left := query(t, data, "SELECT count() FROM mart.verdicts WHERE "+where); left[0][0] != float64(0) {
				t.Errorf("the verdict is in the mart still: %v", left)
			}
			if !waits(t, data, a, b) {
				t.Error("the pair does not wait again")
			}
			// Decided as the same, on the command line, it is one person on the portal too.
			shire(t, "identity", "decide", a, b, "same", "--as", reviewer, "--reason", "one card", "--data", data).ok(t)
			if got := query(t, data, fmt.Sprintf("SELECT uniqExact(person_id) FROM mart.links WHERE current AND record IN (toUUID('%s'), toUUID('%s'))", a, b)); got[0][0] != float64(1) {
				t.Errorf("the two are %v persons", got)
			}
		})
	}
	var status struct {
		Identities []struct{ Records, Parties, Waiting int }
	}
	r, err := http.Get(site.URL + "/api/v1/flow")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(&status); err != nil || len(status.Identities) != 2 || status.Identities[0].Records == 0 {
		t.Errorf("%+v, %v", status, err)
	}
	if out := up.Output(); strings.Contains(out, reviewer) {
		t.Errorf("the node says who reviewed: %s", out)
	}
	if stopped := up.Stop(); stopped.Code != exitOK {
		t.Errorf("%v", stopped)
	}
}

func waits(t *testing.T, data, a, b string) bool {
	t.Helper()
	for _, i := range waitingPairs(t, data) {
		if i.A.String() == a && i.B.String() == b {
			return true
		}
	}
	return false
}
