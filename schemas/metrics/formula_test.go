package metrics

import (
	"fmt"
	"math"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// value computes a formula by walking it; NaN stands for a division by zero anywhere.
func (n *node) value(of func(metric, part string) float64) float64 {
	switch n.operator {
	case 0:
		if n.metric != "" {
			return of(n.metric, n.part)
		}
		v, err := strconv.ParseFloat(n.number, 64)
		if err != nil {
			panic(err)
		}
		return v
	case '+':
		return n.left.value(of) + n.right.value(of)
	case '-':
		return n.left.value(of) - n.right.value(of)
	case '*':
		return n.left.value(of) * n.right.value(of)
	}
	if right := n.right.value(of); right != 0 {
		return n.left.value(of) / right
	}
	return math.NaN()
}

// A formula that is written out in full, as SQL has it, says what the formula says.
func TestFormulasKeepTheirMeaning(t *testing.T) {
	var expression func(t *rapid.T, depth int) (text string, value float64)
	of := func(metric, part string) float64 {
		return map[string]float64{"a.numerator": 3, "a.denominator": 4, "b.": 7}[metric+"."+part]
	}
	expression = func(t *rapid.T, depth int) (string, float64) {
		if depth == 0 {
			leaf := rapid.SampledFrom([]string{"a.numerator", "a . denominator", "b", "2", "0.5", "0"}).Draw(t, "leaf")
			return leaf, map[string]float64{"a.numerator": 3, "a . denominator": 4, "b": 7, "2": 2, "0.5": .5, "0": 0}[leaf]
		}
		left, l := expression(t, rapid.IntRange(0, depth-1).Draw(t, "left"))
		right, r := expression(t, rapid.IntRange(0, depth-1).Draw(t, "right"))
		switch rapid.SampledFrom([]string{"+", "-", "*", "/", "negative"}).Draw(t, "operator") {
		case "+":
			return "(" + left + " + " + right + ")", l + r
		case "-":
			return "(" + left + "-" + right + ")", l - r
		case "*":
			return "(" + left + ")*(" + right + ")", l * r
		case "/":
			if r == 0 {
				return "((" + left + ") / (" + right + "))", math.NaN()
			}
			return "((" + left + ") / (" + right + "))", l / r
		}
		return "-(" + left + ")", -l
	}
	rapid.Check(t, func(t *rapid.T) {
		text, want := expression(t, rapid.IntRange(0, 5).Draw(t, "depth"))
		f, err := parseFormula(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		again, err := parseFormula(f.root.write(func(metric, part string) string {
			if part == "" {
				return metric
			}
			return metric + "." + part
		}, func(a, b string) string { return "(" + a + " / " + b + ")" }))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		for _, got := range []float64{f.root.value(of), again.root.value(of)} {
			if got != want && !(math.IsNaN(got) && math.IsNaN(want)) && math.Abs(got-want) > 1e-9*math.Abs(want) {
				t.Fatalf("%s: %v, want %v", text, got, want)
			}
		}
	})
	for text, want := range map[string]float64{"1 - 2 - 3": -4, "8 / 4 / 2": 1, "1 + 2 * 3": 7, "2 * 3 + 1": 7, "-2 * 3": -6, "1 - -2": 3, "b / 2": 3.5} {
		f, err := parseFormula(text)
		if err != nil || f.root.value(of) != want {
			t.Errorf("%s: %v, want %v", text, f.root.value(of), want)
		}
	}
}

func FuzzFormula(f *testing.F) {
	for _, text := range []string{"1 - promised_of_statutory", "a.numerator / (b.denominator + 2)", "((", "-", "a.b", "1.2.3", "é", "a\x00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		formula, err := parseFormula(text)
		if err != nil {
			return
		}
		// Whatever is accepted, the text of a statement has only what this package wrote: names, numbers and operators.
		sql := formula.sql(func(metric, part string) string { return "x" })
		for _, r := range sql {
			if !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == 'I' || r == ' ' || r == '.' || r == ',' || r == '(' || r == ')' || r == '+' || r == '-' || r == '*' || r == '/') {
				t.Errorf("%q became %q", text, sql)
			}
		}
		if fmt.Sprint(formula.metrics()) == "" {
			t.Error("no list")
		}
	})
}
