package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/seal"
	"github.com/shirecounty/shire/pipeline/serving"
)

// What a running node is asked about its keys: it has the store of records to share open, and knows what is on its way.
const (
	askKeys   = "keys"
	askReseal = "keys.reseal"
	askDrop   = "keys.drop"
)

func (a *app) keysCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "The keys that personal values are sealed with", RunE: group}
	cmd.AddCommand(
		&cobra.Command{
			Use: "status", Aliases: []string{"list"}, Short: "Show the keys, and how many values each has sealed", Args: exactly(0, "no arguments"),
			RunE: func(cmd *cobra.Command, _ []string) error { return a.keysStatus(cmd.Context()) },
		},
		&cobra.Command{
			Use: "rotate", Short: "Make a new key, with which values are sealed from now on", Args: exactly(0, "no arguments"),
			Long: "Make a new key. A running platform takes it up within seconds and seals the older values anew, in the warehouse and among the\n" +
				"records to share; without one, the next does, or shire keys reseal. The older keys stay until they are dropped.",
			RunE: func(*cobra.Command, []string) error { return a.keysRotate() },
		},
		&cobra.Command{
			Use: "reseal", Short: "Seal anew what older keys have sealed, or nothing has", Args: exactly(0, "no arguments"),
			RunE: func(cmd *cobra.Command, _ []string) error { return a.keysReseal(cmd.Context()) },
		},
		&cobra.Command{
			Use: "drop KEY", Short: "Take an older key away for good, once nothing is sealed with it", Args: exactly(1, "the key, as shire keys status names it"),
			Long: "Take an older key away for good. It is refused while a value is sealed with it. Backups that were made while it was in use and\n" +
				"have no secrets of their own (--key-file) can be restored only with a copy of secrets.json from then.",
			RunE: func(cmd *cobra.Command, args []string) error { return a.keysDrop(cmd.Context(), args[0]) },
		})
	return cmd
}

// withKeeper asks the node that runs on the data directory, or does it by itself where none runs.
func (a *app) withKeeper(ctx context.Context, what string, request, result any, do func(context.Context, *seal.Keeper) error) error {
	s, err := a.readSetup()
	if err != nil {
		return err
	}
	e, err := a.start(ctx, s, nil)
	if errors.Is(err, embedded.ErrLocked) {
		return a.ask(ctx, s, what, request, result)
	}
	if err != nil {
		return err
	}
	defer e.stop()
	k, done, err := a.keeperAtRest(ctx, s, e)
	if err != nil {
		return err
	}
	defer done()
	return do(ctx, k)
}

func (a *app) keyStates(ctx context.Context) (states []seal.State, err error) {
	err = a.withKeeper(ctx, askKeys, struct{}{}, &states, func(ctx context.Context, k *seal.Keeper) (err error) {
		states, err = k.States(ctx)
		return err
	})
	return states, err
}

func (a *app) keysStatus(ctx context.Context) error {
	states, err := a.keyStates(ctx)
	if err != nil {
		return err
	}
	a.result = states
	if a.json {
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tCIPHER\tWAREHOUSE\tSHARING\tNOTE")
	for _, st := range states {
		name, note := st.Key, ""
		switch {
		case st.Key == "":
			name, note = "none", "not sealed yet: shire keys reseal"
		case !st.Known:
			note = "not in the keyring: these values cannot be opened; bring the key back"
		case st.Newest:
			note = "seals new values"
		case st.Total() == 0:
			note = "not needed any more, but for backups: shire keys drop " + st.Key
		}
		shared := st.Values[serving.PlaceName]
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\n", name, cmp.Or(string(st.Cipher), "-"), st.Total()-shared, shared, note)
	}
	return w.Flush()
}

func (a *app) keysRotate() error {
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
	a.result = map[string]string{"key": seal.Name(key.ID), "cipher": string(key.Cipher)}
	a.say("Values are sealed with key %s (%s) from now on. Keep a new copy of secrets.json, or make a backup with --key-file.", seal.Name(key.ID), key.Cipher)
	return nil
}

// resealed is what shire keys reseal has done.
type resealed struct {
	Key    string `json:"key"`
	Values uint64 `json:"rows"`
}

func resealWith(ctx context.Context, k *seal.Keeper) (*resealed, error) {
	key, n, err := k.Reseal(ctx)
	return &resealed{seal.Name(key), n}, err
}

func (a *app) keysReseal(ctx context.Context) error {
	r := &resealed{}
	err := a.withKeeper(ctx, askReseal, struct{}{}, r, func(ctx context.Context, k *seal.Keeper) (err error) {
		r, err = resealWith(ctx, k)
		return err
	})
	if err != nil {
		return err
	}
	a.result = r
	a.say("%d values were sealed with key %s.", r.Values, r.Key)
	return nil
}

type dropRequest struct {
	Key string `json:"key"`
}

func (a *app) keysDrop(ctx context.Context, key string) error {
	s, err := a.readSetup()
	if err != nil {
		return err
	}
	keys, err := a.keySource(s).Keys()
	if err != nil {
		return err
	}
	switch i := slices.IndexFunc(keys, func(k seal.Key) bool { return seal.Name(k.ID) == key }); i {
	case -1:
		return inputf("there is no key %q; shire keys status lists them", key)
	case 0:
		return inputf("key %s is the newest, which seals what is written; make another one first: shire keys rotate", key)
	}
	r := dropRequest{key}
	if err := a.withKeeper(ctx, askDrop, r, &r, func(ctx context.Context, k *seal.Keeper) error { return k.Drop(ctx, key) }); err != nil {
		return err
	}
	a.result = r
	a.say("Key %s is gone. Keep the older copies of secrets.json for as long as you keep the backups of their time.", key)
	return nil
}

// answerKeys tells how the keys stand.
func (n *node) answerKeys(ctx context.Context) (any, error) { return n.keys.States(ctx) }

// answerReseal seals anew what is not sealed with the newest key.
func (n *node) answerReseal(ctx context.Context) (any, error) { return resealWith(ctx, n.keys) }

// answerDrop takes a key away.
func (n *node) answerDrop(ctx context.Context, data []byte) (any, error) {
	var r dropRequest
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, err
	}
	if err := n.keys.Drop(ctx, r.Key); err != nil {
		return nil, err
	}
	n.log.Info("a key was dropped: nothing is sealed with it any more", "key", r.Key)
	return r, nil
}
