package county

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/schemas/document"
)

const goodSignOn = good + `portal:
  listen: 127.0.0.1:9000
  oidc:
    issuer: https://sso.example/realms/staff
    client_id: shire
    client_secret: file:secrets/oidc
    groups:
      shire-reviewers: {rights: [review, supervise]}
      hall-officers:
        rights: [request]
        department: hall
`

func TestSignOn(t *testing.T) {
	file := write(t, goodSignOn)
	c, _, err := load(file, kinds, lookup)
	if err != nil {
		t.Fatal(err)
	}
	o := c.Portal.OIDC
	if o.Redirect != "http://127.0.0.1:9000/api/v1/oidc/callback" || o.Alias != "oidc" || o.NameClaim != "preferred_username" || o.GroupsClaim != "groups" || !slices.Equal(o.Scopes, []string{"profile"}) ||
		o.Label.Zh == "" || o.Label.En == "" || time.Duration(o.Session) != 8*time.Hour || time.Duration(o.Leeway) != 30*time.Second || slices.Contains(o.Algorithms, "HS256") {
		t.Errorf("defaults: %+v", o)
	}
	if string(o.ClientSecret) != "file:"+filepath.Join(filepath.Dir(file), "secrets/oidc") || strings.Contains(fmt.Sprintf("%+v", *o), "secrets/oidc") {
		t.Errorf("the secret: %+v", *o)
	}
	if g := o.Groups["hall-officers"]; g.Department != "hall" || !slices.Equal(g.Rights, []string{"request"}) {
		t.Errorf("%+v", o.Groups)
	}
}

func TestSignOnMistakes(t *testing.T) {
	const at = "issuer: https://sso.example/realms/staff"
	for _, c := range []struct{ right, wrong, want string }{
		{at, "issuer: http://sso.example", `county.yaml:20: "http://sso.example" is no issuer that can be trusted over a wire`},
		{at, "issuer: https://sso.example/?x=1", `county.yaml:20: `},
		{at, "issuer: https://a:b@sso.example", `county.yaml:20: `},
		{at, "issuer: sso.example", `county.yaml:20: `},
		{at, at + "\n    redirect: https://data.example/", `county.yaml:21: "https://data.example/" is no address to send people back to`},
		{at, at + "\n    redirect: http://data.example/api/v1/oidc/callback", `county.yaml:21: `},
		{at, at + "\n    redirect: https://data.example/api/v1/oidc/callback?x", `county.yaml:21: `},
		{"listen: 127.0.0.1:9000", "listen: 0.0.0.0:9000", `county.yaml:20: where the provider sends people back cannot be made of portal.listen 0.0.0.0:9000`},
		{"listen: 127.0.0.1:9000", "listen: 127.0.0.1:0", `county.yaml:20: where the provider sends people back cannot be made of`},
		{"listen: 127.0.0.1:9000", "tls: {cert: c, key: k}", `county.yaml:20: where the provider sends people back cannot be made of portal.listen alone`},
		{at, at + "\n    alias: 'a:b'", `county.yaml:21: "a:b" cannot stand behind a name`},
		{"client_id: shire", "client_id: ''", `county.yaml:20: the provider is not told whose people it signs in`},
		{"client_secret: file:secrets/oidc", "name_claim: name", `county.yaml:20: the portal has nothing to prove itself to the provider with`},
		{"client_secret: file:secrets/oidc", "client_secret: opensesame", `county.yaml:22: a secret stands in the file in the clear`},
		{at, at + "\n    scopes: [profile, 'a b']", `county.yaml:21: "a b" is no scope`},
		{at, at + "\n    algorithms: [RS256, none]", `county.yaml:21: tokens that are signed with "none" are not taken`},
		{at, at + "\n    algorithms: [HS256]", `county.yaml:21: tokens that are signed with "HS256" are not taken`},
		{at, at + "\n    leeway: 3m", `county.yaml:21: 3m0s is too much`},
		{at, at + "\n    session: 13h", `county.yaml:21: 13h0m0s is too long`},
		{"rights: [request]", "rights: [requests]", `county.yaml:26: the group "hall-officers" is of a department and may not act for it`},
		{"[review, supervise]", "[review, supervize]", `county.yaml:24: the group "shire-reviewers" has the right "supervize", which there is not; did you mean "supervise"?`},
		{"[review, supervise]", "[]", `county.yaml:24: the group "shire-reviewers" has no right`},
		{"department: hall", "department: hal", `acts for "hal", and the county has no such department; did you mean "hall"?`},
		{"        department: hall\n", "", `county.yaml:26: the group "hall-officers" acts for no department`},
		{"shire-reviewers:", "' ':", `a group has no name`},
		{"issuer:", "isuer:", `county.yaml:20: "isuer" is not a key here; did you mean "issuer"?`},
	} {
		text := strings.Replace(goodSignOn, c.right, c.wrong, 1)
		if text == goodSignOn {
			t.Fatalf("%q does not stand in the file", c.right)
		}
		_, _, err := load(write(t, text), kinds, lookup)
		var problems document.Problems
		if !errors.As(err, &problems) || !slices.ContainsFunc(problems, func(p *document.Problem) bool { return strings.Contains(p.Error(), c.want) }) {
			t.Errorf("%s\ngot  %v\nwant %s", c.wrong, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "opensesame") {
			t.Error("the message quotes the secret (I7)")
		}
	}
	none := goodSignOn[:strings.Index(goodSignOn, "    groups:")]
	if _, _, err := load(write(t, none), kinds, lookup); err == nil || !strings.Contains(err.Error(), "nobody could sign in") {
		t.Error(err)
	}
}
