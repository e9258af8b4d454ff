package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/seal"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// keySource is where the keys come from that seal personal values: the data directory, or a KMS in its place.
type keySource interface {
	// Keys are all keys, the newest first. There is always one.
	Keys() ([]seal.Key, error)
	// Add makes a key, which is the newest from then on.
	Add(seal.Cipher) (seal.Key, error)
}

// fileKeys keeps the keys among the generated secrets of the data directory, so that they come into its backups with them. Their
// names are sealing.<number in order>.<cipher>.
type fileKeys struct {
	dir    string
	cipher seal.Cipher // of the first key
}

var _ keySource = fileKeys{}

const sealingSecret = "sealing."

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

// read gives the keys, the newest first, and the newest's number in order.
func (f fileKeys) read() (keys []seal.Key, last int, err error) {
	secrets, err := embedded.ReadSecrets(f.dir)
	if err != nil {
		return nil, 0, err
	}
	type numbered struct {
		n int
		seal.Key
	}
	var all []numbered
	for name, value := range secrets {
		rest, ours := strings.CutPrefix(name, sealingSecret)
		if !ours {
			continue
		}
		order, cipher, _ := strings.Cut(rest, ".")
		n, err := strconv.Atoi(order)
		if err != nil {
			return nil, 0, inputf("the secrets of %s hold %s, which is no name of a key; its name is like %s1.%s", f.dir, name, sealingSecret, seal.AES256GCM)
		}
		key, err := sealingKey(seal.Cipher(cipher), value)
		if err != nil {
			return nil, 0, inputf("the key %s in the secrets of %s: %v", name, f.dir, err)
		}
		all = append(all, numbered{n, key})
	}
	slices.SortFunc(all, func(a, b numbered) int { return cmp.Compare(b.n, a.n) })
	for _, k := range all {
		keys, last = append(keys, k.Key), max(last, k.n)
	}
	return keys, last, nil
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

func (a *app) keySource(s *setup) keySource {
	return fileKeys{dir: a.data, cipher: seal.Cipher(s.config.Sharing.Cipher)}
}

// sealer makes the sealer of the newest key. Another cipher in county.yaml than the newest key's asks for a new one.
func (a *app) sealer(s *setup, e *engines) (*warehouse.Sealer, error) {
	source := a.keySource(s)
	keys, err := source.Keys()
	if err != nil {
		return nil, err
	}
	if want := seal.Cipher(s.config.Sharing.Cipher); keys[0].Cipher != want {
		if _, err := source.Add(want); err != nil {
			return nil, err
		}
		if keys, err = source.Keys(); err != nil {
			return nil, err
		}
	}
	ring, err := seal.NewKeyring(keys...)
	if err != nil {
		return nil, inputf("the keys that seal personal values: %v", err)
	}
	hasher, err := pseudonym.New(e.key)
	if err != nil {
		return nil, inputf("%v", err)
	}
	return warehouse.NewSealer(ring, hasher), nil
}

// sealedEvery is how often it is looked whether there is another key.
const sealedEvery = 5 * time.Second

// keepSealed seals what is not sealed with the newest key, now and whenever there is another one, until ctx ends.
func (n *node) keepSealed(ctx context.Context, newest func() (*warehouse.Sealer, error)) error {
	done, said := uint32(0), ""
	for {
		s, err := newest()
		if err == nil && s.Current() != done {
			n.warehouse.Seal(s)
			var rows uint64
			rows, err = warehouse.Reseal(ctx, n.warehouse.Conn(), s, nil)
			if rows > 0 {
				n.log.Info("personal values were sealed anew", "rows", rows, "key", fmt.Sprintf("%08x", s.Current()))
			}
			if lost := (&warehouse.LostKeyError{}); err == nil || errors.As(err, &lost) {
				done = s.Current() // nothing is mended by trying again
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && err.Error() != said {
			said = err.Error()
			n.log.Error("not all personal values are sealed with the newest key", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(sealedEvery):
		}
	}
}

func (a *app) keysCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "The keys that personal values are sealed with", RunE: group}
	cmd.AddCommand(
		&cobra.Command{
			Use: "status", Short: "Show the keys, and how many rows each has sealed", Args: exactly(0, "no arguments"),
			RunE: func(cmd *cobra.Command, _ []string) error { return a.withWarehouse(cmd.Context(), a.keysStatus) },
		},
		&cobra.Command{
			Use: "rotate", Short: "Make a new key, with which rows are sealed from now on", Args: exactly(0, "no arguments"),
			Long: "Make a new key. A running platform takes it up within seconds and seals the older rows anew; without one, the next does, or\n" +
				"shire keys reseal. The older keys stay: what is in backups is sealed with them.",
			RunE: func(*cobra.Command, []string) error {
				s, err := a.readSetup()
				if err != nil {
					return err
				}
				source := a.keySource(s)
				if _, err := source.Keys(); err != nil { // so that there is a first one to leave
					return err
				}
				key, err := source.Add(seal.Cipher(s.config.Sharing.Cipher))
				if err != nil {
					return err
				}
				a.result = map[string]string{"key": fmt.Sprintf("%08x", key.ID), "cipher": string(key.Cipher)}
				a.say("Rows are sealed with key %08x (%s) from now on. Keep a new copy of secrets.json, or make a backup with --key-file.", key.ID, key.Cipher)
				return nil
			},
		},
		&cobra.Command{
			Use: "reseal", Short: "Seal anew what older keys have sealed, or nothing has", Args: exactly(0, "no arguments"),
			RunE: func(cmd *cobra.Command, _ []string) error { return a.withWarehouse(cmd.Context(), a.keysReseal) },
		})
	return cmd
}

type keyState struct {
	Key    string            `json:"key"` // empty: not sealed
	Cipher string            `json:"cipher,omitempty"`
	Newest bool              `json:"newest,omitempty"`
	Known  bool              `json:"known"` // it is in the keyring, or none is needed
	Rows   map[string]uint64 `json:"rows"`  // by table
}

func (a *app) keysStatus(ctx context.Context, s *setup, e *engines) error {
	keys, err := a.keySource(s).Keys()
	if err != nil {
		return err
	}
	conn, err := warehouse.Open(e.loader)
	if err != nil {
		return err
	}
	defer conn.Close()
	uses, err := warehouse.KeysInUse(ctx, conn)
	if err != nil {
		return reachable(err, e.loader.Native)
	}
	var states []*keyState
	byID := map[uint32]*keyState{}
	state := func(id uint32) *keyState {
		if byID[id] == nil {
			byID[id] = &keyState{Key: fmt.Sprintf("%08x", id), Rows: map[string]uint64{}}
			states = append(states, byID[id])
		}
		return byID[id]
	}
	for i, k := range keys {
		st := state(k.ID)
		st.Cipher, st.Newest, st.Known = string(k.Cipher), i == 0, true
	}
	for _, u := range uses {
		state(u.Key).Rows[u.Table] += u.Rows
	}
	if none := byID[0]; none != nil {
		none.Key, none.Known = "", true
	}
	a.result = states
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tCIPHER\tROWS\tNOTE")
	for _, st := range states {
		rows := uint64(0)
		for _, n := range st.Rows {
			rows += n
		}
		name, note := st.Key, ""
		switch {
		case st.Key == "":
			name, note = "none", "not sealed yet: shire keys reseal"
		case !st.Known:
			note = "not in the keyring: these rows cannot be opened; bring the key back"
		case st.Newest:
			note = "seals new rows"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", name, cmp.Or(st.Cipher, "-"), rows, note)
	}
	if a.json {
		return nil
	}
	return w.Flush()
}

func (a *app) keysReseal(ctx context.Context, s *setup, e *engines) error {
	sealer, err := a.sealer(s, e)
	if err != nil {
		return err
	}
	if err := warehouse.Migrate(ctx, e.loader); err != nil {
		return reachable(err, e.loader.Native)
	}
	conn, err := warehouse.Open(e.loader)
	if err != nil {
		return err
	}
	defer conn.Close()
	rows, err := warehouse.Reseal(ctx, conn, sealer, nil)
	a.result = map[string]uint64{"rows": rows}
	a.say("%d rows were sealed with key %08x.", rows, sealer.Current())
	return err
}
