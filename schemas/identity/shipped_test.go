package identity_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/shirecounty/shire/connectors/simulate"
	"github.com/shirecounty/shire/pipeline/identity/batch"
	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/schemas/identity"
)

// shipped compiles a shipped model.
func shipped(t testing.TB, about string) *match.Model {
	t.Helper()
	s, err := identity.Shipped(about)
	if err != nil {
		t.Fatal(err)
	}
	m, err := match.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestShippedModelsHaveParameters(t *testing.T) {
	for _, about := range []string{"person", "organisation"} {
		if m := shipped(t, about); m.Spec().About != about || m.Spec().Parameters == nil {
			t.Errorf("the shipped model for %s is about %s, or has no parameters", about, m.Spec().About)
		}
	}
	if _, err := identity.Shipped("animal"); err == nil {
		t.Error("there is a shipped model for animals")
	}
}

func TestExamplesCompile(t *testing.T) {
	files, err := filepath.Glob("../../docs/examples/identity/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("found %d example models (%v)", len(files), err)
	}
	for _, file := range files {
		s, err := identity.Load(file)
		if err == nil {
			_, err = match.Compile(s)
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	person, err := identity.Shipped("person")
	if err != nil {
		t.Fatal(err)
	}
	county, err := identity.Load("../../docs/examples/identity/county.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if a, b := body(person), body(county); a != b {
		t.Error("schemas/identity/person.yaml and docs/examples/identity/county.yaml are one model, but for the parameters; bring both up to date")
	}
}

// body is a model's document without comments, name and parameters.
func body(s *identity.Model) string {
	plain := *s
	plain.Parameters = nil
	text, err := plain.Text()
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// TestTrainPerson writes the parameters of person.yaml when SHIRE_TRAIN is set, from a simulated county of a million
// records.
func TestTrainPerson(t *testing.T) {
	if os.Getenv("SHIRE_TRAIN") == "" {
		t.Skip("SHIRE_TRAIN is not set; with SHIRE_TRAIN=1 this writes the parameters of person.yaml, which takes a minute and two gigabytes")
	}
	const file, marker = "person.yaml", "\nparameters:\n"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := bytes.Cut(text, []byte(marker))
	head = append(bytes.TrimRight(head, "\n"), '\n')
	s, err := identity.Parse(file, head)
	if err != nil {
		t.Fatal(err)
	}
	in := &batch.Input{}
	add(t, s, in, simulate.PersonsOptions{Records: 1_000_000, Seed: 20, Defects: simulate.DefaultPersonDefects()})
	trained, rep, err := batch.Train(context.Background(), s, in, 1, func(string, int, int) {})
	if err != nil || !rep.Converged {
		t.Fatalf("training came to %+v (%v)", rep, err)
	}
	if err := os.WriteFile(file, append(head, parameters(trained)...), 0o644); err != nil {
		t.Fatal(err)
	}
}

// add simulates records and adds them.
func add(t testing.TB, s *identity.Model, in *batch.Input, o simulate.PersonsOptions) {
	t.Helper()
	read, write := io.Pipe()
	go func() { write.CloseWithError(simulate.WritePersons(write, o)) }()
	rows := csv.NewReader(read)
	head, err := rows.Read()
	if err != nil {
		t.Fatal(err)
	}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		values := make([]string, len(s.Fields))
		for f := range s.Fields {
			values[f] = row[slices.Index(head, s.Fields[f].Source())]
		}
		in.Add(values)
	}
}

// parameters writes them so that a person can read them: numbers with three digits, only the commonest names.
func parameters(s *identity.Model) string {
	const names, perLine = 3000, 12
	short := func(x float64) string { return strconv.FormatFloat(x, 'g', 3, 64) }
	p := s.Parameters
	var b strings.Builder
	fmt.Fprintf(&b, "\nparameters:\n  records: %d\n  pairs: %d\n  prior: %s\n  comparisons:\n", p.Records, p.Pairs, short(p.Prior))
	for _, c := range s.Comparisons {
		fmt.Fprintf(&b, "    %s:\n", c.Name)
		for _, e := range p.Comparisons[c.Name] {
			fmt.Fprintf(&b, "    - {m: %s, u: %s, support: %.0f}\n", short(e.M), short(e.U), e.Support)
		}
	}
	b.WriteString("  frequencies:\n")
	for _, f := range s.Fields {
		known, ok := p.Frequencies[f.Name]
		if !ok {
			continue
		}
		listed := make([]string, 0, len(known.Values))
		rest := 1.0
		for v, share := range known.Values {
			listed = append(listed, v)
			rest -= share
		}
		slices.SortFunc(listed, func(a, b string) int {
			if known.Values[a] != known.Values[b] {
				if known.Values[a] > known.Values[b] {
					return -1
				}
				return 1
			}
			return strings.Compare(a, b)
		})
		others := max(rest, 0) / known.Unlisted // how many values were not listed
		for len(listed) > names {
			rest += known.Values[listed[len(listed)-1]]
			others++
			listed = listed[:len(listed)-1]
		}
		fmt.Fprintf(&b, "    %s:\n      unlisted: %s\n      values: {", f.Name, short(rest/others))
		for i, v := range listed {
			switch {
			case i > 0 && i%perLine == 0:
				b.WriteString(",\n        ")
			case i > 0:
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%s: %s", v, short(known.Values[v]))
		}
		b.WriteString("}\n")
	}
	return b.String()
}
