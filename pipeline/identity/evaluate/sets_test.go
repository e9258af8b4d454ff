package evaluate_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/shirecounty/shire/pipeline/identity/evaluate"
	"github.com/shirecounty/shire/schemas/identity"
)

// The public sets, each with the one model for its kind of data, trained on the file without its labels. The bounds are
// what the best peer reaches at the threshold that suits it best, and .90 for the hardest.
func TestPublicSets(t *testing.T) {
	dir := os.Getenv("SHIRE_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "data")
	}
	for _, c := range []struct {
		model, file string
		f1, bCubed  float64
	}{
		{"historical", "historical_half.csv", .90, .8734},
		{"febrl", "febrl3.csv", .9972, .9987},
		{"fake", "fake_1000.csv", .9257, .9402},
	} {
		t.Run(c.model, func(t *testing.T) {
			file := filepath.Join(dir, c.file)
			if _, err := os.Stat(file); err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatalf("%s is not here: set SHIRE_DATA to the folder of the test data", file)
				}
				t.Skipf("%s is not here: set SHIRE_DATA to the folder of the test data", file)
			}
			s, err := identity.Load(filepath.Join("..", "..", "..", "docs", "examples", "identity", c.model+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			if s.Parameters != nil {
				t.Error("the example has parameters; it is to be trained on the file at hand")
			}
			l, err := evaluate.NewLayout(s, nil)
			if err != nil {
				t.Fatal(err)
			}
			l.Truth = "cluster"
			e, err := evaluate.Run(context.Background(), s, file, l, evaluate.Options{Seed: 1}, func(string, int, int) {})
			if err != nil {
				t.Fatal(err)
			}
			q := e.Quality
			t.Logf("F1 %.4f, B-cubed %.4f, %d false and %d missed pairs", q.F1, q.BCubed, q.FalsePairs, q.MissedPairs)
			if q.F1 < c.f1 || q.BCubed < c.bCubed {
				t.Errorf("F1 is %.4f and B-cubed %.4f; at least %.4f and %.4f are asked for", q.F1, q.BCubed, c.f1, c.bCubed)
			}
		})
	}
}
