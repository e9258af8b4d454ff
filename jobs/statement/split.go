package statement

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Statement is one statement of a file.
type Statement struct {
	Text       string      // as it stands in the file, without the semicolon behind it
	Line       int         // on which its first word stands, from 1
	Parameters []Parameter // in the order in which they stand

	words []word // outside of parentheses
}

// Parameter is a {name:Type} in a statement.
type Parameter struct {
	Name, Type string
	Line       int
	at         int // where its name stands in the statement's text
}

// word is a bare word, in upper case.
type word struct {
	text  string
	after string // the token before it
}

// SyntaxError says where a text cannot be taken apart, why, and what to write.
type SyntaxError struct {
	Line        int
	Message, Do string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d: %s; %s", e.Line, e.Message, e.Do)
}

// fullWidth are signs that look like those of SQL and are none; outside of a text they can only be a slip.
var fullWidth = map[rune]string{'；': ";", '，': ",", '（': "(", '）': ")", '＝': "=", '：': ":", '＊': "*", '｛': "{", '｝': "}"}

// Split takes a text apart at its semicolons, as ClickHouse's own lexer reads it: texts, quoted names and heredocs may
// hold semicolons, comments of all five kinds may, too, and those between /* and */ nest. The error is a [SyntaxError].
func Split(text string) ([]Statement, error) {
	if !utf8.ValidString(text) {
		return nil, &SyntaxError{1, "the file is not in UTF-8", "save it as UTF-8"}
	}
	if at := strings.IndexByte(text, 0); at >= 0 {
		return nil, &SyntaxError{1 + strings.Count(text[:at], "\n"), "a zero byte stands here", "take it out"}
	}
	s := splitter{text: text, at: len(text) - len(strings.TrimPrefix(text, "\ufeff"))}
	for {
		t, err := s.next()
		if err != nil {
			return nil, err
		}
		switch {
		case t.kind == end || t.kind == semicolon:
			if err := s.cut(t.from); err != nil {
				return nil, err
			}
			if t.kind == end {
				return s.statements, nil
			}
		case t.kind != blank:
			s.tokens = append(s.tokens, t)
		}
	}
}

type kind int

const (
	end       kind = iota
	blank          // white space and comments
	quoted         // texts, quoted names, heredocs
	bare           // words and numbers
	semicolon      //
	sign           // any other character
)

type token struct {
	kind     kind
	from, to int
}

type splitter struct {
	text       string
	at         int
	tokens     []token // of the statement that has not ended yet
	statements []Statement
	counted    int // line breaks before countedAt
	countedAt  int
}

// line is the line of a place; places are asked for in order.
func (s *splitter) line(at int) int {
	if at < s.countedAt {
		return 1 + strings.Count(s.text[:at], "\n")
	}
	s.counted += strings.Count(s.text[s.countedAt:at], "\n")
	s.countedAt = at
	return 1 + s.counted
}

func (s *splitter) fail(at int, do, format string, args ...any) error {
	return &SyntaxError{s.line(at), fmt.Sprintf(format, args...), do}
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// next reads one token.
func (s *splitter) next() (token, error) {
	from := s.at
	t := func(k kind, to int) (token, error) {
		s.at = to
		return token{k, from, to}, nil
	}
	rest := s.text[from:]
	switch {
	case rest == "":
		return t(end, from)
	case rest[0] == ';':
		return t(semicolon, from+1)
	case strings.HasPrefix(rest, "--"), strings.HasPrefix(rest, "//"), strings.HasPrefix(rest, "# "), strings.HasPrefix(rest, "#!"):
		if n := strings.IndexByte(rest, '\n'); n >= 0 {
			return t(blank, from+n+1)
		}
		return t(blank, len(s.text))
	case strings.HasPrefix(rest, "/*"):
		n := nestedComment(rest)
		if n < 0 {
			return token{}, s.fail(from, "write */ where it ends; each /* in it needs one of its own", "a comment begins here and does not end")
		}
		return t(blank, from+n)
	case rest[0] == '\'' || rest[0] == '"' || rest[0] == '`':
		n := closingQuote(rest)
		if n < 0 {
			return token{}, s.fail(from, fmt.Sprintf("write %c where it ends", rest[0]), "a text in %c begins here and does not end", rest[0])
		}
		return t(quoted, from+n)
	case rest[0] == '$':
		if n := heredoc(rest); n > 0 {
			return t(quoted, from+n)
		}
	}
	if isWord(rest[0]) {
		n := 1
		for n < len(rest) && isWord(rest[n]) {
			n++
		}
		return t(bare, from+n)
	}
	r, n := utf8.DecodeRuneInString(rest)
	switch r {
	case '‘', '“': // these quote, too, and know no escapes
		closing := map[rune]string{'‘': "’", '“': "”"}[r]
		to := strings.Index(rest, closing)
		if to < 0 {
			return token{}, s.fail(from, "write "+closing+" where it ends", "a text in %c begins here and does not end", r)
		}
		return t(quoted, from+to+len(closing))
	case ' ', '\t', '\n', '\r', '\v', '\f', '\u00a0', '\u3000':
		return t(blank, from+n)
	}
	if plain := fullWidth[r]; plain != "" {
		return token{}, s.fail(from, "write "+plain, "%c is not a sign of SQL", r)
	}
	return t(sign, from+n)
}

// nestedComment is the length of the comment that text begins with; -1 if it does not end.
func nestedComment(text string) int {
	for depth, i := 0, 0; i+1 < len(text); i++ {
		switch text[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
			if depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// closingQuote is the length of the quoted text that text begins with; -1 if it does not end. A quote in it is written
// twice, or behind a backslash.
func closingQuote(text string) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case text[0]:
			if i+1 >= len(text) || text[i+1] != text[0] {
				return i + 1
			}
			i++
		}
	}
	return -1
}

// heredoc is the length of the $tag$ ... $tag$ that text begins with; 0 if it begins with none.
func heredoc(text string) int {
	n := 1
	for n < len(text) && text[n] != '$' && isWord(text[n]) {
		n++
	}
	if n >= len(text) || text[n] != '$' {
		return 0
	}
	tag := text[:n+1]
	closing := strings.Index(text[n+1:], tag)
	if closing < 0 {
		return 0
	}
	return n + 1 + closing + len(tag)
}

// cut ends the statement whose tokens were read, if there are any.
func (s *splitter) cut(at int) error {
	tokens := s.tokens
	s.tokens = nil
	if len(tokens) == 0 {
		return nil
	}
	from := tokens[0].from
	st := Statement{Text: strings.TrimSpace(s.text[from:at]), Line: s.line(from)}
	depth := 0
	before := ""
	for i, t := range tokens {
		text := s.text[t.from:t.to]
		switch {
		case t.kind == sign && (text == "(" || text == "["):
			depth++
		case t.kind == sign && (text == ")" || text == "]"):
			depth--
		case t.kind == bare && depth == 0:
			st.words = append(st.words, word{strings.ToUpper(text), before})
		case t.kind == sign && text == "{":
			if p, ok := s.parameter(tokens[i:]); ok {
				p.at -= from
				st.Parameters = append(st.Parameters, p)
			}
		}
		before = strings.ToUpper(text)
	}
	s.statements = append(s.statements, st)
	return nil
}

// parameter reads {name:Type}, which the tokens begin with unless it is a literal of a map.
func (s *splitter) parameter(tokens []token) (p Parameter, ok bool) {
	if len(tokens) < 5 || tokens[1].kind != bare || s.text[tokens[2].from:tokens[2].to] != ":" {
		return p, false
	}
	closing := slices.IndexFunc(tokens, func(t token) bool { return t.kind == sign && s.text[t.from:t.to] == "}" })
	if closing < 4 {
		return p, false
	}
	return Parameter{
		Name: s.text[tokens[1].from:tokens[1].to],
		Type: strings.TrimSpace(s.text[tokens[3].from:tokens[closing].from]),
		Line: s.line(tokens[0].from),
		at:   tokens[1].from,
	}, true
}

// misuse tells of what a client of ClickHouse would do and a job does not; empty for nothing.
func (st Statement) misuse() (message, do string) {
	insert := len(st.words) > 0 && st.words[0].text == "INSERT"
	for i := 1; i < len(st.words); i++ {
		this, before := st.words[i], st.words[i-1].text
		switch {
		case !insert && before == "INTO" && this.text == "OUTFILE" && this.after == "INTO":
			return "INTO OUTFILE is done by the client program and does nothing here", "leave it out, and write to: FOLDER in the job"
		case insert && (this.text == "SELECT" || this.text == "VALUES" || this.text == "WITH"):
			return "", ""
		case insert && this.text == "FORMAT" && this.after != "INTO" && this.after != "TABLE" && this.after != "." && this.after != "`":
			return "INSERT ... FORMAT takes its rows from the client program, which is not there", "write VALUES (...), or INSERT ... SELECT"
		}
	}
	return "", ""
}
