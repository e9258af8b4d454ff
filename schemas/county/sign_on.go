package county

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/document"
)

// OIDC lets people sign in on the portal by the county's OpenID Connect provider (统一身份认证), beside the local accounts.
type OIDC struct {
	Issuer       string            `yaml:"issuer" json:"issuer" jsonschema:"required,description=The provider's issuer\\, an https address; /.well-known/openid-configuration below it says the rest"`
	Alias        string            `yaml:"alias,omitempty" json:"alias,omitempty" jsonschema:"default=oidc,pattern=^[a-z][a-z0-9_]{0\\,30}$,description=Stands behind the names of the people whom the provider lets in"`
	Label        contract.Text     `yaml:"label,omitempty" json:"label,omitempty" jsonschema:"description=What the button says"`
	ClientID     string            `yaml:"client_id" json:"client_id" jsonschema:"required,description=This portal as the provider knows it"`
	ClientSecret Secret            `yaml:"client_secret" json:"client_secret" jsonschema:"required"`
	Redirect     string            `yaml:"redirect,omitempty" json:"redirect,omitempty" jsonschema:"description=Where the provider sends people back: the portal's address as browsers write it\\, with the path /api/v1/oidc/callback; registered at the provider as it stands here. Made of portal.listen when absent\\, where only this machine reaches that"`
	Scopes       []string          `yaml:"scopes,omitempty" json:"scopes,omitempty" jsonschema:"description=Asked for beside openid; profile when absent"`
	NameClaim    string            `yaml:"name_claim,omitempty" json:"name_claim,omitempty" jsonschema:"default=preferred_username,description=Claim with the name that others see"`
	GroupsClaim  string            `yaml:"groups_claim,omitempty" json:"groups_claim,omitempty" jsonschema:"default=groups,description=Claim with the groups"`
	Algorithms   []string          `yaml:"algorithms,omitempty" json:"algorithms,omitempty" jsonschema:"description=Signature algorithms of identity tokens that are taken; ES256 PS256 RS256 and EdDSA when absent"`
	Leeway       Duration          `yaml:"leeway,omitempty" json:"leeway,omitempty" jsonschema:"description=How far the provider's clock may be off; 30s when absent and at most 2m"`
	Session      Duration          `yaml:"session,omitempty" json:"session,omitempty" jsonschema:"description=The longest that somebody stays signed in; 8h when absent and at most 12h"`
	Groups       map[string]Rights `yaml:"groups" json:"groups" jsonschema:"required,description=What the provider's groups may do on the portal; who is in none of them may nothing"`
}

// Rights are what the members of a group may do on the portal.
type Rights struct {
	Rights     []string `yaml:"rights" json:"rights" jsonschema:"required,description=review: identities; operate: jobs; request: act for the department about requests for data; serve: see at the window what applicants of the department need not hand in; supervise: read who looked at whom"`
	Department string   `yaml:"department,omitempty" json:"department,omitempty" jsonschema:"description=Code of the department that the rights request and serve are for"`
}

// What people may do on the portal.
const (
	MayReview    = "review"    // identities
	MayOperate   = "operate"   // jobs
	MayRequest   = "request"   // data for a department
	MayServe     = "serve"     // applicants at the window, for a department
	MaySupervise = "supervise" // accesses
)

// ForDepartment tells whether a right is one to act for a department.
func ForDepartment(right string) bool { return right == MayRequest || right == MayServe }

// PortalRights are all of them.
var PortalRights = []string{MayReview, MayOperate, MayRequest, MayServe, MaySupervise}

// OIDCCallback is the path of the address that the provider sends people back to.
const OIDCCallback = "/api/v1/oidc/callback"

const maxSession = 12 * time.Hour

var aliasShape = regexp.MustCompile(`^[a-z][a-z0-9_]{0,30}$`)

func (o *OIDC) defaults(listen string) {
	orDefault(&o.Alias, "oidc")
	orDefault(&o.Label.Zh, "统一身份认证登录")
	orDefault(&o.Label.En, "Single sign-on")
	orDefault(&o.NameClaim, "preferred_username")
	orDefault(&o.GroupsClaim, "groups")
	orDefault(&o.Leeway, Duration(30*time.Second))
	orDefault(&o.Session, Duration(8*time.Hour))
	if o.Scopes == nil {
		o.Scopes = []string{"profile"}
	}
	if len(o.Algorithms) == 0 {
		o.Algorithms = []string{"ES256", "PS256", "RS256", "EdDSA"}
	}
	// Never made of what a request says: a browser can be told any Host.
	if host, port, err := net.SplitHostPort(listen); err == nil && o.Redirect == "" && port != "0" {
		if local := (&url.URL{Scheme: "http", Host: listen}); onThisMachine(local) && host != "" {
			o.Redirect = local.String() + OIDCCallback
		}
	}
}

func (c *Config) proveSignOn(fail func(path, do, format string, args ...any), departments []string) {
	o := c.Portal.OIDC
	if o == nil {
		return
	}
	const at = "$.portal.oidc"
	if c.Portal.TLS != nil && o.Redirect == "" {
		fail(at, "write redirect: with the portal's https address and "+OIDCCallback, "where the provider sends people back cannot be made of portal.listen alone")
	}
	o.defaults(c.Portal.Listen)
	if u, ok := confidential(o.Issuer); !ok || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		fail(at+".issuer", "write the provider's https address, without ? and #", "%q is no issuer that can be trusted over a wire", o.Issuer)
	}
	if c.Portal.TLS == nil && o.Redirect == "" {
		fail(at, "write redirect: with the portal's address as browsers write it and "+OIDCCallback, "where the provider sends people back cannot be made of portal.listen %s", c.Portal.Listen)
	} else if u, ok := confidential(o.Redirect); o.Redirect != "" && (!ok || u.Path != OIDCCallback || u.RawQuery != "" || u.Fragment != "" || u.User != nil) {
		fail(at+".redirect", "write an https address of the portal with the path "+OIDCCallback, "%q is no address to send people back to", o.Redirect)
	}
	if !aliasShape.MatchString(o.Alias) {
		fail(at+".alias", "use lower-case letters, digits and _", "%q cannot stand behind a name", o.Alias)
	}
	if o.ClientID == "" {
		fail(at, "write client_id:", "the provider is not told whose people it signs in")
	}
	if o.ClientSecret == "" {
		fail(at, "write client_secret: ${NAME} or file:PATH", "the portal has nothing to prove itself to the provider with")
	}
	for i, scope := range o.Scopes {
		if scope == "" || strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' }) {
			fail(fmt.Sprintf("%s.scopes[%d]", at, i), "write the name of a scope", "%q is no scope", scope)
		}
	}
	for _, a := range o.Algorithms {
		if !slices.Contains(TokenAlgorithms, a) {
			fail(at+".algorithms", "write some of "+strings.Join(TokenAlgorithms, ", "), "tokens that are signed with %q are not taken", a)
		}
	}
	if d := time.Duration(o.Leeway); d > maxLeeway {
		fail(at+".leeway", "write at most 2m, and set the clocks", "%v is too much", d)
	}
	if d := time.Duration(o.Session); d > maxSession {
		fail(at+".session", "write at most 12h", "%v is too long: who lost a right at the provider keeps it here for so long", d)
	}
	o.proveGroups(fail, at+".groups", departments)
}

func (o *OIDC) proveGroups(fail func(path, do, format string, args ...any), at string, departments []string) {
	if len(o.Groups) == 0 {
		fail("$.portal.oidc", "write groups: with the rights of at least one group", "the provider's people may nothing, so that nobody could sign in")
	}
	for _, name := range slices.Sorted(maps.Keys(o.Groups)) {
		g := o.Groups[name]
		here := at + "." + name
		if name == "" || strings.ContainsAny(name, ".'*[]$ ") {
			here = at // the name is no path
		}
		if strings.TrimSpace(name) == "" {
			fail(here, "write the group's name as the provider tells it", "a group has no name")
		}
		if len(g.Rights) == 0 {
			fail(here, "write rights: with some of "+strings.Join(PortalRights, ", "), "the group %q has no right", name)
		}
		for _, right := range g.Rights {
			if !slices.Contains(PortalRights, right) {
				fail(here, document.DidYouMean(right, PortalRights), "the group %q has the right %q, which there is not", name, right)
			}
		}
		switch acts := slices.ContainsFunc(g.Rights, ForDepartment); {
		case acts && g.Department == "":
			fail(here, "write department:", "the group %q acts for no department", name)
		case !acts && g.Department != "":
			fail(here, "add the right "+MayRequest+" or "+MayServe+", or leave department: out", "the group %q is of a department and may not act for it", name)
		case acts && !slices.Contains(departments, g.Department):
			fail(here, document.DidYouMean(g.Department, departments), "the group %q acts for %q, and the county has no such department", name, g.Department)
		}
	}
}

// confidential reads an address that nobody on the way can read or change.
func confidential(address string) (*url.URL, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return &url.URL{}, false
	}
	return u, u.Scheme == "https" || onThisMachine(u)
}

// DepartmentCodes are the codes that county.yaml names, and those whose datasets there are.
func (c *Config) DepartmentCodes(set contract.Set) []string {
	codes := slices.Collect(maps.Keys(c.Departments))
	for _, contract := range set {
		codes = append(codes, contract.Department)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}
