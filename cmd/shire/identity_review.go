package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/pipeline/identity/review"
	schema "github.com/shirecounty/shire/schemas/identity"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

func (a *app) identityReview() *cobra.Command {
	var about, as string
	var limit int
	cmd := &cobra.Command{
		Use:   "review [RECORD RECORD --as NAME]",
		Short: "List the pairs of records that wait for a person, or show one side by side (personal data: mind who looks)",
		Long: "List the pairs of records that wait for a person, those first of which a verdict would settle most. With the ids of two\n" +
			"records, show them side by side with the evidence: that is personal data, and who looked is written to the access log first.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 0 && len(args) != 2 {
				return inputf("%s takes no arguments, or the ids of two records; see %s --help", cmd.CommandPath(), cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := provenAbout(about); err != nil {
				return err
			}
			if len(args) == 0 {
				if limit < 0 {
					return inputf("--limit is not negative; 0 lists all")
				}
				return a.withIdentities(func(m *identity.Matching) error { return a.listQueue(m, about, limit) })
			}
			if err := provenName(as); err != nil {
				return err
			}
			x, y, err := pairOf(args)
			if err != nil {
				return err
			}
			return a.showCase(cmd.Context(), about, x, y, as)
		},
	}
	aboutFlag(cmd, &about, identity.Person)
	cmd.Flags().IntVar(&limit, "limit", 50, "list at most this many; 0 for all")
	cmd.Flags().StringVar(&as, "as", "", "who looks; its pseudonym is written to the access log")
	return cmd
}

func provenName(as string) error {
	if strings.TrimSpace(as) == "" {
		return inputf("say who you are, with --as NAME")
	}
	return nil
}

type queued struct {
	About string        `json:"about"`
	Total int           `json:"total"`
	Items []review.Item `json:"items"`
}

func (a *app) listQueue(m *identity.Matching, about string, limit int) error {
	if limit == 0 {
		limit = int(^uint(0) >> 1)
	}
	items, total := m.Partition(about).Queue(limit)
	if items == nil {
		items = []review.Item{}
	}
	a.result = queued{about, total, items}
	if total == 0 {
		a.say("nothing waits for a person")
		return nil
	}
	if a.json {
		return nil
	}
	spec, err := m.InUse(about)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RECORD\tRECORD\tPROBABILITY\tSETTLES\tDOUBTS")
	for _, i := range items {
		fmt.Fprintf(w, "%s\t%s\t%.3f\t%d\t%s\n", i.A, i.B, i.Probability, i.Settles, doubtWords(spec, i.Doubts))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	a.say("\n%d pairs wait. See one: shire identity review RECORD RECORD --as NAME", total)
	return nil
}

func doubtWords(spec *schema.Model, names []string) string {
	words := make([]string, len(names))
	for i, name := range names {
		words[i] = name
		for _, d := range spec.Doubts {
			if d.Name == name {
				words[i] = orDefault(d.Title.EN, name)
			}
		}
	}
	return strings.Join(words, "; ")
}

// How the access log names looks by this command.
const (
	reviewCaller  = "shire identity review"
	reviewPurpose = "identity review"
)

func (a *app) showCase(ctx context.Context, about string, x, y pseudonym.ID, as string) error {
	return a.withAudit(ctx, func(ctx context.Context, l *auditLog) error {
		return a.withIdentities(func(m *identity.Matching) error {
			c := m.Partition(about).Case(x, y)
			if c == nil {
				return identityError(review.ErrUnknown)
			}
			if err := a.recordLook(ctx, l, c, as); err != nil {
				return err
			}
			a.result = c
			if a.json {
				return nil
			}
			return sayCase(a.out, c)
		})
	})
}

// recordLook writes down who looks at whom. Without it, nothing is shown (I8).
func (a *app) recordLook(ctx context.Context, l *auditLog, c *review.Case, as string) error {
	look := audit.Access{At: time.Now(), Caller: reviewCaller, Clerk: as, Purpose: reviewPurpose, Persons: []pseudonym.ID{c.Left.Party}, Decision: "granted"}
	if c.Right.Party != c.Left.Party {
		look.Persons = append(look.Persons, c.Right.Party)
	}
	for _, f := range c.Fields {
		look.Fields = append(look.Fields, f.Name)
	}
	if err := l.Record(ctx, look); err != nil {
		return fmt.Errorf("nothing is shown: %w", err)
	}
	if err := l.projection.CatchUp(ctx); err != nil {
		a.log.Warn("audit.accesses does not show this look yet; the next start of the platform brings it there", "error", err)
	}
	return nil
}

func sayCase(out io.Writer, c *review.Case) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	side := func(what string, of func(review.Side) string) {
		fmt.Fprintf(w, "%s\t%s\t%s\n", what, of(c.Left), of(c.Right))
	}
	side("record", func(s review.Side) string { return s.Record.ID.String() })
	side("dataset", func(s review.Side) string { return strings.TrimSpace(s.Record.Dataset + " " + s.Record.Role) })
	side(c.About, func(s review.Side) string { return s.Party.String() })
	side("records of it", func(s review.Side) string { return fmt.Sprint(s.Members) })
	for i, f := range c.Fields {
		side(f.EN, func(s review.Side) string { return orDefault(s.Record.Values[i], "-") })
	}
	for _, n := range c.Left.Neighbours {
		fmt.Fprintf(w, "beside it\t%s\t\n", strings.Join(present(n.Values), ", "))
	}
	for _, n := range c.Right.Neighbours {
		fmt.Fprintf(w, "beside it\t\t%s\n", strings.Join(present(n.Values), ", "))
	}
	fmt.Fprintln(w)
	if c.Explanation != nil {
		waterfall(w, "", c.Explanation)
	}
	fmt.Fprintf(w, "probability\t%.4f\n", c.Probability)
	if v := c.Verdict; v != nil {
		fmt.Fprintf(w, "verdict\t%s\tby %s on %s: %s\n", v.Decision, v.Reviewer, v.At.Local().Format(time.DateTime), v.Reason)
	}
	return w.Flush()
}

func present(values []string) (out []string) {
	for _, v := range values {
		if v != "" {
			out = append(out, v)
		}
	}
	return out
}

// waterfall prints how a weight came about, in bits.
func waterfall(w io.Writer, indent string, e *match.Explanation) {
	bits := func(n match.Weight) string { return fmt.Sprintf("%+.1f", float64(n)/match.Bit) }
	fmt.Fprintf(w, "%sbefore any evidence\t\t%s\n", indent, bits(e.Prior))
	for _, s := range e.Steps {
		var parts []string
		if s.Rarity != 0 {
			parts = append(parts, bits(s.Rarity)+" for how common the value is")
		}
		if s.Source != 0 {
			parts = append(parts, bits(s.Source)+" for how reliable the sources are")
		}
		of := ""
		if len(parts) > 0 {
			of = "of which " + strings.Join(parts, " and ")
		}
		fmt.Fprintf(w, "%s%s\t%s\t%s\t%s\n", indent, s.Comparison, strings.ReplaceAll(s.Level, "_", " "), bits(s.Weight), of)
	}
	for _, d := range e.Doubts {
		fmt.Fprintf(w, "%sdoubt\t%s\t\n", indent, strings.ReplaceAll(d, "_", " "))
	}
	fmt.Fprintf(w, "%sweight of the evidence\t\t%s\n", indent, bits(e.Weight))
}

func (a *app) identityDecide() *cobra.Command {
	var about, as, reason string
	cmd := &cobra.Command{
		Use:   "decide RECORD RECORD same|different|unsure --as NAME --reason WHY",
		Short: "Say whether two records are about one person; the verdict holds for all data to come, until it is withdrawn",
		Args:  exactly(3, "the ids of two records, and same, different or unsure"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := provenAbout(about); err != nil {
				return err
			}
			if err := provenName(as); err != nil {
				return err
			}
			x, y, err := pairOf(args)
			if err != nil {
				return err
			}
			v := review.Verdict{About: about, A: x, B: y, Decision: args[2], Reviewer: as, Reason: reason, At: time.Now().UTC()}
			if err := v.Prove(); err != nil {
				return inputf("%v; see %s --help", err, cmd.CommandPath())
			}
			return a.toWrite(cmd.Context(), func(ctx context.Context, w writing) error { return a.decide(ctx, w, v) })
		},
	}
	aboutFlag(cmd, &about, identity.Person)
	cmd.Flags().StringVar(&as, "as", "", "who decides (required)")
	cmd.Flags().StringVar(&reason, "reason", "", "what decided; required but for unsure")
	return cmd
}

type decided struct {
	About    string       `json:"about"`
	A        pseudonym.ID `json:"a"`
	B        pseudonym.ID `json:"b"`
	Decision string       `json:"decision"` // empty when it was withdrawn
	Together bool         `json:"together"` // now
}

func (a *app) decide(ctx context.Context, w writing, v review.Verdict) error {
	if err := w.desk.Decide(ctx, v); err != nil {
		return identityError(err)
	}
	return a.sayDecided(ctx, w, decided{About: v.About, A: v.A, B: v.B, Decision: v.Decision})
}

func (a *app) sayDecided(ctx context.Context, w writing, d decided) error {
	if c, err := w.desk.Case(ctx, d.About, d.A, d.B); err == nil {
		d.Together = c.Together
	}
	a.result = d
	now := "apart"
	if d.Together {
		now = "together"
	}
	if d.Decision == "" {
		a.say("the verdict is withdrawn; the two are %s now", now)
	} else {
		a.say("the verdict holds; the two are %s now", now)
	}
	return nil
}

func (a *app) identityWithdraw() *cobra.Command {
	var about, as string
	cmd := &cobra.Command{
		Use:   "withdraw RECORD RECORD --as NAME",
		Short: "Take the verdict on two records back: the evidence counts again",
		Args:  exactly(2, "the ids of two records"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := provenAbout(about); err != nil {
				return err
			}
			if err := provenName(as); err != nil {
				return err
			}
			x, y, err := pairOf(args)
			if err != nil {
				return err
			}
			return a.toWrite(cmd.Context(), func(ctx context.Context, w writing) error {
				if err := w.desk.Withdraw(ctx, about, x, y, as); err != nil {
					return identityError(err)
				}
				return a.sayDecided(ctx, w, decided{About: about, A: x, B: y})
			})
		},
	}
	aboutFlag(cmd, &about, identity.Person)
	cmd.Flags().StringVar(&as, "as", "", "who takes it back (required)")
	return cmd
}
