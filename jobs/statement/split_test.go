package statement

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSplit(t *testing.T) {
	tests := []struct {
		text string
		want []string
	}{
		{"", nil},
		{" ;; -- nothing\n;/* ; */", nil},
		{"SELECT 1", []string{"SELECT 1"}},
		{"\ufeffSELECT 1;\nSELECT 2 ;", []string{"SELECT 1", "SELECT 2"}},
		{"SELECT ';', ';;'';', '\\';';SELECT 2", []string{"SELECT ';', ';;'';', '\\';'", "SELECT 2"}},
		{"SELECT 1 AS `a;``b`, 2 AS \"c;\\\"d\"; SELECT 2", []string{"SELECT 1 AS `a;``b`, 2 AS \"c;\\\"d\"", "SELECT 2"}},
		{"SELECT 1 -- ;\n, 2 // ;\n, 3 # ;\n, 4 #! ;\n, 5--;\n;SELECT 6", []string{"SELECT 1 -- ;\n, 2 // ;\n, 3 # ;\n, 4 #! ;\n, 5--;", "SELECT 6"}},
		{"SELECT 1 /* ; /* ; */ ; */; SELECT 2", []string{"SELECT 1 /* ; /* ; */ ; */", "SELECT 2"}},
		{"SELECT $$;$$, $x$;$$;$x$; SELECT 2", []string{"SELECT $$;$$, $x$;$$;$x$", "SELECT 2"}},
		{"SELECT 1 AS a$b; SELECT 1 AS $c; SELECT 2 AS d$", []string{"SELECT 1 AS a$b", "SELECT 1 AS $c", "SELECT 2 AS d$"}},
		{"SELECT ‘;’, “;” FROM x; SELECT 2", []string{"SELECT ‘;’, “;” FROM x", "SELECT 2"}},
		{"INSERT INTO own.t VALUES ('a;b'), (2)\n;\n", []string{"INSERT INTO own.t VALUES ('a;b'), (2)"}},
	}
	for _, test := range tests {
		statements, err := Split(test.text)
		var got []string
		for _, s := range statements {
			got = append(got, s.Text)
		}
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%q\ngot  %q, %v\nwant %q", test.text, got, err, test.want)
		}
	}
}

func TestSplitRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT 1;\nSELECT 'a":       "line 2: a text in ' begins here and does not end; write ' where it ends",
		"SELECT 'a\\'":               "a text in ' begins here",
		"\n\n/* /* */":               "line 3: a comment begins here and does not end",
		"SELECT ‘a'":                 "line 1: a text in ‘ begins here and does not end; write ’ where it ends",
		"SELECT 1；":                  "line 1: ； is not a sign of SQL; write ;",
		"SELECT count（） FROM x":      "（ is not a sign of SQL; write (",
		"SELECT '\xc4\xe3'":          "the file is not in UTF-8; save it as UTF-8",
		"SELECT 1;\nSELECT '\x00'":   "line 2: a zero byte stands here",
		"SELECT \"a FROM b\nWHERE 1": `a text in " begins here`,
	} {
		_, err := Split(text)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestParameters(t *testing.T) {
	statements, err := Split("SELECT {'a': 1}, {from:DateTime('Asia/Shanghai')} -- {no:String}\n, '{no:String}',\n{ b : Array( String ) }; SELECT {c:UInt8} + {c:UInt8}, {d:Enum('a}'=1)}, {e}, {f:}")
	if err != nil {
		t.Fatal(err)
	}
	want := []Parameter{{"from", "DateTime('Asia/Shanghai')", 1, 18}, {"b", "Array( String )", 3, 84}}
	if got := statements[0].Parameters; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	want = []Parameter{{"c", "UInt8", 3, 8}, {"c", "UInt8", 3, 20}, {"d", "Enum('a}'=1)", 3, 31}}
	if got := statements[1].Parameters; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestMisuse(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT 1 INTO OUTFILE 'x'":                          "INTO OUTFILE is done by the client",
		"select 1 into /* x */ outfile 'x'":                  "INTO OUTFILE is done by the client",
		"INSERT INTO own.t FORMAT CSV 1,2":                   "INSERT ... FORMAT takes its rows",
		"INSERT INTO own.t (a, b) SETTINGS x = 1 FORMAT CSV": "INSERT ... FORMAT takes its rows",
		"INSERT INTO own.t SELECT format FROM x":             "",
		"INSERT INTO own.format VALUES (1)":                  "",
		"INSERT INTO format VALUES (1)":                      "",
		"INSERT INTO outfile SELECT 1":                       "",
		"SELECT 'INTO OUTFILE' FORMAT CSV":                   "",
	} {
		statements, err := Split(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := statements[0].misuse(); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

// pieces are what texts are made of in the tests below: each is a whole lexeme, and most hold what would mislead.
var pieces = []string{"SELECT", " ", "\n", "'a;b'", "'a''b;'", `'\';'`, "`a;`", `"a;"`, "-- ;'\n", "// ;\"\n", "# ;`\n", "#! ;\n", "/* ; */", "/* /* ;' */ */",
	"$$;'$$", "$a$ ; $$ ; $a$", "‘;’", "“;”", "a$b", "$c", "1.5e3", "{p:String}", "{'a;': 1}", ",", "(", ")", "[", "]", "-", "/", "*", "南", "|", "."}

// What is put together from statements comes apart into them.
func TestSplitJoins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		var want []string
		var lines []int
		for range rapid.IntRange(0, 6).Draw(t, "statements") {
			var body strings.Builder
			for _, p := range rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 8).Draw(t, "pieces") {
				body.WriteString(p + " ") // without a space two pieces might become another one
			}
			if tokens(t, body.String()) > 0 {
				one := withoutLeadingBlank(body.String())
				want = append(want, one)
				lines = append(lines, 1+strings.Count(text.String()+strings.TrimSuffix(strings.TrimRight(body.String(), " \n"), one), "\n"))
			}
			text.WriteString(body.String() + ";")
		}
		statements, err := Split(text.String())
		if err != nil {
			t.Fatal(err)
		}
		if len(statements) != len(want) {
			t.Fatalf("got %d statements of %d from %q", len(statements), len(want), text.String())
		}
		for i, s := range statements {
			if s.Text != want[i] || s.Line != lines[i] {
				t.Fatalf("got %q in line %d, want %q in line %d of %q", s.Text, s.Line, want[i], lines[i], text.String())
			}
		}
	})
}

// tokens counts what is no white space and no comment.
func tokens(t *rapid.T, text string) (n int) {
	s := splitter{text: text}
	for {
		token, err := s.next()
		if err != nil {
			t.Fatal(err)
		}
		switch token.kind {
		case end:
			return n
		case blank:
		default:
			n++
		}
	}
}

func withoutLeadingBlank(text string) string {
	s := splitter{text: text}
	for {
		if token, _ := s.next(); token.kind != blank {
			return strings.TrimSpace(text[token.from:])
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add(strings.Join(pieces, " "))
	f.Add("SELECT 1; SELECT '")
	f.Add("INSERT INTO a FORMAT CSV")
	f.Fuzz(func(t *testing.T, text string) {
		statements, err := Split(text)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Line < 1 || syntax.Line > 1+strings.Count(text, "\n") || syntax.Do == "" {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		rest, last := text, 1
		for _, s := range statements {
			at := strings.Index(rest, s.Text)
			if at < 0 || s.Text == "" || s.Line < last {
				t.Fatalf("%q: %q is no part of it, in order", text, s.Text)
			}
			rest, last = rest[at+len(s.Text):], s.Line
			// A statement is one statement.
			again, err := Split(s.Text)
			if err != nil || len(again) != 1 || again[0].Text != s.Text || len(again[0].Parameters) != len(s.Parameters) {
				t.Fatalf("%q: %q comes apart into %v, %v", text, s.Text, again, err)
			}
			s.misuse()
			for _, p := range s.Parameters {
				if !strings.HasPrefix(s.Text[p.at:], p.Name) {
					t.Fatalf("%q: the name %s does not stand at %d", s.Text, p.Name, p.at)
				}
			}
		}
	})
}
