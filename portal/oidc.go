package portal

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shirecounty/shire/portal/signon"
	"github.com/shirecounty/shire/schemas/county"
)

// People sign in by the county's OpenID Connect provider at the door that they want to go through. The door's own address begins the
// sign-in, the provider sends the browser back to one address for all doors, and the groups that the provider names decide whether
// this door opens. What is behind the other doors stays closed, as with local accounts.
//
// These two addresses are opened by browsers as pages, and answer with pages: what is refused is said in both languages.

const (
	flowTime   = 10 * time.Minute // from the button to coming back: somebody may have to find a token
	mostFlows  = 4096             // I10: then the oldest is forgotten
	mostBack   = 2 << 10          // bytes
	flowCookie = "shire_sign_on"
)

// SignInWays are how people sign in beside local accounts.
type SignInWays struct {
	OIDC *SignOnWay `json:"oidc" jsonschema:"description=The county's OpenID Connect provider; null when there is none"`
}

// SignOnWay is the way by the OpenID Connect provider: a browser opens origin, the address of a door's session and /oidc, with the
// page to come back to as back.
type SignOnWay struct {
	Zh     string `json:"zh" jsonschema:"description=What the button says"`
	En     string `json:"en"`
	Origin string `json:"origin" jsonschema:"description=Of the portal as the provider knows it: cookies are of one host"`
}

// signOn is the way by the provider.
type signOn struct {
	provider *signon.Provider
	now      func() time.Time
	log      *slog.Logger
	secure   bool // browsers reach the portal by https

	mu    sync.Mutex
	flows map[[sha256.Size]byte]flow // by the token in the browser's cookie
}

// flow is a sign-in that has begun.
type flow struct {
	signon.Flow
	door  *door
	back  string // the page to come back to
	old   string // the session that the browser had before
	began time.Time
}

func newSignOn(o *county.OIDC, now func() time.Time, log *slog.Logger) (*signOn, error) {
	provider, err := signon.New(*o, now)
	if err != nil {
		return nil, err
	}
	return &signOn{provider: provider, now: now, log: log, secure: strings.HasPrefix(o.Redirect, "https:"), flows: map[[sha256.Size]byte]flow{}}, nil
}

func (p *Portal) signInRoutes(doors []*door) []route {
	table := []route{{
		Path: "/api/v1/sign-in", ID: "signInWays", Summary: "How people sign in beside local accounts",
		Result: SignInWays{}, handle: p.signInWays,
	}}
	if p.signOn == nil {
		return table
	}
	for _, d := range doors {
		id, _, _ := strings.Cut(strings.TrimPrefix(d.page, "/"), "/")
		table = append(table, route{
			Path: d.session + "/oidc", ID: id + "SignOn", Summary: "A browser that opens it is sent to the OpenID Connect provider, and comes back signed in",
			Parameters: []parameter{{Name: "back", In: "query", Description: "The page to come back to, with its query: " + d.page}},
			MediaTypes: []string{"text/html"}, handle: p.signOn.start(d),
		})
	}
	return append(table, route{
		Path: county.OIDCCallback, ID: "signOnCallback", Summary: "Where the OpenID Connect provider sends browsers back to",
		Parameters: []parameter{{Name: "state", In: "query"}, {Name: "code", In: "query"}, {Name: "error", In: "query"}, {Name: "iss", In: "query"}},
		MediaTypes: []string{"text/html"}, handle: p.signOn.callback,
	})
}

func (p *Portal) signInWays(w http.ResponseWriter, r *http.Request) {
	var ways SignInWays
	if p.signOn != nil {
		zh, en := p.signOn.provider.Label()
		ways.OIDC = &SignOnWay{Zh: zh, En: en, Origin: p.signOn.provider.Origin()}
	}
	reply(w, r, ways)
}

// backTo is the page to come back to. It is put together from the door's own page, so that it leads to no other host.
func (d *door) backTo(wanted string) string {
	u, err := url.Parse(wanted)
	if err != nil || len(wanted) > mostBack || u.IsAbs() || u.Host != "" || u.Path != d.page {
		return d.page
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || len(query) == 0 {
		return d.page
	}
	return d.page + "?" + query.Encode()
}

func (s *signOn) start(d *door) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		back := d.backTo(r.URL.Query().Get("back"))
		begun, address, refusal := s.provider.Begin(r.Context())
		if refusal != nil {
			s.refuse(w, r, d.to, back, refusal)
			return
		}
		// The cookie binds the sign-in to this browser: an answer that somebody else began is worth nothing here, and theirs nothing
		// where the cookie is not.
		token := rand.Text()
		s.keep(token, flow{Flow: begun, door: d, back: back, old: d.tokenOf(r), began: s.now()})
		s.setCookie(w, token, int(flowTime.Seconds()))
		s.send(w, r, address)
	}
}

func (s *signOn) callback(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet { // a HEAD must not use the sign-in up
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	query := r.URL.Query()
	f, there := s.take(s.tokenOf(r), query.Get("state"))
	switch {
	case !there:
		s.refuse(w, r, "", "/", startedNowhere)
		return
	case s.now().Sub(f.began) >= flowTime:
		s.setCookie(w, "", -1)
		s.refuse(w, r, f.door.to, f.back, tooLong)
		return
	}
	s.setCookie(w, "", -1)
	who, refusal := s.provider.Finish(r.Context(), f.Flow, query)
	department := ""
	if refusal == nil {
		department, refusal = s.provider.May(who, f.door.right)
	}
	if refusal != nil {
		s.refuse(w, r, f.door.to, f.back, refusal)
		return
	}
	// A new token, whatever the browser brought: nobody can have laid one there before (session fixation).
	f.door.sessions.end(f.old)
	f.door.sessions.end(f.door.tokenOf(r))
	length := s.provider.Session()
	token, _ := f.door.sessions.enter(session{name: who.Name, provided: true, department: department, length: length})
	f.door.setToken(w, r, token, int(length.Seconds()))
	s.send(w, r, f.back)
}

// send has the browser open another page. Neither address stays in a cache.
func (s *signOn) send(w http.ResponseWriter, r *http.Request, address string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, address, http.StatusSeeOther)
}

// keep remembers a sign-in that has begun.
func (s *signOn) keep(token string, f flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var oldest [sha256.Size]byte
	for key, other := range s.flows {
		if f.began.Sub(other.began) >= flowTime {
			delete(s.flows, key)
		} else if of, ok := s.flows[oldest]; !ok || other.began.Before(of.began) {
			oldest = key
		}
	}
	if len(s.flows) >= mostFlows {
		delete(s.flows, oldest)
	}
	s.flows[sha256.Sum256([]byte(token))] = f
}

// take finds the sign-in of a browser by its cookie and the state that came back, and forgets it: it is good once. A wrong state
// leaves it, or another site could end it.
func (s *signOn) take(token, state string) (flow, bool) {
	key := sha256.Sum256([]byte(token))
	s.mu.Lock()
	defer s.mu.Unlock()
	f, there := s.flows[key]
	if !there || subtle.ConstantTimeCompare([]byte(f.State), []byte(state)) != 1 {
		return flow{}, false
	}
	delete(s.flows, key)
	return f, true
}

// cookie is the name of the cookie that binds a sign-in to a browser. With https no neighbour of the host can write it.
func (s *signOn) cookie() string {
	if s.secure {
		return "__Host-" + flowCookie
	}
	return flowCookie
}

func (s *signOn) tokenOf(r *http.Request) string {
	cookie, err := r.Cookie(s.cookie())
	if err != nil {
		return ""
	}
	return cookie.Value
}

// setCookie hands the browser what binds the sign-in to it. It has to come back from the provider's site, so it is not Strict.
func (s *signOn) setCookie(w http.ResponseWriter, token string, seconds int) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cookie(), Value: token, Path: "/", MaxAge: seconds, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.secure,
	})
}

var (
	startedNowhere = &signon.Refusal{Status: http.StatusBadRequest, Code: signon.StartedNowhere,
		En: "This answer belongs to no sign-in that this browser began, or to one that is over. Nobody was signed in; start again on the page that you want to use.",
		Zh: "这一应答不属于本浏览器发起的登录，或该登录已经结束，因此未登录。请回到要使用的页面重新登录。"}
	tooLong = &signon.Refusal{Status: http.StatusBadRequest, Code: signon.TooLong,
		En: "The sign-in took more than 10 minutes, so nobody was signed in. Start again.",
		Zh: "登录用时超过 10 分钟，因此未登录。请重新登录。"}
)

// refuse shows the person why they were not signed in. The log has the reason and nobody's name (I7).
func (s *signOn) refuse(w http.ResponseWriter, r *http.Request, to, back string, refusal *signon.Refusal) {
	if r.Context().Err() != nil {
		return // the client went away
	}
	s.log.Warn("somebody could not sign in by the provider", "to", to, "code", refusal.Code, "error", refusal.Err)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	if refusal.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "5")
	}
	w.WriteHeader(refusal.Status)
	refusedPage.Execute(w, struct { // a client that went away is no fault of ours
		*signon.Refusal
		Back  string
		Other string // where whoever has another account at the provider leaves this one
	}{refusal, back, s.other(refusal)})
}

func (s *signOn) other(refusal *signon.Refusal) string {
	if !slices.Contains([]string{signon.NoRight, signon.TwoDepartments, signon.NoName}, refusal.Code) {
		return ""
	}
	return s.provider.SignOut()
}

// The page needs no script and no file: it is shown when something is wrong.
var refusedPage = template.Must(template.New("refused").Parse(`<!doctype html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>未能登录 · Not signed in</title>
</head>
<body style="font: 16px/1.6 system-ui, 'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', sans-serif; max-width: 40rem; margin: 12vh auto 0; padding: 0 1.25rem; overflow-wrap: anywhere">
<main data-code="{{.Code}}">
<h1 style="font-size: 1.35rem">未能登录<span lang="en"> · Not signed in</span></h1>
<p>{{.Zh}}</p>
<p lang="en">{{.En}}</p>
<p style="margin-top: 2rem"><a href="{{.Back}}" style="font-weight: 600">返回<span lang="en"> · Back</span></a></p>
{{with .Other}}<p><a href="{{.}}">在认证方退出，换一个账户<span lang="en"> · Sign out at the provider, to use another account</span></a></p>
{{end}}</main>
</body>
</html>
`))
