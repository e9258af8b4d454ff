package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/jobs/backup"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

type restoreRequest struct{ from, key, secrets string }

func (a *app) restoreCommand() *cobra.Command {
	var r restoreRequest
	cmd := &cobra.Command{
		Use:   "restore BACKUP",
		Short: "Make a county of a backup, in an empty data directory",
		Long: "Make a county of a backup, in an empty data directory and, where county.yaml names engines elsewhere, in empty ones.\n" +
			"Every part is compared with its hash before anything is changed. A restore that was stopped is begun anew by the\n" +
			"same command; nothing starts on its data directory before.",
		Example: "  shire restore /mnt/backups/330782-20261123T020000.000Z -c county.yaml --data /var/lib/shire --key-file /root/backup.key",
		Args:    exactly(1, "the folder of one backup"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.from = strings.TrimRight(args[0], "/")
			return refused(a.restore(cmd.Context(), r))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&r.key, "key-file", "", "file with the pass phrase that the backup's secrets were encrypted with")
	flags.StringVar(&r.secrets, "secrets", "", "a copy of the lost data directory's secrets.json, where the backup has no secrets")
	return cmd
}

// restored is what a restore did.
type restored struct {
	Backup   string    `json:"backup"`
	Of       time.Time `json:"of"`
	Messages uint64    `json:"messages"`
	Rows     uint64    `json:"rows"`
	Seconds  float64   `json:"seconds"`
	Compare  []string  `json:"compare"` // sources that shire reconcile can ask
}

func (a *app) restore(ctx context.Context, r restoreRequest) (err error) {
	began := time.Now()
	s, err := a.readSetup()
	if err != nil {
		return err
	}
	b, err := backup.Open(r.from)
	if err != nil {
		return err
	}
	if err := b.Fits(s.config.County.Division); err != nil {
		return err
	}
	bar := a.progress("verifying")
	err = b.Verify(ctx, bar.set)
	bar.done()
	if err != nil {
		return err
	}
	secrets, key, err := a.restoredSecrets(s, b, r)
	if err != nil {
		return err
	}
	t, err := backup.Begin(a.data, r.from)
	if err != nil {
		return err
	}
	for name, data := range secrets {
		if err := t.Put(name, data); err != nil {
			return errors.Join(err, t.Abandon())
		}
	}
	e, err := a.startUnfinished(ctx, s, nil)
	if err != nil {
		return err
	}
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			e.stop()
		}
	}
	defer stop()
	if err := makeEmpty(ctx, b, t, e); err != nil {
		stop()
		if !t.Filling {
			err = errors.Join(err, t.Abandon())
		}
		return err
	}
	if err := t.Fill(r.from); err != nil {
		return err
	}
	bar = a.progress("restoring")
	b.Telling(bar.set)
	err = a.fill(ctx, s, b, e, key)
	bar.done()
	if err != nil {
		return fmt.Errorf("the restore was not finished; run it again, it begins anew: %w", err)
	}
	stop()
	if err := t.Finish(); err != nil {
		return err
	}
	done := restored{Backup: r.from, Of: b.Manifest.Begun, Messages: b.Manifest.Messages(), Rows: b.Manifest.Rows(), Compare: surveyed(s), Seconds: time.Since(began).Seconds()}
	a.result = done
	a.say("%s is as it was at %s: %d messages, %d rows, %.1f s", s.config.County.NameZh, done.Of.In(s.zone).Format(time.DateTime), done.Messages, done.Rows, done.Seconds)
	a.say("Start it with shire up; the sources send again what they still have. One that has thrown away what came after the")
	a.say("backup, as a PostgreSQL has, says so and waits: with on_gap: snapshot it reads its tables again. Then compare:")
	for _, name := range done.Compare {
		a.say("  shire reconcile %s --repair", name)
	}
	return nil
}

// restoredSecrets are the files of the data directory that hold secrets, and the key of the pseudonyms, which has to be that
// of the backup: with another, no id would be what it was.
func (a *app) restoredSecrets(s *setup, b *backup.Backup, r restoreRequest) (files map[string][]byte, key string, err error) {
	switch {
	case r.secrets != "":
		data, err := os.ReadFile(r.secrets)
		if err != nil {
			return nil, "", inputf("the copy of secrets.json cannot be read: %v", err)
		}
		files = map[string][]byte{embedded.SecretsFile: data}
	case b.Sealed() && r.key != "":
		if files, err = b.Secrets(county.Secret("file:" + r.key)); err != nil {
			return nil, "", err
		}
	}
	if key, err = s.config.Pseudonyms.Key.Reveal(); err != nil {
		return nil, "", inputf("the key of the pseudonyms cannot be read: %v", err)
	}
	if key == "" && files == nil {
		if b.Sealed() {
			return nil, "", inputf("the backup's secrets are encrypted; give the file with their pass phrase: --key-file FILE")
		}
		return nil, "", inputf("the backup has no secrets in it; give the copy of secrets.json of the data directory that you kept: --secrets FILE")
	}
	if key == "" {
		var all map[string]string
		if json.Unmarshal(files[embedded.SecretsFile], &all) != nil || all[pseudonymSecret] == "" { // its own words could quote a secret
			return nil, "", inputf("the secrets hold no key of the pseudonyms; give the secrets.json of the data directory that was backed up")
		}
		key = all[pseudonymSecret]
	}
	if fingerprint([]byte(key)) != b.Manifest.Key {
		return nil, "", inputf("the key of the pseudonyms is not the one that the backup's county had: no person would have the id that is in its tables; give the key of then")
	}
	return files, key, nil
}

// makeEmpty proves that the engines hold nothing yet, or clears what an unfinished restore has put into them.
func makeEmpty(ctx context.Context, b *backup.Backup, t *backup.Target, e *engines) error {
	w, err := warehouse.Open(e.loader)
	if err != nil {
		return err
	}
	defer w.Close()
	if t.Filling {
		return errors.Join(b.ClearBus(ctx, e.nc), warehouse.Clear(ctx, w))
	}
	stream, err := b.BusInUse(ctx, e.nc)
	if err != nil {
		return err
	}
	if stream != "" {
		return inputf("the NATS server has the stream %s already: a backup is restored into an empty one, so that nothing is lost; remove its streams yourself, or give county.yaml another address", stream)
	}
	table, err := warehouse.Filled(ctx, w)
	if err != nil {
		return reachable(err, e.loader.Native)
	}
	if table != "" {
		return inputf("the ClickHouse server has rows in %s already: a backup is restored into an empty one, so that nothing is lost; drop its databases yourself, or give county.yaml another address", table)
	}
	return nil
}

func (a *app) fill(ctx context.Context, s *setup, b *backup.Backup, e *engines, key string) error {
	if err := b.FillBus(ctx, e.nc, s.config.Engines.NATS.Replicas); err != nil {
		return err
	}
	if err := b.FillWarehouse(ctx, e.loader); err != nil {
		return err
	}
	if err := b.FillIdentities(a.identityDir()); err != nil {
		return err
	}
	hasher, err := pseudonym.New([]byte(key))
	if err != nil {
		return inputf("%v", err)
	}
	state, err := identity.Open(identity.Options{Dir: a.identityDir(), Hasher: hasher, ReadOnly: true, Log: a.log})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // there was none
	}
	if err != nil {
		a.log.Warn("the state of identities is of another version of the program; the first start makes it again from the bus, which takes a while", "reason", err)
		return os.RemoveAll(a.identityDir())
	}
	return state.Close()
}

// surveyed are the sources that can say what they hold.
func surveyed(s *setup) (names []string) {
	for _, src := range s.config.Sources {
		own := contract.Set{}
		for _, name := range src.Datasets {
			own[name] = s.contracts[name]
		}
		c, err := connectors.New(connectors.Settings{Source: src, Contracts: own, Resolve: s.config.Resolve, Notify: func(connectors.Event) {}, Log: slog.New(slog.DiscardHandler)})
		if _, ok := c.(connectors.Surveyor); ok && err == nil {
			names = append(names, src.Name)
		}
	}
	return names
}
