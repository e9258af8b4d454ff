package portal

import (
	"cmp"
	"context"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"
)

// Accounts are the people who may go through a door.
type Accounts interface {
	// Check tells whether the password is that of an account. It takes as long for a name that nobody has.
	Check(name, password string) (bool, error)
	// Since is when an account was added; the zero time when there is none of that name, or not any more. A session lasts
	// while this stays as it was.
	Since(name string) (time.Time, error)
}

// Credentials are what somebody signs in with.
type Credentials struct {
	Name     string `json:"name"`
	Password string `json:"password"`
}

// Session is who has signed in.
type Session struct {
	Name      string    `json:"name"`
	ExpiresAt time.Time `json:"expires_at" jsonschema:"description=At the latest; earlier when nothing is opened or decided for 30 minutes"`
	SignOut   string    `json:"sign_out,omitempty" jsonschema:"description=Where the provider that let them in ends its own session; to be opened once this one has ended"`
}

// door lets named people in to one thing. Whoever went through one has not gone through another: each has accounts, a cookie
// and a header of its own.
type door struct {
	to       string // for the log: what is behind it
	accounts Accounts
	cookie   string
	path     string // where browsers send the cookie
	header   string // has to be on every request that changes something; see fromOwnPage
	session  string // address of it in the API
	page     string // of the portal, from where people sign in
	right    string // that people need whom the OpenID Connect provider signs in
	closed   sentence
	unknown  sentence // it cannot be told who may

	sessions *sessions
	tries    *tries
	log      *slog.Logger
	signOn   *signOn // nil when there is no provider
}

// sentence is what people are told, in both languages.
type sentence struct{ en, zh string }

func (p *Portal) door(d door) *door {
	d.sessions, d.tries, d.log, d.signOn = newSessions(p.o.now), newTries(p.o.now), p.log, p.signOn
	return &d
}

// signedIn lets people through who have signed in and have not been removed since.
func (d *door) signedIn(use activity, next func(w http.ResponseWriter, r *http.Request, name string)) http.HandlerFunc {
	return d.admitted(use, func(w http.ResponseWriter, r *http.Request, s session) { next(w, r, s.name) })
}

// admitted is signedIn for whoever needs more of a session than the name.
func (d *door) admitted(use activity, next func(w http.ResponseWriter, r *http.Request, s session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s, ok, err := d.who(r, use)
		switch {
		case err != nil:
			d.cannotTell(w, r, err)
		case !ok:
			problem(http.StatusUnauthorized, codeSignedOut, d.closed.en).zh(d.closed.zh).write(w)
		default:
			next(w, r, s)
		}
	}
}

// who is whoever has signed in; false when nobody has.
func (d *door) who(r *http.Request, use activity) (session, bool, error) {
	token := d.tokenOf(r)
	s, ok := d.sessions.find(token, use)
	if !ok {
		return session{}, false, nil
	}
	if s.provided {
		return s, true, nil
	}
	since, err := d.accounts.Since(s.name)
	if err != nil {
		return session{}, false, err
	}
	if since.IsZero() || !since.Equal(s.since) {
		d.sessions.end(token)
		return session{}, false, nil
	}
	return s, true, nil
}

// session answers who has signed in.
func (d *door) whoIsIn(w http.ResponseWriter, r *http.Request, _ string) {
	s, _ := d.sessions.find(d.tokenOf(r), passive)
	said := s.reply()
	if s.provided {
		said.SignOut = d.signOn.provider.SignOut()
	}
	replyPrivately(w, said)
}

func (d *door) signIn(w http.ResponseWriter, r *http.Request) {
	var c Credentials
	if !readJSON(w, r, &c) {
		return
	}
	name, from := tryOf("name", c.Name, freeByName), tryOf("address", networkOf(r.RemoteAddr), freeByAddress)
	if wait := d.tries.begin(name, from); wait > 0 {
		seconds := strconv.Itoa(int(math.Ceil(wait.Seconds())))
		w.Header().Set("Retry-After", seconds)
		problem(http.StatusTooManyRequests, codeTooManyTries, "Too many failed tries. Try again in "+seconds+" s.").
			zh("失败次数过多，请在 " + seconds + " 秒后再试。").write(w)
		return
	}
	right, since, err := d.checkPassword(r.Context(), c)
	if err != nil {
		d.cannotTell(w, r, err)
		return
	}
	if !right {
		d.log.Warn("somebody tried to sign in and could not", "to", d.to) // the name that was tried may be anything (I7)
		problem(http.StatusUnauthorized, codeWrongPassword, "The name or the password is wrong.").zh("姓名或密码不对。").write(w)
		return
	}
	d.tries.succeeded(name, from)
	if old := d.tokenOf(r); old != "" {
		d.sessions.end(old)
	}
	token, s := d.sessions.begin(c.Name, since)
	d.setToken(w, r, token, int(sessionLength.Seconds()))
	replyPrivately(w, s.reply())
}

// checkPassword checks one password at a time: a hash that is slow on purpose must not take the machine from everybody
// else when somebody floods the door.
func (d *door) checkPassword(ctx context.Context, c Credentials) (right bool, since time.Time, err error) {
	d.tries.turn.Lock()
	defer d.tries.turn.Unlock()
	if err := ctx.Err(); err != nil {
		return false, since, err
	}
	// The time of adding before the check: who is removed and added meanwhile has another password.
	if since, err = d.accounts.Since(c.Name); err != nil {
		return false, since, err
	}
	right, err = d.accounts.Check(c.Name, c.Password)
	return right && !since.IsZero(), since, err
}

func (d *door) signOut(w http.ResponseWriter, r *http.Request) {
	d.sessions.end(d.tokenOf(r))
	d.setToken(w, r, "", -1)
	w.WriteHeader(http.StatusNoContent)
}

// cannotTell answers when it cannot be told who may go through.
func (d *door) cannotTell(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // the client went away
	}
	d.log.Error("it cannot be told who may sign in", "to", d.to, "route", routeOf(r), "error", err)
	problem(http.StatusServiceUnavailable, codeUnavailable, d.unknown.en).zh(d.unknown.zh).write(w)
}

func (d *door) tokenOf(r *http.Request) string {
	cookie, err := r.Cookie(d.cookie)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// setToken hands the session to the browser: to no script, to no other site, and over no wire that others can read. On
// this machine there is no wire, and a browser would refuse Secure.
func (d *door) setToken(w http.ResponseWriter, r *http.Request, token string, seconds int) {
	http.SetCookie(w, &http.Cookie{
		Name: d.cookie, Value: token, Path: d.path, MaxAge: seconds,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil || !isLoopback(hostName(r.Host)),
	})
}

// networkOf is from where somebody tries: an address, or with IPv6 the network that one subscriber has.
func networkOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	address, parsed := netip.ParseAddr(cmp.Or(host, remote))
	if err != nil || parsed != nil {
		return remote
	}
	address = address.Unmap().WithZone("")
	if address.Is4() {
		return address.String()
	}
	network, _ := address.Prefix(64) // the length is valid
	return network.String()
}
