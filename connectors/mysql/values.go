package mysql

import (
	"encoding/hex"
	"math"
	"net/netip"
	"strconv"
	"strings"
)

// kind is how a column's values become text. Both paths end in the functions of this file, so that a record reads the same
// whether it came with the snapshot or with the binlog.
type kind int

const (
	unknown   kind = iota
	integer        // zero-filled when the column is
	decimal        // as many digits behind the point as the column has
	float          // the shortest text that gives the same number back
	double         //
	bits           // BIT as a whole number
	year           // four digits
	date           // also 0000-00-00
	datetime       // as written, without a zone
	timestamp      // in UTC, with +00:00
	clock          // TIME: also negative, and more than a day
	text           //
	enum           // its label
	set            // its labels, joined by commas
	octets         // BINARY, BLOB: 0x and hexadecimal digits
	geometry       // the same of the WKB
	jsonValue      // JSON as the server writes it
	uniqueID       // MariaDB: UUID
	inet4          // MariaDB
	inet6          // MariaDB
)

// column is what has to be known to read a column's values.
type column struct {
	name     string
	declared string // the type in the server's words
	kind     kind
	unsigned bool
	zerofill int // digits
	scale    int // of decimals and of seconds
	charset  charset
	labels   []string // of ENUM and SET
	length   int      // bytes of BINARY and of the address types
	nullable bool
}

// integer writes a whole number of the given bytes' width.
func (c *column) integer(v uint64, width int) string {
	var s string
	if c.unsigned {
		s = strconv.FormatUint(v, 10)
	} else {
		shift := 64 - 8*width
		s = strconv.FormatInt(int64(v<<shift)>>shift, 10)
	}
	if n := c.zerofill - len(s); n > 0 {
		s = strings.Repeat("0", n) + s
	}
	return s
}

func formatFloat(v float64, size int) string {
	format := byte('f')
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e15) {
		format = 'e'
	}
	return strconv.FormatFloat(v, format, -1, size)
}

// plainDecimal takes away the zeros that ZEROFILL puts in front.
func plainDecimal(s string) string {
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for len(s) > 1 && s[0] == '0' && s[1] != '.' {
		s = s[1:]
	}
	if strings.HasPrefix(s, ".") {
		s = "0" + s
	}
	return sign + s
}

func bigEndian(raw []byte) (v uint64) {
	for _, b := range raw {
		v = v<<8 | uint64(b)
	}
	return v
}

func littleEndian(raw []byte) (v uint64) {
	for i := len(raw) - 1; i >= 0; i-- {
		v = v<<8 | uint64(raw[i])
	}
	return v
}

// enum is the label of an index; 0 is what MySQL keeps for a value that was none of the labels.
func (c *column) enum(index uint64) string {
	if index == 0 || index > uint64(len(c.labels)) {
		return ""
	}
	return c.labels[index-1]
}

func (c *column) set(members uint64) string {
	var in []string
	for i, label := range c.labels {
		if members&(1<<i) != 0 {
			in = append(in, label)
		}
	}
	return strings.Join(in, ",")
}

// instant writes a TIMESTAMP, which came in UTC; the zero date is none.
func instant(s string) string {
	if strings.HasPrefix(s, "0000-00-00") {
		return s
	}
	return s + "+00:00"
}

func hexadecimal(raw []byte) string {
	b := make([]byte, 2+2*len(raw))
	copy(b, "0x")
	hex.Encode(b[2:], raw)
	return string(b)
}

// bytes writes what the server keeps as bytes: text in the column's character set, or none.
func (c *column) bytes(raw []byte) string {
	switch c.kind {
	case octets:
		return hexadecimal(c.padded(raw))
	case geometry:
		if len(raw) < 4 { // the number of the reference system comes first
			return hexadecimal(raw)
		}
		return hexadecimal(raw[4:])
	case uniqueID:
		return formatUUID(c.padded(raw))
	case inet4:
		if a, ok := netip.AddrFromSlice(c.padded(raw)); ok {
			return a.String()
		}
	case inet6:
		if raw := c.padded(raw); len(raw) == 16 {
			return formatIPv6(raw)
		}
	}
	if c.charset.decode == nil {
		return hexadecimal(c.padded(raw))
	}
	return c.charset.decode(raw)
}

// padded puts back the zeros at the end that BINARY(n) loses in the binlog.
func (c *column) padded(raw []byte) []byte {
	if len(raw) >= c.length {
		return raw
	}
	whole := make([]byte, c.length)
	copy(whole, raw)
	return whole
}

func formatUUID(raw []byte) string {
	if len(raw) != 16 {
		return hexadecimal(raw)
	}
	h := hex.EncodeToString(raw)
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// formatIPv6 writes an address as MariaDB does: the first of the longest runs of zeros is left out, also a run of one, and
// addresses that hold one of IPv4 end in dotted numbers.
func formatIPv6(raw []byte) string {
	var groups [8]uint64
	for i := range groups {
		groups[i] = bigEndian(raw[2*i : 2*i+2])
	}
	start, length := 0, 0
	for i := 0; i < 8; i++ {
		n := 0
		for i+n < 8 && groups[i+n] == 0 {
			n++
		}
		if n > length {
			start, length = i, n
		}
		i += n
	}
	if start == 0 && (length == 6 || length == 5 && groups[5] == 0xffff) {
		prefix := map[int]string{5: "::ffff:", 6: "::"}[length]
		return prefix + netip.AddrFrom4([4]byte(raw[12:])).String()
	}
	write := func(groups []uint64) string {
		var parts []string
		for _, g := range groups {
			parts = append(parts, strconv.FormatUint(g, 16))
		}
		return strings.Join(parts, ":")
	}
	if length == 0 {
		return write(groups[:])
	}
	return write(groups[:start]) + "::" + write(groups[start+length:])
}

// fromQuery writes a value as database/sql gives it from a prepared statement.
func (c *column) fromQuery(v any) string {
	switch v := v.(type) {
	case int64:
		if c.kind == year {
			return pad(int(v), 4)
		}
		return c.integer(uint64(v), 8)
	case float32:
		return formatFloat(float64(v), 32)
	case float64:
		return formatFloat(v, 64)
	case string:
		return c.fromBytes([]byte(v))
	case []byte:
		return c.fromBytes(v)
	}
	return ""
}

func (c *column) fromBytes(raw []byte) string {
	switch c.kind {
	case integer: // beyond what fits in an int64
		if v, err := strconv.ParseUint(string(raw), 10, 64); err == nil {
			return c.integer(v, 8)
		}
		return string(raw)
	case decimal:
		return plainDecimal(string(raw))
	case bits:
		return strconv.FormatUint(bigEndian(raw), 10)
	case timestamp:
		return instant(string(raw))
	case date, datetime, clock, uniqueID, inet4, inet6, jsonValue:
		return string(raw)
	case enum, set:
		return c.charset.decode(raw)
	}
	return c.bytes(raw)
}

// pad writes a number with at least n digits.
func pad(v, n int) string {
	s := strconv.Itoa(v)
	if len(s) < n {
		s = strings.Repeat("0", n-len(s)) + s
	}
	return s
}
