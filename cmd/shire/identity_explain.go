package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/pipeline/identity/partition"
	"github.com/shirecounty/shire/pipeline/identity/review"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// explaining is what is to be explained.
type explaining struct {
	ids    []pseudonym.ID
	about  string // empty: whichever knows the ids
	values bool
	past   bool
}

func (a *app) identityExplain() *cobra.Command {
	var x explaining
	var at uint64
	cmd := &cobra.Command{
		Use:   "explain ID|RECORD [RECORD]",
		Short: "Tell why two records are, or are not, one person; or what is known of a person or a record",
		Long: "Tell why two records are, or are not, one person: the chain of evidence that joins them, or what keeps them apart. With one\n" +
			"id, tell of the person (retired ids lead on to their successors) or of the record and its person. --at answers as of an\n" +
			"earlier place of the stream, which is worked out from the bus.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 && len(args) != 2 {
				return inputf("%s takes the id of a person or a record, or the ids of two records; see %s --help", cmd.CommandPath(), cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if x.about != "" {
				if err := provenAbout(x.about); err != nil {
					return err
				}
			}
			if x.ids, err = recordIDs(args); err != nil {
				return err
			}
			if len(x.ids) == 2 && x.ids[0] == x.ids[1] {
				return inputf("the two records are one; name two, or give it once")
			}
			if !cmd.Flags().Changed("at") {
				return a.withIdentities(func(m *identity.Matching) error { return a.explain(m, x) })
			}
			if change.SequenceOf(at) == 0 {
				return inputf("%d is not a version; copy it from shire identity explain, or from the column version of a view", at)
			}
			x.past = true
			return a.withPast(cmd.Context(), at, func(m *identity.Matching) error { return a.explain(m, x) })
		},
	}
	aboutFlag(cmd, &x.about, "")
	cmd.Flags().BoolVar(&x.values, "values", false, "show what the records say (personal data: mind who looks)")
	cmd.Flags().Uint64Var(&at, "at", 0, "as of this version: a place in the stream")
	return cmd
}

// withPast works the state of identities out as it was after a place of the stream, in a folder that is removed again.
func (a *app) withPast(ctx context.Context, version uint64, fn func(*identity.Matching) error) error {
	return a.withWarehouse(ctx, func(ctx context.Context, s *setup, e *engines) (err error) {
		b, err := openBus(ctx, s, e)
		if err != nil {
			return err
		}
		hasher, err := pseudonym.New(e.key)
		if err != nil {
			return inputf("%v", err)
		}
		dir, err := os.MkdirTemp(a.data, "past-")
		if err != nil {
			return fmt.Errorf("there is no room to work out what was: %w", err)
		}
		defer os.RemoveAll(dir)
		m, err := identity.Open(identity.Options{Dir: filepath.Join(dir, "identity"), Hasher: hasher.Clone(), NoSync: true, Log: a.log})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, m.Close()) }()
		flow := pipeline.New(pipeline.Options{Bus: b, Contracts: s.contracts, Calendar: s.calendar, Hasher: hasher, Resolver: m, Log: a.log})
		bar := a.progress("working out what was")
		err = flow.Past(ctx, version, m, func(done, total uint64) { bar.set(int64(done), int64(total)) })
		bar.done()
		if err != nil {
			return identityError(err)
		}
		return fn(m)
	})
}

func (a *app) explain(m *identity.Matching, x explaining) error {
	for _, about := range []string{identity.Person, identity.Organisation} {
		if x.about != "" && x.about != about {
			continue
		}
		p := m.Partition(about)
		if len(x.ids) == 1 {
			if told := p.ExplainParty(x.ids[0], x.values); told != nil {
				a.result = told
				if a.json {
					return nil
				}
				return sayParty(a.out, told)
			}
			continue
		}
		if why := p.Explain(x.ids[0], x.ids[1], x.values); why != nil {
			a.result = why
			if a.json {
				return nil
			}
			return sayWhy(a.out, why)
		}
	}
	if x.past {
		return inputf("nothing of this was known then; see when it came to be: shire identity explain, without --at")
	}
	if len(x.ids) == 2 {
		return inputf("there are no two such records; shire identity explain with one id tells whether it is known")
	}
	return inputf("nothing of this id is known; ids stand in mart.links and in shire identity review")
}

func bitsOf(w match.Weight) string { return fmt.Sprintf("%+.1f bits", float64(w)/match.Bit) }

// sayWhy prints why two records are where they are.
func sayWhy(out io.Writer, why *partition.Why) error {
	if why.Together {
		fmt.Fprintf(out, "The two records are one %s, %s.\n\n", why.About, why.A.Party)
	} else {
		fmt.Fprintf(out, "The two records are two %ss.\n\n", why.About)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	toldHead(w, why.About)
	tell(w, "A", why.A)
	tell(w, "B", why.B)
	if err := w.Flush(); err != nil {
		return err
	}
	for i, f := range why.Fields {
		if why.A.Values != nil {
			fmt.Fprintf(w, "%s\t%s\t%s\n", f.EN, orDefault(why.A.Values[i], "-"), orDefault(why.B.Values[i], "-"))
		}
	}
	fmt.Fprintln(w)
	if why.Together {
		fmt.Fprintf(w, "The strongest chain between them:\n\n")
		for _, t := range why.Path {
			fmt.Fprintf(w, "%s\nwith %s: %s\n", t.A, t.B, tieWords(t, why))
			waterfall(w, "  ", t.Explanation)
			fmt.Fprintln(w)
		}
	} else {
		for _, r := range why.Reasons {
			fmt.Fprintf(w, "- %s\n", reasonWords(r, why))
		}
		fmt.Fprintf(w, "\nThe evidence:\n\n")
		waterfall(w, "  ", &why.Evidence)
		fmt.Fprintln(w)
	}
	for _, b := range why.Blocks {
		full := ""
		if b.Full {
			full = fmt.Sprintf(", more than %d: it gives no pairs", b.AtMost)
		}
		fmt.Fprintf(w, "both are found by %s, with %d records%s\n", strings.Join(b.Keys, " and "), b.Members, full)
	}
	sayVerdicts(w, why.Verdicts)
	fmt.Fprintf(w, "model %s\n", why.Model)
	return w.Flush()
}

func tieWords(t partition.Tie, why *partition.Why) string {
	switch {
	case t.Same:
		return "a person said that they are one"
	case t.Links:
		return fmt.Sprintf("%s link them (from %s on)", bitsOf(t.Weight), bitsOf(why.Link))
	}
	return fmt.Sprintf("%s, which alone would not link them; the average of their groups does (from %s on)", bitsOf(t.Weight), bitsOf(why.Cluster))
}

func reasonWords(r partition.Reason, why *partition.Why) string {
	switch r.Code {
	case partition.Conflict:
		return fmt.Sprintf("both have a valid %s, and the two differ: without a verdict they are never one %s", strings.Join(r.Fields, ", "), why.About)
	case partition.Ruled:
		return "a person said that they are different"
	case partition.Barred:
		return fmt.Sprintf("of those that each is together with, %s and %s cannot be one", r.A, r.B)
	case partition.Weak:
		return fmt.Sprintf("the evidence comes to %s, and %s link two records", bitsOf(r.Weight), bitsOf(why.Link))
	case partition.Doubted:
		return "a doubt of the model holds, and a person has to decide: " + strings.ReplaceAll(strings.Join(r.Doubts, ", "), "_", " ")
	case partition.NeverMet:
		return "no blocking rule finds the one by the other: the two are never compared"
	case partition.OverFull:
		return "only blocks that too many records share find the one by the other: the two are never compared"
	case partition.NoChain:
		return "no chain of linked records joins them"
	case partition.LowAverage:
		return fmt.Sprintf("a chain joins them, but the %d pairs between those that each is together with come to %s on the average, and %s would be needed", r.Pairs, bitsOf(r.Weight), bitsOf(why.Cluster))
	}
	return r.Code
}

func toldHead(w io.Writer, about string) {
	fmt.Fprintf(w, "\tRECORD\tDATASET\tROLE\t%s\tRULE\tNO EVIDENCE\n", strings.ToUpper(about))
}

func tell(w io.Writer, mark string, t partition.Told) {
	damped := ""
	if len(t.Damped) > 0 {
		damped = strings.Join(t.Damped, ", ") + " (too many share it)"
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", mark, t.Record, t.Dataset, t.Role, t.Party, strings.ReplaceAll(t.Rule, "_", " "), damped)
}

func sayVerdicts(w io.Writer, verdicts []review.Verdict) {
	for _, v := range verdicts {
		said := map[string]string{review.Same: "are the same", review.Different: "are different", review.Unsure: "cannot be told"}[v.Decision]
		fmt.Fprintf(w, "verdict of %s: %s and %s %s\n", v.At.Local().Format(time.DateTime), v.A, v.B, said)
	}
}

// sayParty prints what is known of a party or a record.
func sayParty(out io.Writer, p *partition.Party) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	switch {
	case p.Gone && p.Of == "record":
		fmt.Fprintf(w, "The record %s was deleted.\n", p.Asked)
		return w.Flush()
	case p.Of == "record":
		fmt.Fprintf(w, "The record %s is of the %s %s.\n", p.Asked, p.About, p.Party)
	case len(p.Successors) > 0:
		fmt.Fprintf(w, "%s is retired and went on as %s.\n", p.Asked, p.Party)
	}
	if p.Gone {
		fmt.Fprintf(w, "None of its records is left.\n")
		return w.Flush()
	}
	fmt.Fprintf(w, "%s: %d records; it came to be by message %d (version %s).\n\n", p.Party, p.Size, p.Sequence, strconv.FormatUint(p.Born, 10))
	toldHead(w, p.About)
	for _, m := range p.Members {
		tell(w, "", m)
		if m.Values != nil {
			fmt.Fprintf(w, "\t  %s\n", strings.Join(present(m.Values), ", "))
		}
	}
	if len(p.Members) < p.Size {
		fmt.Fprintf(w, "\tand %d more\n", p.Size-len(p.Members))
	}
	fmt.Fprintln(w)
	for _, t := range p.Ties {
		how := bitsOf(t.Weight)
		switch {
		case t.Same:
			how = "a person said that they are one"
		case !t.Links:
			how += ", which alone would not link them"
		}
		fmt.Fprintf(w, "%s with %s: %s\n", t.A, t.B, how)
	}
	for _, o := range p.Open {
		fmt.Fprintf(w, "%s is like %s of %s: %s\n", o.A, o.B, o.Party, bitsOf(o.Weight))
	}
	for _, id := range p.Retired {
		fmt.Fprintf(w, "%s was retired into it\n", id)
	}
	sayVerdicts(w, p.Verdicts)
	fmt.Fprintf(w, "model %s\n", p.Model)
	return w.Flush()
}
