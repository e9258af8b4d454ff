//go:build unix

package command

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func record(most int, secrets []string, pieces ...string) (string, *recorder) {
	var out strings.Builder
	r := newRecorder(&out, most, secrets)
	for _, p := range pieces {
		_, _ = r.Write([]byte(p))
	}
	_ = r.close()
	return out.String(), r
}

func TestHarmlessLines(t *testing.T) {
	long := strings.Repeat("长", 3000)
	for in, want := range map[string]string{
		"":                       "",
		"a\nb":                   "a\nb\n",
		"a\r\nb\r\n":             "a\nb\n",
		"10%\r20%\rdone\n":       "10%\n20%\ndone\n",
		"\n\n":                   "\n\n",
		"\x1b[31mred\x1b[0m\a":   "␛[31mred␛[0m␇\n",
		"\x00\x7f\t|":            "␀␡\t|\n",
		"\xc4\xe3 GBK":           "\ufffd\ufffd GBK\n",
		"\u202eevil\u2066\u200f": "evil\n",
		"a\u2028b\u0085c":        "a\ufffdb\ufffdc\n",
		long + "\nshort":         long[:4095] + " … (4905 more bytes of this line)\nshort\n",
	} {
		if got, _ := record(1<<20, nil, in); got != want {
			t.Errorf("%.40q: got %q, want %q", in, got, want)
		}
	}
}

// However the output is cut to pieces, the lines are the same, harmless, and all there.
func TestPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOf(rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"\n", "\r\n", "\r", "\x1b[1m", "\xff", strings.Repeat("x", lineMax)}))).Draw(t, "pieces")
		whole := strings.Join(pieces, "")
		got, r := record(1<<20, nil, pieces...)
		if again, _ := record(1<<20, nil, whole); again != got {
			t.Fatalf("in pieces %q, whole %q", got, again)
		}
		lines := strings.Split(strings.TrimSuffix(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(whole), "\n"), "\n")
		if whole != "" && strings.Count(got, "\n") != len(lines) || r.printed != len(whole) || r.lines != strings.Count(got, "\n") {
			t.Fatalf("%d lines of %d, %d bytes of %d", strings.Count(got, "\n"), len(lines), r.printed, len(whole))
		}
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(c rune) bool { return c != '\n' && c != '\t' && unicode.IsControl(c) }) {
			t.Fatalf("not harmless: %q", got)
		}
	})
}

// Whatever is printed, what is kept has a bound, and begins and ends as the output does.
func TestBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.SampledFrom([]string{"abc\n", strings.Repeat("z", 300) + "\n", strings.Repeat("y", 10000) + "\n", "no end ", "\n", "\r"}).Draw(t, "line")
		n := rapid.IntRange(0, min(5000, 300_000/len(line))).Draw(t, "lines")
		most := rapid.IntRange(1<<10, 1<<17).Draw(t, "most")
		in := "first\n" + strings.Repeat(line, n) + "\nlast"
		size := rapid.SampledFrom([]int{1, 100, 1 << 12, 1 << 16}).Draw(t, "piece")
		var pieces []string
		for rest := in; rest != ""; rest = rest[min(size, len(rest)):] {
			pieces = append(pieces, rest[:min(size, len(rest))])
		}
		got, r := record(most, []string{"a long secret"}, pieces...)
		if !strings.HasPrefix(got, "first\n") || !strings.HasSuffix(got, "\nlast\n") {
			t.Fatalf("got %.50q to %.50q", got, got[max(0, len(got)-50):])
		}
		if len(got) > most+2*tailMax+3*lineMax || cap(r.tail) > 8*tailMax {
			t.Fatalf("%d bytes are kept, with a tail of %d", len(got), cap(r.tail))
		}
		if len(in) <= most && r.cutting {
			t.Fatalf("%d bytes were cut though %d are kept", len(in), most)
		}
	})
}

// A secret is not seen, wherever it stands.
func TestSecretsAreHidden(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringMatching(`[A-Z]{6,40}`).Draw(t, "secret")
		pad := func(name string) string {
			return strings.Repeat(rapid.SampledFrom([]string{".", ".\n", "\n"}).Draw(t, name), rapid.IntRange(0, 2*lineMax).Draw(t, name+"s"))
		}
		in := pad("before") + secret + pad("between") + secret + pad("after") + secret
		cutAt := rapid.IntRange(0, len(in)).Draw(t, "cut")
		got, _ := record(rapid.SampledFrom([]int{1 << 10, 1 << 20}).Draw(t, "most"), []string{secret, "x\nMULTI LINE\n"}, in[:cutAt], in[cutAt:], "\nMULTI LINE\n")
		if strings.ContainsAny(strings.NewReplacer("(secret)", "").Replace(got), "ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
			t.Fatalf("seen: %q", got)
		}
	})
}

// Nor in the pieces of a line that was cut in the middle of one.
func TestSecretsAreHiddenWhereLinesAreCut(t *testing.T) {
	const secret = "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJ"
	for n := range len(secret) {
		for _, count := range []int{2 * lineMax / len(secret), 8 * tailMax / len(secret)} {
			var pieces []string
			for piece := range slices.Chunk([]byte(strings.Repeat(".", n)+strings.Repeat(secret, count)), 1000) {
				pieces = append(pieces, string(piece))
			}
			got, _ := record(1<<10, []string{secret}, pieces...)
			if strings.ContainsAny(strings.ReplaceAll(got, "(secret)", ""), secret) {
				t.Fatalf("%d secrets after %d bytes are seen: %q", count, n, got)
			}
		}
	}
}

type broken struct{ writes int }

func (b *broken) Write([]byte) (int, error) { b.writes++; return 0, errors.New("the disk is full") }

// An output that cannot be kept fails the run, and does not keep the command waiting.
func TestOutputFails(t *testing.T) {
	b := &broken{}
	r := newRecorder(b, 100, nil)
	for range 1000 {
		_, _ = r.Write([]byte("line\n"))
	}
	if err := r.close(); err == nil || b.writes != 1 {
		t.Errorf("got %v after %d writes", err, b.writes)
	}
	_, err := New(settings(t, "/", "yes | head -c 1000000"), t.TempDir()).Do(t.Context(), task(nil), &broken{})
	if err == nil || !strings.Contains(err.Error(), "the output of the command sh could not be kept: the disk is full") {
		t.Errorf("got %v", err)
	}
}
