package batch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/shirecounty/shire/schemas/identity"
)

func TestInput(t *testing.T) {
	in := &Input{}
	in.Add([]string{"a", "", "x"})
	in.Add([]string{"b"})
	in.Complete()
	in.Add([]string{"a", "y", "x", "beyond"})
	in.Complete()
	for i, want := range []string{`["a" "" "x"]`, `["b" "" ""]`, `["a" "y" "x"]`} {
		if got := fmt.Sprintf("%q", in.Values(i, nil)); got != want {
			t.Errorf("record %d is %s, want %s", i, got, want)
		}
	}
	if in.Len() != 3 || in.columns[0].text.String() != "aba" {
		t.Errorf("%d records, texts %q", in.Len(), in.columns[0].text.String())
	}
	// Two texts of one hash: the second is not taken for the first.
	c := &column{ends: []int{0}, known: map[uint64]uint32{xxhash.Sum64String("one"): 1}}
	c.text.WriteString("two")
	c.ends = append(c.ends, c.text.Len())
	if n := c.number([]byte("one")); c.at(n) != "one" || c.at(1) != "two" {
		t.Errorf("another text of the same hash is %q", c.at(n))
	}
}

func TestRefuses(t *testing.T) {
	m := load(t, fmt.Sprintf(modelText, 9, 9)+parametersText)
	other := load(t, fmt.Sprintf(modelText, 8, 9)+parametersText)
	in := &Input{}
	in.Add([]string{"张伟"})
	if _, _, err := Train(t.Context(), m.Spec(), in, 1, quiet); err == nil || !strings.Contains(err.Error(), "at least two") {
		t.Errorf("trained on one record: %v", err)
	}
	p, err := Prepare(t.Context(), m, in, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Resolve(t.Context(), other, quiet); err == nil {
		t.Error("resolved by a model of other blocks")
	}
	for _, verdict := range [][2]int32{{0, 0}, {0, 1}, {-1, 0}} {
		in.Different = [][2]int32{verdict}
		if _, err := Prepare(t.Context(), m, in, quiet); err == nil {
			t.Errorf("the verdict %v is taken", verdict)
		}
	}
	in.Different = nil
	if _, err := Prepare(t.Context(), m, &Input{}, quiet); err != nil {
		t.Errorf("no records: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Resolve(ctx, m, in, quiet); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// Training finds the same from the same seed, says how well each level is supported, and counts the model's version on.
func TestTrain(t *testing.T) {
	s, err := identity.Parse("model.yaml", []byte(fmt.Sprintf(modelText, 50, 50)))
	if err != nil {
		t.Fatal(err)
	}
	in := &Input{}
	for i := range 3000 {
		k := i % 1000 // each is there three times
		in.Add([]string{string([]rune{rune('一' + k%700), rune('一' + 2000 + k)}), number(k), fmt.Sprintf("139111%05d", k), ""})
	}
	var texts []string
	for range 2 {
		trained, report, err := Train(t.Context(), s, in, 7, quiet)
		if err != nil {
			t.Fatal(err)
		}
		text, err := trained.Text()
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
		if trained.Version != 3 || !report.Converged || report.Matches < 2900 || report.Matches > 3100 {
			t.Errorf("version %d, report %+v", trained.Version, report)
		}
		for _, p := range report.Parameters {
			if p.Comparison == "number" && p.Level == "exact" && (p.Weak || p.Bits < 8) {
				t.Errorf("well supported: %+v", p)
			}
			if p.Comparison == "town" && !p.Weak {
				t.Errorf("a field that no record has: %+v", p)
			}
		}
		if again, _, err := Train(t.Context(), trained, in, 7, quiet); err != nil || again.Version != 4 {
			t.Errorf("trained again: %v, %v", again, err)
		}
	}
	if texts[0] != texts[1] {
		t.Error("the same seed gives two models")
	}
	if _, err := identity.Parse("trained.yaml", []byte(texts[0])); err != nil {
		t.Errorf("the trained model cannot be read: %v", err)
	}
}
