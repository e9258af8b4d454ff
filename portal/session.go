package portal

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// Credentials are what a reviewer signs in with.
type Credentials struct {
	Name     string `json:"name"`
	Password string `json:"password"`
}

// Session is who has signed in.
type Session struct {
	Name      string    `json:"name"`
	ExpiresAt time.Time `json:"expires_at" jsonschema:"description=At the latest; earlier when nothing is opened or decided for 30 minutes"`
}

const (
	reviewCookie = "shire_review"
	reviewPath   = "/api/v1/review"

	sessionLength = 8 * time.Hour // a working day
	sessionIdle   = 30 * time.Minute
	mostSessions  = 256 // I10
)

// sessions are the reviewers who have signed in. They are in memory alone: a restart signs everybody out. Tokens are kept
// as hashes, so that a dump of the memory opens no session.
type sessions struct {
	now func() time.Time

	mu   sync.Mutex
	open map[[sha256.Size]byte]session
}

type session struct {
	reviewer    string
	since       time.Time // when the reviewer was added
	began, used time.Time
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, open: map[[sha256.Size]byte]session{}}
}

func (s session) over(now time.Time) bool {
	return now.Sub(s.began) >= sessionLength || now.Sub(s.used) >= sessionIdle
}

// begin opens a session and returns its token.
func (s *sessions) begin(reviewer string, since time.Time) (token string, opened session) {
	var secret [32]byte
	rand.Read(secret[:]) // never fails: crypto/rand ends the program rather
	token = base64.RawURLEncoding.EncodeToString(secret[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	var longest [sha256.Size]byte
	for key, other := range s.open {
		if other.over(now) {
			delete(s.open, key)
		} else if of, ok := s.open[longest]; !ok || other.used.Before(of.used) {
			longest = key
		}
	}
	if len(s.open) >= mostSessions {
		delete(s.open, longest) // the one that has been idle for longest
	}
	opened = session{reviewer, since, now, now}
	s.open[sha256.Sum256([]byte(token))] = opened
	return token, opened
}

// find returns the session of a token; use says that the reviewer does something, which keeps the session open.
func (s *sessions) find(token string, use activity) (session, bool) {
	key := sha256.Sum256([]byte(token))
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.open[key]
	if !ok || found.over(s.now()) {
		delete(s.open, key)
		return session{}, false
	}
	if use == active {
		found.used = s.now()
		s.open[key] = found
	}
	return found, true
}

func (s *sessions) end(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, sha256.Sum256([]byte(token)))
}

// activity tells what a request says of the reviewer: a page left open goes on asking for the queue by itself.
type activity bool

const (
	passive activity = false
	active  activity = true
)

// signedIn lets reviewers through who have signed in and have not been removed since.
func (p *Portal) signedIn(use activity, next func(w http.ResponseWriter, r *http.Request, reviewer string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token := tokenOf(r)
		s, ok := p.sessions.find(token, use)
		if ok {
			since, err := p.o.Reviewers.Since(s.reviewer)
			if err != nil {
				p.noReviewers(w, r, err)
				return
			}
			if ok = !since.IsZero() && since.Equal(s.since); !ok {
				p.sessions.end(token)
			}
		}
		if !ok {
			problem(http.StatusUnauthorized, codeSignedOut, "Sign in first: the review is open to named reviewers alone.").
				zh("请先登录：身份核对只对具名的核对员开放。").write(w)
			return
		}
		next(w, r, s.reviewer)
	}
}

func (p *Portal) session(w http.ResponseWriter, r *http.Request, _ string) {
	s, _ := p.sessions.find(tokenOf(r), passive)
	replyPrivately(w, s.reply())
}

func (s session) reply() Session {
	return Session{Name: s.reviewer, ExpiresAt: s.began.Add(sessionLength).UTC().Truncate(time.Second)}
}

func (p *Portal) signIn(w http.ResponseWriter, r *http.Request) {
	var c Credentials
	if !readJSON(w, r, &c) {
		return
	}
	name, from := tryOf("name", c.Name, freeByName), tryOf("address", networkOf(r.RemoteAddr), freeByAddress)
	if wait := p.tries.begin(name, from); wait > 0 {
		seconds := strconv.Itoa(int(math.Ceil(wait.Seconds())))
		w.Header().Set("Retry-After", seconds)
		problem(http.StatusTooManyRequests, codeTooManyTries, "Too many failed tries. Try again in "+seconds+" s.").
			zh("失败次数过多，请在 " + seconds + " 秒后再试。").write(w)
		return
	}
	right, since, err := p.checkPassword(r.Context(), c)
	if err != nil {
		p.noReviewers(w, r, err)
		return
	}
	if !right {
		p.log.Warn("somebody tried to sign in to the review and could not") // the name that was tried may be anything (I7)
		problem(http.StatusUnauthorized, codeWrongPassword, "The name or the password is wrong.").zh("姓名或密码不对。").write(w)
		return
	}
	p.tries.succeeded(name, from)
	if old := tokenOf(r); old != "" {
		p.sessions.end(old)
	}
	token, s := p.sessions.begin(c.Name, since)
	setToken(w, r, token, int(sessionLength.Seconds()))
	replyPrivately(w, s.reply())
}

// checkPassword checks one password at a time: a hash that is slow on purpose must not take the machine from everybody
// else when somebody floods the door.
func (p *Portal) checkPassword(ctx context.Context, c Credentials) (right bool, since time.Time, err error) {
	p.tries.turn.Lock()
	defer p.tries.turn.Unlock()
	if err := ctx.Err(); err != nil {
		return false, since, err
	}
	// The time of adding before the check: a reviewer who is removed and added meanwhile has another password.
	if since, err = p.o.Reviewers.Since(c.Name); err != nil {
		return false, since, err
	}
	right, err = p.o.Reviewers.Check(c.Name, c.Password)
	return right && !since.IsZero(), since, err
}

func (p *Portal) signOut(w http.ResponseWriter, r *http.Request) {
	p.sessions.end(tokenOf(r))
	setToken(w, r, "", -1)
	w.WriteHeader(http.StatusNoContent)
}

// noReviewers answers when it cannot be told who may review.
func (p *Portal) noReviewers(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // the client went away
	}
	p.log.Error("the file of reviewers cannot be read", "route", routeOf(r), "error", err)
	problem(http.StatusServiceUnavailable, codeUnavailable, "It cannot be told who may review: the file of reviewers cannot be read. The log of the node says why.").
		zh("读不到核对员名单，无法确认身份。节点日志中有原因。").write(w)
}

func tokenOf(r *http.Request) string {
	cookie, err := r.Cookie(reviewCookie)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// setToken hands the session to the browser: to no script, to no other site, and over no wire that others can read. On
// this machine there is no wire, and a browser would refuse Secure.
func setToken(w http.ResponseWriter, r *http.Request, token string, seconds int) {
	http.SetCookie(w, &http.Cookie{
		Name: reviewCookie, Value: token, Path: reviewPath, MaxAge: seconds,
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
