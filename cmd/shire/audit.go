package main

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/jobs/retention"
	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// auditLog is the log of accesses as a process reaches it.
type auditLog struct {
	*audit.Log
	projection *audit.Projection
	data       string // the data directory, where the keys are
}

var _ retention.Accesses = (*auditLog)(nil)

// openAudit opens the county's log. conn is the loading user's.
func (a *app) openAudit(ctx context.Context, s *setup, e *engines, conn driver.Conn) (*auditLog, error) {
	hasher, err := pseudonym.New(e.key)
	if err != nil {
		return nil, inputf("%v", err)
	}
	settings := s.config.Sharing.Audit
	key, err := audit.LoadOrCreateKey(a.data, audit.Scheme(settings.Signature))
	if err != nil {
		return nil, err
	}
	l, err := audit.Open(ctx, e.nc, audit.Options{
		County: s.config.County.Division, Replicas: s.config.Engines.NATS.Replicas, Hasher: hasher, Key: key, Hash: audit.Algorithm(settings.Hash),
		CheckpointEntries: uint64(settings.CheckpointEntries), CheckpointEvery: time.Duration(settings.CheckpointEvery), HandOut: settings.HandOut,
		Old: audit.OldChain(conn), Log: a.log,
	})
	if err != nil {
		return nil, err
	}
	return &auditLog{l, audit.NewProjection(l, conn, a.log), a.data}, nil
}

// Cut takes the oldest entries away, for retention.
func (l *auditLog) Cut(ctx context.Context, before, now time.Time, dry bool) (uint64, error) {
	keys, err := audit.OwnKeys(l.data)
	if err != nil {
		return 0, err
	}
	return l.projection.Cut(ctx, keys, before, now, dry)
}

// mendAudit gives the log back what a failing power supply took of it, before anything is written that would take the place of what is
// lost: a warehouse that is away is waited for.
func (n *node) mendAudit(ctx context.Context) error {
	var back uint64
	err := n.persist(ctx, func(ctx context.Context) error {
		more, err := n.accesses.projection.Mend(ctx)
		back += more
		return err
	})
	if back > 0 {
		n.log.Warn("the audit log had lost its end (a power failure without sync: always?); the warehouse had it, and it is back", "entries", back)
	}
	if err != nil && (errors.Is(err, errUnreachable) || ctx.Err() != nil) {
		return err
	}
	if err != nil {
		n.log.Error("the audit log does not fit its copy in the warehouse", "error", err)
	}
	return nil
}

// withAudit runs fn with the log of the data directory's county.
func (a *app) withAudit(ctx context.Context, fn func(context.Context, *auditLog) error) error {
	return a.withWarehouse(ctx, func(ctx context.Context, s *setup, e *engines) error {
		conn, err := warehouse.Open(e.loader)
		if err != nil {
			return err
		}
		defer conn.Close()
		l, err := a.openAudit(ctx, s, e, conn)
		if err != nil {
			return err
		}
		return fn(ctx, l)
	})
}

func (a *app) auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Prove the log of accesses to personal data, and take copies of it",
		Args:  cobra.ArbitraryArgs,
		RunE:  group,
	}
	cmd.AddCommand(a.auditVerify(), a.auditExport(), a.auditCheckpoint(), a.accountsCommand("supervisors", supervisorAccounts))
	return cmd
}

// auditRequest says what is to be proven, and by what.
type auditRequest struct{ file, checkpoint, key string }

func (a *app) auditVerify() *cobra.Command {
	var r auditRequest
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Read the audit log to its end and name the first entry that is not as it was written",
		Long: "Read the audit log to its end: every entry's hash and its link to the one before, the signed checkpoints, what retention\n" +
			"cut off, and that audit.accesses says the same. With --from-file, do so with an export, offline. With --checkpoint, hold\n" +
			"the log against checkpoints that were kept elsewhere: what was cut off its end shows by them.",
		Example: "  shire audit verify --checkpoint /mnt/supervision/checkpoints.jsonl\n  shire audit verify --from-file audit.log --key audit-ed25519.pub",
		Args:    exactly(0, "no arguments"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.verifyAudit(cmd.Context(), r) },
	}
	flags := cmd.Flags()
	flags.StringVar(&r.file, "from-file", "", "an export of the log, instead of the log itself; needs no engines")
	flags.StringVar(&r.checkpoint, "checkpoint", "", "file with checkpoints that were handed out")
	flags.StringVar(&r.key, "key", "", "file with public keys that are trusted (default: those of the data directory)")
	return cmd
}

// trusted are the keys and the checkpoints to verify by.
func (a *app) trusted(r auditRequest) (keys audit.Keys, elsewhere []audit.Statement, err error) {
	if r.key == "" {
		if keys, err = audit.OwnKeys(a.data); err != nil {
			return nil, nil, err
		}
	} else {
		keys = audit.Keys{}
		text, err := os.ReadFile(r.key)
		if err == nil {
			err = keys.Add(text)
		}
		if err != nil {
			return nil, nil, inputf("--key %s: %v", r.key, err)
		}
	}
	if r.checkpoint != "" {
		f, err := os.Open(r.checkpoint)
		if err != nil {
			return nil, nil, inputf("--checkpoint: %v", err)
		}
		defer f.Close()
		if elsewhere, err = audit.ReadStatements(f); err != nil {
			return nil, nil, inputf("--checkpoint %s: %v", r.checkpoint, err)
		}
	}
	return keys, elsewhere, nil
}

func (a *app) verifyAudit(ctx context.Context, r auditRequest) error {
	var report *audit.Report
	var ownKeys bool
	prove := func(ctx context.Context, l *auditLog) error {
		keys, elsewhere, err := a.trusted(r)
		if err == nil && l != nil {
			report, err = l.projection.Verify(ctx, keys, elsewhere)
		} else if err == nil {
			report, ownKeys, err = a.verifyFile(ctx, r.file, keys, elsewhere)
		}
		return err
	}
	var err error
	if r.file != "" {
		err = prove(ctx, nil)
	} else {
		err = a.withAudit(ctx, prove)
	}
	if err != nil {
		return err
	}
	a.result = report
	a.say("%d entries, %d to %d; %d checkpoints fit, the last signed entry is %d", report.Entries, report.First, report.Last, report.Checkpoints, report.Signed)
	if report.CutThrough > 0 {
		a.say("retention cut off everything through entry %d", report.CutThrough)
	}
	if report.Behind > 0 {
		a.say("audit.accesses does not have the last %d yet", report.Behind)
	}
	if ownKeys {
		a.say("note: the signatures were held against the keys in the file itself, which a forger could have put there; give the public key with --key")
	}
	for _, f := range report.Findings {
		a.say("%s at %d: %s", f.Kind, f.Sequence, f.What)
	}
	return report.Err()
}

func (a *app) verifyFile(ctx context.Context, path string, keys audit.Keys, elsewhere []audit.Statement) (*audit.Report, bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, false, inputf("--from-file: %v", err)
	}
	defer f.Close()
	report, own, err := audit.VerifyFile(ctx, f, keys, elsewhere)
	if errors.Is(err, audit.ErrNoExport) {
		err = inputf("--from-file %s: %v", path, err)
	}
	return report, own, err
}

func (a *app) auditExport() *cobra.Command {
	return &cobra.Command{
		Use:   "export FILE",
		Short: "Copy the audit log into one file, signed up to its end, for others to verify",
		Args:  exactly(1, "the file to be written"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withAudit(cmd.Context(), func(ctx context.Context, l *auditLog) error {
				size, err := writeWhole("export", args[0], func(w io.Writer) error { return l.projection.Export(ctx, w) })
				if err != nil {
					return err
				}
				a.result = map[string]any{"file": args[0], "bytes": size}
				a.say("%s: %d KB; verify it anywhere with: shire audit verify --from-file FILE --key audit-....pub of the data directory", args[0], (size+1023)>>10)
				return nil
			})
		},
	}
}

func (a *app) auditCheckpoint() *cobra.Command {
	return &cobra.Command{
		Use:   "checkpoint FILE",
		Short: "Sign how far the audit log has come, and append that to a file which others keep",
		Args:  exactly(1, "the file that the checkpoint is appended to"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withAudit(cmd.Context(), func(ctx context.Context, l *auditLog) error {
				s, err := l.HandOut(ctx, args[0])
				if err != nil {
					return err
				}
				a.result = s
				a.say("entry %d is signed with %s; later: shire audit verify --checkpoint %s", s.Sequence, s.Key, args[0])
				return nil
			})
		},
	}
}
