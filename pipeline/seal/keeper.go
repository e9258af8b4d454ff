package seal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Keys are changed by making another one: what is written from then on is sealed with it, and what older keys have sealed is sealed
// anew by and by. What has an older key is found again by the number in it, so that nothing has to be remembered of the work.
//
// # How it fails
//
//   - The process is killed: what was sealed anew stays so, the rest is found when it is started again.
//   - A key is lost: what it has sealed is counted and left as it is, and it says so; the rest goes on.
//   - A key is dropped while something is on its way that is sealed with it: it is not, see Keeper.Drop.

// Source is where the keys come from: the data directory, or a KMS in its place.
type Source interface {
	// Keys are all keys, the newest first. There is always one.
	Keys() ([]Key, error)
	// Add makes a key, which is the newest from then on.
	Add(Cipher) (Key, error)
	// Drop takes a key away for good.
	Drop(id uint32) error
}

// Use is how many values of a place a key has sealed.
type Use struct {
	Place  string
	Key    uint32 // 0: values that are not sealed
	Values uint64
}

// Place is where sealed values lie.
type Place interface {
	// Seal has what is written from now on sealed with the keyring's current key.
	Seal(*Keyring)
	// Settle waits until nothing that an earlier keyring has sealed is on its way, or would be back after a power failure.
	Settle(context.Context) error
	// Uses counts the values by their keys.
	Uses(context.Context) ([]Use, error)
	// Reseal seals with the current key of the keyring what is not, and returns how many values that were. A [*LostKeyError]
	// says which ones it could not, once all others are done.
	Reseal(context.Context, *Keyring) (uint64, error)
}

// LostKeyError says that values cannot be sealed anew.
type LostKeyError struct {
	Place  string
	Key    uint32
	Values uint64
	Remedy string
}

func (e *LostKeyError) Error() string {
	return fmt.Sprintf("%d values of %s are sealed with key %08x, which is not in the keyring: %s", e.Values, e.Place, e.Key, e.Remedy)
}

// State is a key as it stands.
type State struct {
	Key    string            `json:"key"` // its number in hexadecimal digits; empty: not sealed
	Cipher Cipher            `json:"cipher,omitempty"`
	Newest bool              `json:"newest,omitempty"`
	Known  bool              `json:"known"` // it is in the keyring, or none is needed
	Values map[string]uint64 `json:"rows"`  // by place; older versions that are not merged away included
}

// Total is how many values the key has sealed.
func (s *State) Total() (n uint64) {
	for _, values := range s.Values {
		n += values
	}
	return n
}

// Name is how a key is called: its number in hexadecimal digits.
func Name(id uint32) string { return fmt.Sprintf("%08x", id) }

// Keeper keeps places sealed with the newest key. It may be used by several goroutines: they wait for each other.
type Keeper struct {
	source Source
	cipher Cipher // of keys that are made
	places []Place

	mu      sync.Mutex
	current uint32 // what the places were told to seal with; 0 before they were
}

// NewKeeper makes one. The places are told the keys when they are first needed.
func NewKeeper(source Source, cipher Cipher, places ...Place) *Keeper {
	return &Keeper{source: source, cipher: cipher, places: places}
}

// Ring reads the keyring. Where the newest key is for another cipher than the configured one, it makes a key first.
func Ring(source Source, cipher Cipher) (*Keyring, error) {
	keys, err := source.Keys()
	if err != nil {
		return nil, err
	}
	if keys[0].Cipher != cipher {
		if _, err := source.Add(cipher); err != nil {
			return nil, err
		}
		if keys, err = source.Keys(); err != nil {
			return nil, err
		}
	}
	ring, err := NewKeyring(keys...)
	if err != nil {
		return nil, fmt.Errorf("the keys that seal personal values: %w", err)
	}
	return ring, nil
}

// take has the places seal with the newest key.
func (k *Keeper) take() (*Keyring, error) {
	ring, err := Ring(k.source, k.cipher)
	if err != nil || ring.Current() == k.current {
		return ring, err
	}
	for _, p := range k.places {
		p.Seal(ring)
	}
	k.current = ring.Current()
	return ring, nil
}

// Reseal seals with the newest key what is not sealed with it, and returns that key and how many values it sealed.
func (k *Keeper) Reseal(ctx context.Context) (key uint32, total uint64, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	ring, err := k.take()
	if err != nil {
		return 0, 0, err
	}
	var failed []error
	for _, p := range k.places { // one that does not answer holds up no other
		n, err := p.Reseal(ctx, ring)
		total += n
		failed = append(failed, err)
	}
	return ring.Current(), total, errors.Join(failed...)
}

// States are the keys, the newest first, and behind them those that are needed and not there.
func (k *Keeper) States(ctx context.Context) ([]State, error) {
	keys, err := k.source.Keys()
	if err != nil {
		return nil, err
	}
	var states []State
	at := map[uint32]int{}
	for i, key := range keys {
		at[key.ID] = i
		states = append(states, State{Key: Name(key.ID), Cipher: key.Cipher, Newest: i == 0, Known: true, Values: map[string]uint64{}})
	}
	for _, p := range k.places {
		uses, err := p.Uses(ctx)
		if err != nil {
			return nil, err
		}
		for _, u := range uses {
			i, known := at[u.Key]
			if !known {
				i = len(states)
				at[u.Key] = i
				s := State{Key: Name(u.Key), Values: map[string]uint64{}}
				if u.Key == 0 {
					s.Key, s.Known = "", true
				}
				states = append(states, s)
			}
			states[i].Values[u.Place] += u.Values
		}
	}
	return states, nil
}

// Drop takes a key away for good, once nothing is sealed with it any more; else it says what is.
func (k *Keeper) Drop(ctx context.Context, name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	// What is written from here on is sealed with the newest key, and what was on its way has arrived when it is counted: so the
	// count of an older key can only fall.
	ring, err := k.take()
	if err != nil {
		return err
	}
	for _, p := range k.places {
		if err := p.Settle(ctx); err != nil {
			return fmt.Errorf("key %s was not dropped, because what is on its way may be sealed with it: %w", name, err)
		}
	}
	states, err := k.States(ctx)
	if err != nil {
		return fmt.Errorf("key %s was not dropped, because what is sealed with it cannot be counted: %w", name, err)
	}
	i := slices.IndexFunc(states, func(s State) bool { return s.Cipher != "" && s.Key == name })
	switch {
	case i < 0:
		return fmt.Errorf("there is no key %q; shire keys status lists them", name)
	case name == Name(ring.Current()):
		return fmt.Errorf("key %s seals what is written; make another one first: shire keys rotate", name)
	case states[i].Total() > 0:
		return fmt.Errorf("key %s was not dropped: %d values are sealed with it still; shire keys reseal seals them with the newest key", name, states[i].Total())
	}
	id, err := strconv.ParseUint(name, 16, 32)
	if err != nil {
		return fmt.Errorf("%q is no name of a key: %w", name, err)
	}
	return k.source.Drop(uint32(id))
}

// Keep seals what is not sealed with the newest key, now and, looking each time that every has passed, whenever there is another
// one, until ctx ends. What fails is tried again, at longer and longer intervals.
func (k *Keeper) Keep(ctx context.Context, every time.Duration, log *slog.Logger) error {
	const longest = time.Minute
	done, said := uint32(0), ""
	for pause := every; ; {
		var values uint64
		key, err := k.newest()
		if err == nil && key != done {
			key, values, err = k.Reseal(ctx)
			if values > 0 {
				log.Info("personal values were sealed anew", "values", values, "key", Name(key))
			}
			if onlyLost(err) {
				done = key // nothing is mended by trying again
			}
		}
		if pause *= 2; err == nil {
			pause = every
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && err.Error() != said {
			said = err.Error()
			log.Error("not all personal values are sealed with the newest key", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(min(pause, max(every, longest))):
		}
	}
}

// newest is the key with which everything is to be sealed.
func (k *Keeper) newest() (uint32, error) {
	ring, err := Ring(k.source, k.cipher)
	if err != nil {
		return 0, err
	}
	return ring.Current(), nil
}

// onlyLost tells whether an error says nothing but that keys are lost.
func onlyLost(err error) bool {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(all.Unwrap(), func(err error) bool { return !onlyLost(err) })
	}
	lost := (*LostKeyError)(nil)
	return err == nil || errors.As(err, &lost)
}
