package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/jobs/backup"
	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/portal/accounts"
	"github.com/shirecounty/shire/schemas/county"
)

// secretFiles are the data directory's files that hold secrets.
var secretFiles = append([]string{embedded.SecretsFile, accounts.ReviewersFile, accounts.OperatorsFile}, audit.KeyFiles...)

func (a *app) backupCommand() *cobra.Command {
	var settings backup.Settings
	var key string
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Copy the county into a folder, beside a running platform or without one",
		Long: "Copy the bus, the warehouse and the state of identities into a new folder below --to. Nothing stands still meanwhile.\n" +
			"With --key-file the generated secrets come too, encrypted; without it, keep a copy of secrets.json of the data\n" +
			"directory elsewhere. A backup holds personal data in the clear: whoever may read it may read the county.",
		Example: "  shire backup --to /mnt/backups --keep 14 --key-file /root/backup.key\n  shire backup verify /mnt/backups/330782-20261123T020000.000Z",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return group(cmd, args)
			}
			if settings.To == "" {
				return inputf("say where the backups are, with --to FOLDER")
			}
			if key != "" {
				settings.Key = county.Secret("file:" + key)
			}
			return a.backup(cmd.Context(), settings)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&settings.To, "to", "", "folder of the backups; each becomes a folder in it")
	flags.IntVar(&settings.Keep, "keep", 0, "how many backups are kept; older ones are removed when this one is whole (0: all)")
	flags.StringVar(&key, "key-file", "", "file with a pass phrase that the generated secrets are encrypted with")
	cmd.AddCommand(a.backupList(), a.backupVerify())
	return cmd
}

// backedUp is what a backup did.
type backedUp struct {
	Folder   string    `json:"folder"`
	Begun    time.Time `json:"begun"`
	Bytes    int64     `json:"bytes"`
	Messages uint64    `json:"messages"`
	Rows     uint64    `json:"rows"`
	Secrets  bool      `json:"secrets"` // whether the generated secrets are in it
	Seconds  float64   `json:"seconds,omitempty"`
}

func summary(folder string, m *backup.Manifest) backedUp {
	return backedUp{Folder: folder, Begun: m.Begun, Bytes: m.Bytes(), Messages: m.Messages(), Rows: m.Rows(), Secrets: len(m.Of(backup.KindSecrets)) > 0}
}

func (a *app) backup(ctx context.Context, settings backup.Settings) error {
	if err := settings.Check(); err != nil {
		return err
	}
	s, err := a.readSetup()
	if err != nil {
		return err
	}
	e, err := a.start(ctx, s, nil)
	if errors.Is(err, embedded.ErrLocked) {
		e, _, err = a.attach(s)
	}
	if err != nil {
		return err
	}
	defer e.stop()
	b, err := openBus(ctx, s, e)
	if err != nil {
		return err
	}
	c, err := backedUpCounty(s, e, b, a.data)
	if err != nil {
		return err
	}
	began := time.Now()
	bar := a.progress("backing up")
	m, folder, err := backup.Take(ctx, c, settings, bar.set)
	bar.done()
	if m == nil {
		return refused(err)
	}
	done := summary(folder, m)
	done.Seconds = time.Since(began).Seconds()
	a.result = done
	a.say("%s: %d messages, %d rows, %d MB, %.1f s", folder, done.Messages, done.Rows, done.Bytes>>20, done.Seconds)
	if !done.Secrets {
		a.say("note: %s", backup.SecretsLeftOut)
	}
	return err
}

// backedUpCounty says what a backup copies, from engines that are reached.
func backedUpCounty(s *setup, e *engines, b *bus.Bus, dataDir string) (backup.County, error) {
	c := backup.County{
		Division: s.config.County.Division, NameZh: s.config.County.NameZh, NameEn: s.config.County.NameEn,
		Bus: b, Warehouse: e.loader, Identities: identityDir(dataDir), Program: version,
		Secrets: map[string][]byte{}, Contracts: map[string]string{}, Files: map[string]string{"county.yaml": s.config.File},
	}
	for _, name := range secretFiles {
		data, err := os.ReadFile(filepath.Join(dataDir, name))
		if err == nil {
			c.Secrets[name] = data
		} else if !errors.Is(err, fs.ErrNotExist) {
			return c, fmt.Errorf("the secrets of the data directory cannot be read: %w", err)
		}
	}
	for _, name := range s.contracts.Names() {
		c.Contracts[name] = fmt.Sprintf("%d/%s", s.contracts[name].Version, s.contracts[name].Hash)
	}
	for name, dir := range map[string]string{"contracts": s.config.Contracts, "calendars": s.config.Calendars, "materials": s.config.Materials, "interventions": s.config.Interventions} {
		if dir == "" {
			continue
		}
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || filepath.Ext(path) != ".yaml" {
				return err
			}
			below, err := filepath.Rel(dir, path)
			c.Files[name+"/"+filepath.ToSlash(below)] = path
			return err
		})
		if err != nil {
			return c, fmt.Errorf("the configuration cannot be read: %w", err)
		}
	}
	return c, nil
}

// refused gives what a person has to mend its exit code.
func refused(err error) error {
	if r := (*backup.RefusedError)(nil); errors.As(err, &r) {
		return inputf("%v", err)
	}
	return err
}

func (a *app) backupList() *cobra.Command {
	return &cobra.Command{
		Use: "list FOLDER", Short: "List the whole backups of a folder, the oldest first", Args: exactly(1, "the folder of the backups"),
		RunE: func(_ *cobra.Command, args []string) error {
			list, err := backup.List(args[0], "")
			if err != nil {
				return inputf("%v", err)
			}
			out := []backedUp{}
			for _, w := range list {
				out = append(out, summary(w.Folder, w.Manifest))
			}
			if a.result = out; a.json {
				return nil
			}
			w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "BEGUN\tMB\tMESSAGES\tROWS\tSECRETS\tFOLDER")
			for _, b := range out {
				secrets := "left out"
				if b.Secrets {
					secrets = "encrypted"
				}
				fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\t%s\n", b.Begun.Local().Format(time.DateTime), b.Bytes>>20, b.Messages, b.Rows, secrets, b.Folder)
			}
			return w.Flush()
		},
	}
}

func (a *app) backupVerify() *cobra.Command {
	return &cobra.Command{
		Use: "verify BACKUP", Short: "Read a backup to its end and compare every part with its hash", Args: exactly(1, "the folder of one backup"),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := backup.Open(strings.TrimRight(args[0], "/"))
			if err != nil {
				return refused(err)
			}
			bar := a.progress("verifying")
			err = b.Verify(cmd.Context(), bar.set)
			bar.done()
			if err != nil {
				return refused(err)
			}
			done := summary(args[0], b.Manifest)
			a.result = done
			a.say("%s is whole: %d messages, %d rows, %d MB", args[0], done.Messages, done.Rows, done.Bytes>>20)
			return nil
		},
	}
}
