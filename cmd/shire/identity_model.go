package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/identity/partition"
	schema "github.com/shirecounty/shire/schemas/identity"
)

func (a *app) identityShadow() *cobra.Command {
	return &cobra.Command{
		Use:   "shadow MODEL",
		Short: "Tell what a model would change, were it chosen: parties that would merge or split, ids that would change",
		Long: "Tell what a model would change, were it chosen. All records are worked out anew under it, beside what a running node\n" +
			"does and without touching it.",
		Args: exactly(1, "the file of a model"),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := schema.Load(args[0])
			if err != nil {
				return err
			}
			return a.withIdentities(func(m *identity.Matching) error {
				e, err := a.trial(cmd.Context(), m, spec)
				if err != nil {
					return err
				}
				a.result = e
				return a.sayEffect(e)
			})
		},
	}
}

func (a *app) trial(ctx context.Context, m *identity.Matching, spec *schema.Model) (*partition.Effect, error) {
	e, err := m.Partition(spec.About).Trial(ctx, spec, a.identityDir())
	return e, identityError(err)
}

func (a *app) sayEffect(e *partition.Effect) error {
	if a.json {
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\tNOW\tWITH THE MODEL\n")
	fmt.Fprintf(w, "model\t%s\t%s\n", e.Before, e.Model)
	fmt.Fprintf(w, "records\t%d\t%d\n", e.Records, e.Records)
	fmt.Fprintf(w, "%ss\t%d\t%d\n", e.About, e.PartiesBefore, e.PartiesAfter)
	fmt.Fprintf(w, "pairs that wait for a person\t%d\t%d\n", e.OpenBefore, e.OpenAfter)
	fmt.Fprintf(w, "merges\t\t%d\nsplits\t\t%d\nrecords whose id changes\t\t%d\n", e.Merges, e.Splits, e.Renamed)
	if len(e.Examples) > 0 {
		fmt.Fprintf(w, "\nFOR INSTANCE\tRECORD\tDECIDED BY THE PAIR\n")
	}
	for _, x := range e.Examples {
		pair := ""
		if !x.A.IsZero() {
			pair = fmt.Sprintf("%s %s", x.A, x.B)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", x.Kind, x.Record, pair)
	}
	return w.Flush()
}

func (a *app) identityUse() *cobra.Command {
	var as string
	var yes bool
	cmd := &cobra.Command{
		Use:   "use MODEL --as NAME",
		Short: "Match all records by a model from now on; what it changes is told first",
		Long: "Match all records by a model from now on. What it changes is worked out and told first, and on a terminal you are asked\n" +
			"whether to go on; with --yes it is not. Nothing stops meanwhile, and verdicts stay in force.",
		Args: exactly(1, "the file of a model"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := provenName(as); err != nil {
				return err
			}
			spec, err := schema.Load(args[0])
			if err != nil {
				return err
			}
			return a.use(cmd, spec, as, yes)
		},
	}
	cmd.Flags().StringVar(&as, "as", "", "who chooses it (required)")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not work out what it changes, and do not ask")
	return cmd
}

// chosen is what choosing a model came to.
type chosen struct {
	Model    string            `json:"model"`
	Before   string            `json:"before"`
	Effect   *partition.Effect `json:"effect,omitempty"`
	Sequence uint64            `json:"sequence"` // from here on it is in force; 0 when it was so already
}

// errNotChosen says that whoever was asked said no.
var errNotChosen = errors.New("the model was not chosen; the one before it stays in use")

func (a *app) use(cmd *cobra.Command, spec *schema.Model, as string, yes bool) error {
	ctx := cmd.Context()
	var c chosen
	// First what can be told without the engines: mistakes, and the effect.
	err := a.withIdentities(func(m *identity.Matching) error {
		p := m.Partition(spec.About)
		model, err := p.Compile(spec)
		if err != nil {
			return err
		}
		c.Model = model.Version()
		if used := p.Model(); used != nil {
			c.Before = used.Version()
		}
		if c.Before == c.Model || c.Before == "" || yes {
			return nil
		}
		if c.Effect, err = a.trial(ctx, m, spec); err != nil {
			return err
		}
		return a.sayEffect(c.Effect)
	})
	if err != nil {
		return err
	}
	if c.Before == c.Model {
		a.result = c
		a.say("%s is in use already", c.Model)
		return nil
	}
	if !yes && !a.agreed(cmd) {
		return errNotChosen
	}
	return a.toWrite(ctx, func(ctx context.Context, w writing) error {
		sequence, err := pipeline.PublishModel(ctx, w.bus, spec, as, time.Now())
		if err != nil {
			return err
		}
		if err := w.loaded(ctx, sequence); err != nil {
			return err
		}
		m, release, err := w.identities()
		if err != nil {
			return err
		}
		defer release()
		if used := m.Partition(spec.About).Model(); used == nil || used.Version() != c.Model {
			return errors.New("the model was published and is not in use; somebody may have chosen another meanwhile: see mart.models, and shire quarantine list --dataset identity_models")
		}
		c.Sequence = sequence
		a.result = c
		a.say("%s is in use from message %d on", c.Model, sequence)
		return nil
	})
}

// agreed asks whether to go on, where somebody can be asked.
func (a *app) agreed(cmd *cobra.Command) bool {
	in, ok := cmd.InOrStdin().(*os.File)
	if a.json || !ok || !term.IsTerminal(int(in.Fd())) {
		return true
	}
	fmt.Fprint(a.err, "Use it? [y/N] ")
	line, err := bufio.NewReader(in).ReadString('\n')
	return err == nil && strings.HasPrefix(strings.ToLower(strings.TrimSpace(line)), "y")
}
