package mysql

import (
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/shirecounty/shire/connectors"
)

// effect is what a statement that stands in the binlog as text does to a table.
type effect int

const (
	nothing  effect = iota
	reshapes        // its columns may be others now
	rewrites        // its rows are others now, and no row of the binlog says so
)

// effectOf tells what a statement does to a table. When in doubt it does more: the worst that follows is a snapshot.
func effectOf(statement, schema string, of connectors.Table) effect {
	most := nothing
	for _, reading := range readings(statement) {
		most = max(most, effectOfWords(words(reading), schema, of))
	}
	return most
}

// readings are the statement as it stands and, when that is no UTF-8, as a client that speaks GBK wrote it.
func readings(statement string) []string {
	if utf8.ValidString(statement) {
		return []string{statement}
	}
	decoded, err := simplifiedchinese.GBK.NewDecoder().String(statement)
	if err != nil {
		return []string{statement}
	}
	return []string{statement, decoded}
}

// word is a word of a statement, or a sign; names in backquotes are no keywords.
type word struct {
	text   string
	quoted bool
}

func (w word) is(keyword string) bool { return !w.quoted && strings.EqualFold(w.text, keyword) }

// words takes a statement apart. Texts in quotes and comments are left out; what stands in /*! */ is not.
func words(s string) (out []word) {
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '`':
			var name strings.Builder
			for i++; i < len(s); i++ {
				if s[i] == '`' {
					if i+1 < len(s) && s[i+1] == '`' {
						i++
					} else {
						break
					}
				}
				name.WriteByte(s[i])
			}
			i++
			out = append(out, word{name.String(), true})
		case c == '\'' || c == '"':
			start := i + 1
			for i++; i < len(s) && s[i] != c; i++ {
				if s[i] == '\\' {
					i++
				}
			}
			if c == '"' { // a name under ANSI_QUOTES
				out = append(out, word{s[min(start, len(s)):min(i, len(s))], true})
			}
			i++
		case strings.HasPrefix(s[i:], "/*!") || strings.HasPrefix(s[i:], "/*M!"):
			i += strings.IndexByte(s[i:], '!') + 1
			for i < len(s) && s[i] >= '0' && s[i] <= '9' {
				i++
			}
		case strings.HasPrefix(s[i:], "/*"):
			end := strings.Index(s[i+2:], "*/")
			if end < 0 {
				return out
			}
			i += end + 4
		case c == '#' || strings.HasPrefix(s[i:], "-- "):
			end := strings.IndexByte(s[i:], '\n')
			if end < 0 {
				return out
			}
			i += end
		case isNameByte(c):
			start := i
			for i < len(s) && isNameByte(s[i]) {
				i++
			}
			out = append(out, word{text: s[start:i]})
		default:
			if c > ' ' {
				out = append(out, word{text: string(c)})
			}
			i++
		}
	}
	return out
}

func isNameByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

func effectOfWords(w []word, schema string, of connectors.Table) effect {
	if len(w) == 0 {
		return nothing
	}
	has := func(keywords ...string) bool {
		return slices.ContainsFunc(w, func(x word) bool { return slices.ContainsFunc(keywords, x.is) })
	}
	switch {
	case w[0].is("DROP") && (has("DATABASE") || has("SCHEMA")):
		if slices.ContainsFunc(w[1:], func(x word) bool { return strings.EqualFold(x.text, of.Schema) }) {
			return rewrites
		}
		return nothing
	case !mentions(w, schema, of):
		return nothing
	case w[0].is("CREATE") || w[0].is("DROP"):
		table := slices.IndexFunc(w, func(x word) bool { return x.is("TABLE") || x.is("TABLES") })
		if table < 0 || has("TEMPORARY") || slices.ContainsFunc(w[:table], func(x word) bool {
			return x.is("VIEW") || x.is("TRIGGER") || x.is("PROCEDURE") || x.is("FUNCTION") || x.is("EVENT")
		}) {
			return nothing
		}
		if w[0].is("DROP") || mentions(first(w[table+1:]), schema, of) {
			return rewrites
		}
		return nothing // it is only the pattern of another, or what another refers to
	case w[0].is("ALTER"):
		if len(w) > 2 && !w[1].is("TABLE") && !w[2].is("TABLE") && !w[1].is("ONLINE") && !w[1].is("OFFLINE") {
			return nothing
		}
		for i, x := range w {
			next := word{}
			if i+1 < len(w) {
				next = w[i+1]
			}
			switch {
			case x.is("RENAME") && !next.is("COLUMN") && !next.is("INDEX") && !next.is("KEY"),
				x.is("EXCHANGE"), x.is("DISCARD"), x.is("IMPORT"),
				(x.is("DROP") || x.is("TRUNCATE")) && next.is("PARTITION"):
				return rewrites
			}
		}
		return reshapes
	case has("INSERT", "REPLACE", "UPDATE", "DELETE", "LOAD", "TRUNCATE") && !w[0].is("GRANT") && !w[0].is("REVOKE"), w[0].is("RENAME"):
		return rewrites
	}
	return nothing
}

// fills tells whether an ALTER TABLE may give rows that are there already other values: a new column with a default, another
// type. It is asked only when the columns of before are not known.
func fills(statement string) bool {
	w := words(statement)
	for i, x := range w {
		next := word{}
		if i+1 < len(w) {
			next = w[i+1]
		}
		if x.is("MODIFY") || x.is("CHANGE") || x.is("CONVERT") || x.is("GENERATED") || x.is("AS") && next.text == "(" ||
			x.is("NOT") && next.is("NULL") || x.is("DEFAULT") && !next.is("NULL") {
			return true
		}
	}
	return false
}

// first is the first name of a list of words, with its schema, without what may stand in front of it.
func first(w []word) []word {
	for len(w) > 0 && (w[0].is("IF") || w[0].is("NOT") || w[0].is("EXISTS")) {
		w = w[1:]
	}
	if len(w) > 2 && w[1].text == "." {
		return w[:3]
	}
	return w[:min(1, len(w))]
}

// mentions tells whether the table is named. Names are compared without regard to case: servers differ in that.
func mentions(w []word, schema string, of connectors.Table) bool {
	for i, x := range w {
		if !strings.EqualFold(x.text, of.Name) {
			continue
		}
		in := schema
		if i >= 2 && w[i-1].text == "." && !w[i-1].quoted {
			in = w[i-2].text
		}
		if strings.EqualFold(in, of.Schema) {
			return true
		}
	}
	return false
}
