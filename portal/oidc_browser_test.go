package portal

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/shirecounty/shire/portal/browsertest"
	"github.com/shirecounty/shire/portal/signon/signontest"
	"github.com/shirecounty/shire/schemas/county"
)

// TestSignOnInTheBrowser goes to the provider and comes back with a session that the browser keeps, although it comes from another
// site; then it signs out at both.
func TestSignOnInTheBrowser(t *testing.T) {
	there := testProvider(t, nil)
	server := httptest.NewUnstartedServer(nil)
	origin := "http://" + server.Listener.Addr().String()
	there.Change(func(b *signontest.Behaviour) {
		b.Redirects = []string{origin + county.OIDCCallback}
	})
	o := testOIDC(there.URL)
	o.Redirect = origin + county.OIDCCallback
	v := newReview(t, withJobs, func(options *Options) { options.OIDC, options.now = o, nil })
	server.Config.Handler = v.Handler()
	server.Start()
	t.Cleanup(server.Close)
	serve(t, v.world) // tells whether the pages were built
	b, err := browsertest.Open(t, origin+"/review?lang=zh-CN")
	if err != nil {
		noBrowser(t, err)
	}
	issuer, _ := url.Parse(there.URL)
	b.Allow(issuer.Host)
	look := func(name string) {
		for _, size := range [][2]int64{{1440, 900}, {390, 844}} {
			b.Size(size[0], size[1])
			for _, dark := range []bool{false, true} {
				b.Dark(dark)
				b.Wait("the colours", `matchMedia("(prefers-color-scheme: dark)").matches === `+map[bool]string{true: "true", false: "false"}[dark])
				b.Wait("nothing lies beside the page", `document.documentElement.scrollWidth <= innerWidth`)
				b.Picture(name + map[bool]string{true: "_dark_", false: "_light_"}[dark] + map[int64]string{1440: "wide", 390: "narrow"}[size[0]])
			}
		}
	}
	b.Wait("the button", `document.querySelector(".signin-on a")?.textContent === "县统一身份认证"`)
	look("zh")
	b.Wait("the form is there beside it", `document.querySelector(".signin input[name=password]")`)
	b.Click(`.signin-on a`)
	b.Wait("the session", `location.pathname === "/review" && location.search === "?lang=zh-CN" && document.querySelector(".who")?.textContent.includes("@sso:")`)
	look("in")
	b.Click(".tools button.quiet")
	b.Wait("the provider's own sign-out", `location.port === "`+issuer.Port()+`" && location.pathname === "/end"`)
	b.Go(origin + "/review?lang=en")
	b.Wait("signed out", `document.querySelector(".signin-on a")?.textContent === "County sign-on"`)
	look("en")
	// Who may not is told what is missing.
	there.Change(func(c *signontest.Behaviour) {
		c.Claims = map[string]any{"preferred_username": testReviewer, "groups": []string{"gardeners"}}
	})
	b.Click(`.signin-on a`)
	b.Wait("what is missing", `document.querySelector("main[data-code=no_right]")?.textContent.includes("reviewers")`)
	look("refused")
	b.Click("main a")
	b.Wait("back", `location.pathname === "/review" && location.search === "?lang=en" && document.querySelector(".signin-on a")`)
	// Under another name of this machine, the button leads to the one that the provider knows.
	b.Allow(strings.Replace(server.Listener.Addr().String(), "127.0.0.1", "localhost", 1))
	b.Go(strings.Replace(origin, "127.0.0.1", "localhost", 1) + "/review?lang=en")
	b.Wait("the button elsewhere", `location.hostname === "localhost" && document.querySelector(".signin-on a")`)
	where, _ := url.Parse(b.Text(`document.querySelector(".signin-on a").href`))
	if where.Scheme+"://"+where.Host != origin || where.Path != reviewStart {
		t.Errorf("the button leads to %s", where)
	}
}
