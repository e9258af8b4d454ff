package semantic_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shirecounty/shire/schemas/semantic"
)

// mustNew builds a type whose parameters the test knows to be right.
func mustNew(t testing.TB, name string, params semantic.Params) semantic.Type {
	t.Helper()
	typ, err := semantic.New(name, params)
	if err != nil {
		t.Fatal(err)
	}
	return typ
}

// parse calls the parser of whichever kind and writes the canonical value as text.
func parse(typ semantic.Type, s string) (string, *semantic.Problem) {
	switch typ := typ.(type) {
	case semantic.TextType:
		return typ.ParseText(s)
	case semantic.DateType:
		v, p := typ.ParseDate(s)
		return semantic.FormatDate(v), p
	case semantic.TimestampType:
		v, p := typ.ParseTimestamp(s)
		return semantic.FormatTimestamp(v), p
	case semantic.IntegerType:
		v, p := typ.ParseInteger(s)
		return fmt.Sprint(v), p
	case semantic.DecimalType:
		v, p := typ.ParseDecimal(s)
		return fmt.Sprint(v), p
	case semantic.BooleanType:
		v, p := typ.ParseBoolean(s)
		return fmt.Sprint(v), p
	}
	panic("type " + typ.Name() + " has no parser")
}

// row is one line of a table test: want is the canonical value, or "!" and the code of the problem.
type row struct{ in, want string }

func runTable(t *testing.T, typ semantic.Type, rows []row) {
	t.Helper()
	for _, r := range rows {
		got, p := parse(typ, r.in)
		if p != nil {
			got = "!" + p.Code
		}
		if got != r.want {
			t.Errorf("%s of %q: have %q, want %q", typ.Name(), r.in, got, r.want)
		}
	}
}

// I7: no problem repeats the value. Values are long enough not to be part of a sentence by chance.
func TestProblemsNeverContainTheValue(t *testing.T) {
	values := []string{"11010519491231002Y", "110105194912310021", "990105194912310021", "11010519490231002X", "350102198", "2023-02-30",
		"24-01-05", "13812", "123456789012345678901234567890", "张三丰9", "91350100M000100Y44", "12.34567", "9999999999999999999999", "红色的",
		strings.Repeat("王", 11000), "\xff\xfe123456", "3.50102E+17", "3501**********1234", "13800138001/13900139000"}
	for _, name := range semantic.Names() {
		typ := mustNew(t, name, exampleParams[name])
		for _, v := range values {
			_, p := parse(typ, v)
			if p == nil {
				continue
			}
			if p.Code == "" || p.Message == "" {
				t.Errorf("%s: a problem without code or message: %+v", name, p)
			}
			if strings.Contains(p.Message, v) {
				t.Errorf("%s: the message %q contains the value", name, p.Message)
			}
		}
	}
}

func TestEveryTypeRefusesBlankTextAsEmpty(t *testing.T) {
	for _, name := range semantic.Names() {
		typ := mustNew(t, name, exampleParams[name])
		for _, blank := range []string{"", " ", "\t\r\n", "\u3000", "\ufeff", "\u00a0\u200b", "\x00\x00"} {
			if _, p := parse(typ, blank); p == nil || p.Code != semantic.CodeEmpty {
				t.Errorf("%s of %q: have problem %v, want empty", name, blank, p)
			}
		}
	}
}

// exampleParams holds the parameters of types that need some.
var exampleParams = map[string]semantic.Params{
	"code": {"table": map[string]any{"男": "male", "女": "female", "1": uint64(2)}},
}

func TestEveryTypeIsDocumentedAndHasTheParserOfItsKind(t *testing.T) {
	codes := map[string]bool{}
	for _, c := range semantic.Codes() {
		codes[c] = true
	}
	for _, d := range semantic.Definitions() {
		if d.Doc.Zh == "" || d.Doc.En == "" {
			t.Errorf("%s: the documentation lacks a language", d.Name)
		}
		for _, p := range d.Params {
			if p.Doc.Zh == "" || p.Doc.En == "" || p.Type == "" {
				t.Errorf("%s: parameter %s is not documented", d.Name, p.Name)
			}
		}
		typ := mustNew(t, d.Name, exampleParams[d.Name])
		if typ.Name() != d.Name || typ.Kind() != d.Kind {
			t.Errorf("%s: the type says %s %s, the definition %s", d.Name, typ.Name(), typ.Kind(), d.Kind)
		}
		ok := false
		switch d.Kind {
		case semantic.Text:
			_, ok = typ.(semantic.TextType)
		case semantic.Date:
			_, ok = typ.(semantic.DateType)
		case semantic.Timestamp:
			_, ok = typ.(semantic.TimestampType)
		case semantic.Integer:
			_, ok = typ.(semantic.IntegerType)
		case semantic.Decimal:
			_, ok = typ.(semantic.DecimalType)
		case semantic.Boolean:
			_, ok = typ.(semantic.BooleanType)
		}
		if !ok {
			t.Errorf("%s has no parser for its kind %s", d.Name, d.Kind)
		}
		if _, p := parse(typ, "\x01§§§\x02~"); p != nil && !codes[p.Code] {
			t.Errorf("%s: the code %q is not listed", d.Name, p.Code)
		}
	}
}

func TestNewExplainsMistakes(t *testing.T) {
	for _, c := range []struct {
		name   string
		params semantic.Params
		want   string
	}{
		{"citizen_nummer", nil, "did you mean citizen_number?"},
		{"zzzzzzzzzzzz", nil, "valid are address, boolean"},
		{"money", semantic.Params{"Unit": "yuan"}, `no parameter "Unit": did you mean unit?`},
		{"money", semantic.Params{"unit": "dollar"}, `parameter unit: want one of yuan, fen, wan, have "dollar"`},
		{"sex", semantic.Params{"x": 1}, "takes no parameters"},
		{"code", nil, "a code table with at least one line"},
		{"code", semantic.Params{"table": []any{"a"}}, "want a map"},
		{"code", semantic.Params{"table": map[string]any{"a": ""}}, "no canonical value"},
		{"code", semantic.Params{"table": map[string]any{"a": []any{}}}, "put it in quotes"},
		{"timestamp", semantic.Params{"time_zone": "Asia/Peking"}, "IANA name"},
		{"timestamp", semantic.Params{"layout": "02.01.06"}, "four-digit year"},
		{"timestamp", semantic.Params{"layout": "15:04"}, "four-digit year"},
		{"timestamp", semantic.Params{"epoch": "hours"}, "want one of"},
		{"timestamp", semantic.Params{"epoch": "seconds", "excel": true}, "remove one"},
		{"date", semantic.Params{"excel": "yes"}, "want true or false"},
		{"date", semantic.Params{"long_term": "never"}, "want a date"},
		{"date", semantic.Params{"placeholders": []any{"soon"}}, "want dates"},
		{"text", semantic.Params{"max": 0}, "want a number from 1"},
		{"text", semantic.Params{"max": 1.5}, "want a whole number"},
		{"integer", semantic.Params{"min": 5, "max": 4}, "min is greater than max"},
		{"division_code", semantic.Params{"digits": 7}, "want 6, 9 or 12"},
		{"phone", semantic.Params{"area_code": "591"}, "area code"},
		{"boolean", semantic.Params{"true": []any{"x"}, "false": []any{"X"}}, "true and false at once"},
	} {
		_, err := semantic.New(c.name, c.params)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New(%s, %v): have %v, want an error with %q", c.name, c.params, err, c.want)
		}
	}
}
