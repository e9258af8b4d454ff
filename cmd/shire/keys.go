package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/seal"
	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// fileKeys keeps the keys among the generated secrets of the data directory, so that they come into its backups with them. Their
// names are sealing.<number in order>.<cipher>.
type fileKeys struct {
	dir    string
	cipher seal.Cipher // of the first key
}

var _ seal.Source = fileKeys{}

const sealingSecret = "sealing."

// Keys implements [seal.Source].
func (f fileKeys) Keys() ([]seal.Key, error) {
	keys, _, err := f.read()
	if err == nil && len(keys) == 0 {
		_, err = f.Add(f.cipher)
		if err == nil {
			keys, _, err = f.read()
		}
	}
	return keys, err
}

// Add implements [seal.Source].
func (f fileKeys) Add(c seal.Cipher) (seal.Key, error) {
	_, last, err := f.read()
	if err != nil {
		return seal.Key{}, err
	}
	name := fmt.Sprintf("%s%d.%s", sealingSecret, last+1, c)
	secrets, err := embedded.LoadOrCreateSecrets(f.dir, name)
	if err != nil {
		return seal.Key{}, err
	}
	return sealingKey(c, secrets[name])
}

// Drop implements [seal.Source].
func (f fileKeys) Drop(id uint32) error {
	all, err := f.all()
	if err != nil {
		return err
	}
	for _, k := range all {
		if k.ID == id {
			return embedded.RemoveSecrets(f.dir, k.name)
		}
	}
	return fmt.Errorf("the secrets of %s hold no key %s", f.dir, seal.Name(id))
}

// read gives the keys, the newest first, and the newest's number in order.
func (f fileKeys) read() (keys []seal.Key, last int, err error) {
	all, err := f.all()
	for _, k := range all {
		keys, last = append(keys, k.Key), max(last, k.order)
	}
	return keys, last, err
}

// fileKey is a key as it is kept.
type fileKey struct {
	name  string
	order int
	seal.Key
}

// all are the keys, the newest first.
func (f fileKeys) all() (all []fileKey, err error) {
	secrets, err := embedded.ReadSecrets(f.dir)
	if err != nil {
		return nil, err
	}
	for name, value := range secrets {
		rest, ours := strings.CutPrefix(name, sealingSecret)
		if !ours {
			continue
		}
		order, cipher, _ := strings.Cut(rest, ".")
		n, err := strconv.Atoi(order)
		if err != nil {
			return nil, inputf("the secrets of %s hold %s, which is no name of a key; its name is like %s1.%s", f.dir, name, sealingSecret, seal.AES256GCM)
		}
		key, err := sealingKey(seal.Cipher(cipher), value)
		if err != nil {
			return nil, inputf("the key %s in the secrets of %s: %v", name, f.dir, err)
		}
		all = append(all, fileKey{name, n, key})
	}
	slices.SortFunc(all, func(a, b fileKey) int { return cmp.Compare(b.order, a.order) })
	return all, nil
}

func sealingKey(c seal.Cipher, value string) (seal.Key, error) {
	if c != seal.AES256GCM && c != seal.SM4GCM {
		return seal.Key{}, fmt.Errorf("there is no cipher %q", string(c))
	}
	random, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || len(random) != 32 { // its own words could quote the key
		return seal.Key{}, errors.New("it is not 32 bytes in base64url; put it back from a backup")
	}
	return seal.NewKey(c, [32]byte(random)), nil
}

func (a *app) keySource(s *setup) seal.Source {
	return fileKeys{dir: a.data, cipher: seal.Cipher(s.config.Sharing.Cipher)}
}

// keyring reads the keys. Another cipher in county.yaml than the newest key's asks for a new one.
func (a *app) keyring(s *setup) (*seal.Keyring, error) {
	return seal.Ring(a.keySource(s), seal.Cipher(s.config.Sharing.Cipher))
}

// sealer makes the sealer of the newest key.
func (a *app) sealer(s *setup, e *engines) (*warehouse.Sealer, error) {
	ring, err := a.keyring(s)
	if err != nil {
		return nil, err
	}
	hasher, err := pseudonym.New(e.key)
	if err != nil {
		return nil, inputf("%v", err)
	}
	return warehouse.NewSealer(ring, hasher), nil
}

// sealedEvery is how often it is looked whether there is another key.
const sealedEvery = 5 * time.Second

// keeper keeps what a running node writes sealed with the newest key.
func (n *node) keeper(source seal.Source) (*seal.Keeper, error) {
	hasher, err := pseudonym.New(n.engines.key)
	if err != nil {
		return nil, inputf("%v", err)
	}
	places := []seal.Place{warehouse.NewRestricted(n.warehouse, hasher, func(ctx context.Context) error {
		last, err := n.bus.LastSequence(ctx)
		if err != nil {
			return err
		}
		return n.flow.Drain(ctx, last)
	})}
	if n.sharing != nil {
		places = append(places, n.sharing.store)
	}
	return seal.NewKeeper(source, seal.Cipher(n.config.Sharing.Cipher), places...), nil
}

// keeperAtRest keeps what nobody writes; close is to be called when it is not needed any more.
func (a *app) keeperAtRest(ctx context.Context, s *setup, e *engines) (k *seal.Keeper, close func(), err error) {
	source, cipher := a.keySource(s), seal.Cipher(s.config.Sharing.Cipher)
	hasher, err := pseudonym.New(e.key)
	if err != nil {
		return nil, nil, inputf("%v", err)
	}
	if err := warehouse.Migrate(ctx, e.loader); err != nil {
		return nil, nil, reachable(err, e.loader.Native)
	}
	conn, err := warehouse.Open(e.loader)
	if err != nil {
		return nil, nil, err
	}
	places, closers := []seal.Place{warehouse.NewRestrictedAtRest(conn, hasher)}, []io.Closer{conn}
	close = func() {
		for _, c := range closers {
			if err := c.Close(); err != nil {
				a.log.Warn("what was looked at for its keys was not closed cleanly", "error", err)
			}
		}
	}
	if servedAtRest(a.data) {
		ring, err := a.keyring(s)
		if err != nil {
			close()
			return nil, nil, err
		}
		store, err := serving.Open(servedRecords(a.data), serving.Options{Keys: ring})
		if err != nil {
			close()
			return nil, nil, err
		}
		places, closers = append(places, store), append(closers, store)
	}
	return seal.NewKeeper(source, cipher, places...), close, nil
}
