package callers

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Bounds of an issuer's keys.
const (
	mostKeySet   = 256 << 10        // bytes
	mostKeys     = 32               // of a set
	leastRSA     = 2048             // bits
	keysFresh    = 10 * time.Minute // then they are fetched anew
	keysUsable   = 24 * time.Hour   // how long those that were fetched do while the issuer is away
	keysPause    = 30 * time.Second // at least between two fetches, whatever kid tokens name
	fetchTimeout = 5 * time.Second
)

// keySet is an issuer's keys (JWKS), fetched when they are needed.
type keySet struct {
	from   string
	client *http.Client
	now    func() time.Time

	fetching sync.Mutex // held by who fetches; the others go on with what there is

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched time.Time // when the keys came
	tried   time.Time // when they were last asked for
	failed  error     // why they did not come then
}

func newKeySet(from string, client *http.Client, now func() time.Time) (*keySet, error) {
	if client == nil {
		client = &http.Client{}
	}
	own := *client
	own.Timeout = fetchTimeout
	own.CheckRedirect = func(*http.Request, []*http.Request) error {
		return errors.New("the address of the issuer's keys leads elsewhere; write that address into county.yaml if it is right")
	}
	s := &keySet{from: from, client: &own, now: now}
	if strings.HasPrefix(from, "file:") {
		// A file that is not there is told at the start; an issuer that is away then may come back.
		if err := s.refresh(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// find lists the keys that a token of a kid and an algorithm may be signed with.
func (s *keySet) find(kid, algorithm string) ([]jose.JSONWebKey, error) {
	found, stale, unusable := s.look(kid, algorithm)
	if len(found) > 0 && !stale {
		return found, nil
	}
	// Somebody who makes up kids must not have the issuer asked each time.
	if s.mayFetch() {
		s.fetching.Lock()
		var err error
		if s.mayFetch() { // nobody has meanwhile
			err = s.refresh()
		}
		s.fetching.Unlock()
		found, _, unusable = s.look(kid, algorithm)
		if err != nil && unusable {
			return nil, err
		}
	}
	if unusable {
		s.mu.Lock()
		defer s.mu.Unlock()
		return nil, errors.Join(fmt.Errorf("the keys at %s are not there", s.from), s.failed)
	}
	return found, nil
}

func (s *keySet) mayFetch() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tried.IsZero() || s.now().Sub(s.tried).Abs() >= keysPause
}

// look finds keys among those that there are. unusable says that there are none, or that they are too old.
func (s *keySet) look(kid, algorithm string) (found []jose.JSONWebKey, stale, unusable bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	age := s.now().Sub(s.fetched).Abs()
	if s.fetched.IsZero() || age > keysUsable {
		return nil, true, true
	}
	for _, k := range s.keys {
		if k.KeyID == kid && fits(k, algorithm) {
			found = append(found, k)
		}
	}
	return found, age > keysFresh, false
}

// fits tells whether a key is for an algorithm. A key of one kind never does for another: a public key is no secret of an HMAC.
func fits(k jose.JSONWebKey, algorithm string) bool {
	if k.Algorithm != "" && k.Algorithm != algorithm {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")
	case *ecdsa.PublicKey:
		return algorithm == map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[key.Curve.Params().BitSize]
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	}
	return false
}

func (s *keySet) refresh() error {
	data, err := s.read()
	var keys []jose.JSONWebKey
	if err == nil {
		keys, err = parseKeySet(data)
	}
	if err != nil {
		err = fmt.Errorf("the keys of an issuer cannot be read from %s: %w", s.from, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried, s.failed = s.now(), err
	if err == nil {
		s.keys, s.fetched = keys, s.tried
	}
	return err
}

func (s *keySet) read() ([]byte, error) {
	if path, isFile := strings.CutPrefix(s.from, "file:"); isFile {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		return readSmall(file)
	}
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout) // of all who wait, not of one caller who may go away
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.from, nil)
	if err != nil {
		return nil, err
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %s", answer.Status)
	}
	return readSmall(answer.Body)
}

func readSmall(from io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(from, mostKeySet+1))
	if err == nil && len(data) > mostKeySet {
		err = fmt.Errorf("there are more than %d bytes", mostKeySet)
	}
	return data, err
}

// parseKeySet reads a JWKS (RFC 7517). Keys for other uses, and of kinds that are not taken, are passed over.
func parseKeySet(data []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(data, &set) != nil {
		return nil, errors.New("it is no JWKS")
	}
	if len(set.Keys) > mostKeys {
		return nil, fmt.Errorf("there are more than %d keys", mostKeys)
	}
	var keys []jose.JSONWebKey
	for _, text := range set.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(text) != nil || !k.Valid() || k.Use != "" && k.Use != "sig" {
			continue
		}
		switch key := k.Key.(type) {
		case *rsa.PublicKey:
			if key.N.BitLen() < leastRSA {
				continue
			}
		case *ecdsa.PublicKey, ed25519.PublicKey:
		default:
			continue // a private or a symmetric key has no place here
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("it holds no key that signatures can be proven with (RSA of 2048 bits and more, EC, Ed25519)")
	}
	return keys, nil
}
