package portal

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"
)

const (
	sessionLength = 8 * time.Hour // a working day
	sessionIdle   = 30 * time.Minute
	mostSessions  = 256 // I10
)

// sessions are the people who have signed in. They are in memory alone: a restart signs everybody out. Tokens are kept
// as hashes, so that a dump of the memory opens no session.
type sessions struct {
	now func() time.Time

	mu   sync.Mutex
	open map[[sha256.Size]byte]session
}

type session struct {
	name        string
	since       time.Time // when the account was added
	began, used time.Time

	// Of somebody whom the OpenID Connect provider let in. No account file decides about them, whatever names stand there.
	provided   bool
	department string        // that they act for
	length     time.Duration // of the session; 0: sessionLength
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, open: map[[sha256.Size]byte]session{}}
}

func (s session) over(now time.Time) bool {
	return !now.Before(s.end()) || now.Sub(s.used) >= sessionIdle
}

func (s session) end() time.Time { return s.began.Add(cmp.Or(s.length, sessionLength)) }

// begin opens a session of a local account and returns its token.
func (s *sessions) begin(name string, since time.Time) (token string, opened session) {
	return s.enter(session{name: name, since: since})
}

// enter opens a session and returns its token.
func (s *sessions) enter(opened session) (token string, _ session) {
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
	opened.began, opened.used = now, now
	s.open[sha256.Sum256([]byte(token))] = opened
	return token, opened
}

// find returns the session of a token; use says that its owner does something, which keeps the session open.
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

// activity tells what a request says of whoever has signed in: a page left open goes on asking by itself.
type activity bool

const (
	passive activity = false
	active  activity = true
)

func (s session) reply() Session {
	return Session{Name: s.name, ExpiresAt: s.end().UTC().Truncate(time.Second)}
}
