package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// charset turns a column's own bytes into text. Snapshot and binlog both bring these bytes: the session asks for results
// that are not converted, so there is one decoder for both paths.
type charset struct {
	name   string
	decode func([]byte) string // nil: bytes, not text
	encode func(string) (raw []byte, ok bool)
}

// encodings are those that read as the server reads them, character by character. Of the others the server is asked for its
// own table: the usual ones of the same name differ from it.
var encodings = map[string]encoding.Encoding{
	"gbk": simplifiedchinese.GBK, "gb18030": simplifiedchinese.GB18030,
	"ucs2": unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), "utf16": unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM),
	"utf16le": unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), "utf32": utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM),
}

// charset finds the decoder of a character set.
func (v *server) charset(ctx context.Context, name string) (charset, error) {
	if c, known := v.decoders[name]; known {
		return c, nil
	}
	c := charset{name: name}
	e, library := encodings[name]
	switch {
	case name == "binary":
	case name == "utf8" || name == "utf8mb3":
		c.decode, c.encode = validUTF8, encodeUTF8(0xffff)
	case name == "utf8mb4":
		c.decode, c.encode = validUTF8, encodeUTF8(utf8.MaxRune)
	case library:
		plain := strings.HasPrefix(name, "gb") // a byte below 0x80 that stands alone is ASCII
		c.decode = func(raw []byte) string {
			if plain && isASCII(raw) {
				return string(raw)
			}
			text, err := e.NewDecoder().Bytes(raw)
			if err != nil {
				return validUTF8(raw)
			}
			return string(text)
		}
		c.encode = func(text string) ([]byte, bool) {
			raw, err := e.NewEncoder().Bytes([]byte(text))
			return raw, err == nil
		}
	default:
		t, err := v.codes(ctx, name)
		if err != nil {
			return c, err
		}
		c.decode, c.encode = t.decode, t.encode
	}
	v.decoders[name] = c
	return c, nil
}

func validUTF8(raw []byte) string { return strings.ToValidUTF8(string(raw), string(utf8.RuneError)) }

func encodeUTF8(most rune) func(string) ([]byte, bool) {
	return func(text string) ([]byte, bool) {
		return []byte(text), utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return r > most })
	}
}

func isASCII(raw []byte) bool {
	for _, b := range raw {
		if b >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// codes is a character set of one or two bytes, as the server has it.
type codes struct {
	one  [256]string
	two  map[uint16]string
	back map[string]uint16
}

// codes asks the server for its table of a character set.
func (v *server) codes(ctx context.Context, name string) (*codes, error) {
	var width int
	err := v.conn.QueryRowContext(ctx, "SELECT MAXLEN FROM information_schema.CHARACTER_SETS WHERE CHARACTER_SET_NAME = ?", name).Scan(&width)
	if err == sql.ErrNoRows || err == nil && width > 2 {
		return nil, fmt.Errorf("the character set %s is not understood; ALTER TABLE ... CONVERT TO CHARACTER SET utf8mb4", name)
	}
	if err != nil {
		return nil, err
	}
	t := &codes{two: map[uint16]string{}, back: map[string]uint16{}}
	for digits := 2; digits <= 2*width; digits += 2 {
		if err := v.askCodes(ctx, name, digits, t); err != nil {
			return nil, fmt.Errorf("ask the server for its character set %s: %w", name, err)
		}
	}
	return t, nil
}

func (v *server) askCodes(ctx context.Context, name string, digits int, t *codes) error {
	all := "SELECT 'F' d"
	for d := range 15 {
		all += fmt.Sprintf(" UNION ALL SELECT '%X'", d)
	}
	var parts, from []string
	for i := range digits {
		parts, from = append(parts, fmt.Sprintf("d%d.d", i)), append(from, fmt.Sprintf("(%s) d%d", all, i))
	}
	text := "CONVERT(CONVERT(b USING " + name + ") USING utf8mb4)"
	// A code is a character when it comes back from Unicode as it was.
	rows, err := v.conn.QueryContext(ctx, "SELECT b, "+text+" FROM (SELECT UNHEX(CONCAT("+strings.Join(parts, ", ")+")) b FROM "+strings.Join(from, " CROSS JOIN ")+") codes WHERE HEX(CONVERT("+text+" USING "+name+")) = HEX(b)")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var raw []byte
		var text string
		if err := rows.Scan(&raw, &text); err != nil {
			return err
		}
		switch {
		case len(raw) == 1:
			t.one[raw[0]], t.back[text] = text, uint16(raw[0])
		case len(raw) == 2 && t.one[raw[0]] == "":
			code := uint16(bigEndian(raw))
			t.two[code], t.back[text] = text, code
		}
	}
	return rows.Err()
}

func (t *codes) decode(raw []byte) string {
	if isASCII(raw) {
		return string(raw)
	}
	var out strings.Builder
	for i := 0; i < len(raw); i++ {
		if one := t.one[raw[i]]; one != "" {
			out.WriteString(one)
			continue
		}
		if i+1 < len(raw) {
			if two, there := t.two[uint16(raw[i])<<8|uint16(raw[i+1])]; there {
				out.WriteString(two)
				i++
				continue
			}
		}
		out.WriteRune(utf8.RuneError)
	}
	return out.String()
}

func (t *codes) encode(text string) (raw []byte, ok bool) {
	for _, r := range text {
		code, there := t.back[string(r)]
		if !there {
			return nil, false
		}
		if code > 0xff {
			raw = append(raw, byte(code>>8))
		}
		raw = append(raw, byte(code))
	}
	return raw, true
}
