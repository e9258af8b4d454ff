package mysql

import (
	"encoding/base64"
	"errors"
	"math"
	"strconv"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

// jsonText writes a JSON document of MySQL, which the binlog holds in a form of its own, as the server writes it: members
// in the order in which they are kept, one space behind comma and colon.
func jsonText(raw []byte) (string, error) {
	if len(raw) == 0 { // what INSERT IGNORE leaves of NULL in a column that is NOT NULL
		return "null", nil
	}
	w := &jsonWriter{}
	w.value(raw[0], raw[1:], 0)
	if w.bad {
		return "", errJSON
	}
	return string(w.out), nil
}

var errJSON = errors.New("a JSON document in the binlog cannot be taken apart")

const (
	jsonSmallObject = iota
	jsonLargeObject
	jsonSmallArray
	jsonLargeArray
	jsonLiteral
	jsonInt16
	jsonUint16
	jsonInt32
	jsonUint32
	jsonInt64
	jsonUint64
	jsonDouble
	jsonString
	jsonOpaque = 15

	jsonDepth = 100 // the server takes no deeper ones
)

type jsonWriter struct {
	out []byte
	bad bool
}

func (w *jsonWriter) fail() { w.bad = true }

// head is the first n bytes, or nothing.
func (w *jsonWriter) head(data []byte, n int) []byte {
	if n > len(data) {
		w.fail()
		return nil
	}
	return data[:n]
}

func (w *jsonWriter) value(kind byte, data []byte, depth int) {
	if w.bad || depth > jsonDepth {
		w.fail()
		return
	}
	switch kind {
	case jsonSmallObject, jsonLargeObject, jsonSmallArray, jsonLargeArray:
		w.container(kind, data, depth)
	case jsonLiteral:
		w.literal(littleEndian(w.head(data, 1)))
	case jsonInt16:
		w.out = strconv.AppendInt(w.out, int64(int16(littleEndian(w.head(data, 2)))), 10)
	case jsonUint16:
		w.out = strconv.AppendUint(w.out, littleEndian(w.head(data, 2)), 10)
	case jsonInt32:
		w.out = strconv.AppendInt(w.out, int64(int32(littleEndian(w.head(data, 4)))), 10)
	case jsonUint32:
		w.out = strconv.AppendUint(w.out, littleEndian(w.head(data, 4)), 10)
	case jsonInt64:
		w.out = strconv.AppendInt(w.out, int64(littleEndian(w.head(data, 8))), 10)
	case jsonUint64:
		w.out = strconv.AppendUint(w.out, littleEndian(w.head(data, 8)), 10)
	case jsonDouble:
		w.double(math.Float64frombits(littleEndian(w.head(data, 8))))
	case jsonString:
		w.string(w.variable(data))
	case jsonOpaque:
		if len(data) == 0 {
			w.fail()
			return
		}
		w.opaque(data[0], w.variable(data[1:]))
	default:
		w.fail()
	}
}

func (w *jsonWriter) literal(which uint64) {
	switch which {
	case 0:
		w.out = append(w.out, "null"...)
	case 1:
		w.out = append(w.out, "true"...)
	case 2:
		w.out = append(w.out, "false"...)
	default:
		w.fail()
	}
}

// variable reads what has its length in front, seven bits a byte.
func (w *jsonWriter) variable(data []byte) []byte {
	n := uint64(0)
	for i := range min(len(data), 5) {
		n |= uint64(data[i]&0x7f) << (7 * i)
		if data[i]&0x80 == 0 {
			if n > uint64(len(data)-i-1) {
				break
			}
			return data[i+1 : i+1+int(n)]
		}
	}
	w.fail()
	return nil
}

// container writes an object or an array: the number of members and of bytes, where the names stand, then for each value
// its type and where it stands, or the value itself when it is that short.
func (w *jsonWriter) container(kind byte, data []byte, depth int) {
	width := 2
	if kind == jsonLargeObject || kind == jsonLargeArray {
		width = 4
	}
	object := kind == jsonSmallObject || kind == jsonLargeObject
	count, size := littleEndian(w.head(data, width)), uint64(0)
	if !w.bad {
		size = littleEndian(w.head(data[width:], width))
	}
	entry := uint64(1 + width)
	names := uint64(0)
	if object {
		names = count * uint64(width+2)
	}
	if w.bad || size > uint64(len(data)) || 2*uint64(width)+names+count*entry > size {
		w.fail()
		return
	}
	data = data[:size]
	w.out = append(w.out, "[{"[b2i(object)])
	for i := range count {
		if i > 0 {
			w.out = append(w.out, ", "...)
		}
		if object {
			at := data[2*uint64(width)+i*uint64(width+2):]
			start, length := littleEndian(at[:width]), littleEndian(at[width:width+2])
			if start+length > size {
				w.fail()
				return
			}
			w.string(data[start : start+length])
			w.out = append(w.out, ": "...)
		}
		at := data[2*uint64(width)+names+i*entry:]
		inner := at[0]
		if inlined(inner, width) {
			w.value(inner, at[1:1+width], depth+1)
		} else if start := littleEndian(at[1 : 1+width]); start < size {
			w.value(inner, data[start:], depth+1)
		} else {
			w.fail()
		}
		if w.bad {
			return
		}
	}
	w.out = append(w.out, "]}"[b2i(object)])
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func inlined(kind byte, width int) bool {
	switch kind {
	case jsonLiteral, jsonInt16, jsonUint16:
		return true
	case jsonInt32, jsonUint32:
		return width == 4
	}
	return false
}

// double writes a floating number; a whole one keeps a .0, so that it stays one.
func (w *jsonWriter) double(v float64) {
	s := formatFloat(v, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	w.out = append(w.out, s...)
}

func (w *jsonWriter) string(raw []byte) {
	const digits = "0123456789abcdef"
	w.out = append(w.out, '"')
	for _, b := range raw {
		switch b {
		case '"', '\\':
			w.out = append(w.out, '\\', b)
		case '\b':
			w.out = append(w.out, `\b`...)
		case '\f':
			w.out = append(w.out, `\f`...)
		case '\n':
			w.out = append(w.out, `\n`...)
		case '\r':
			w.out = append(w.out, `\r`...)
		case '\t':
			w.out = append(w.out, `\t`...)
		default:
			if b < 0x20 {
				w.out = append(w.out, `\u00`...)
				w.out = append(w.out, digits[b>>4], digits[b&15])
				continue
			}
			w.out = append(w.out, b)
		}
	}
	w.out = append(w.out, '"')
}

// opaque writes a value of a type that JSON has not.
func (w *jsonWriter) opaque(kind byte, raw []byte) {
	if w.bad {
		return
	}
	switch kind {
	case gomysql.MYSQL_TYPE_NEWDECIMAL:
		if len(raw) < 2 {
			w.fail()
			return
		}
		c := &cursor{rest: raw[2:]}
		w.out = append(w.out, readDecimal(c, int(raw[0]), int(raw[1]))...)
		w.bad = w.bad || c.short
	case gomysql.MYSQL_TYPE_TIME, gomysql.MYSQL_TYPE_DATE, gomysql.MYSQL_TYPE_DATETIME, gomysql.MYSQL_TYPE_TIMESTAMP:
		if len(raw) != 8 {
			w.fail()
			return
		}
		w.string([]byte(packedTime(kind, int64(littleEndian(raw)))))
	default:
		w.string([]byte("base64:type" + strconv.Itoa(int(kind)) + ":" + base64.StdEncoding.EncodeToString(raw)))
	}
}

// packedTime writes a time in the server's packed form, with six digits behind the second.
func packedTime(kind byte, v int64) string {
	sign := ""
	if v < 0 {
		sign, v = "-", -v
	}
	micros, v := int(v&(1<<24-1)), v>>24
	if kind == gomysql.MYSQL_TYPE_TIME {
		return sign + hoursMinutesSeconds(v&(1<<22-1)) + seconds6(micros, 6)
	}
	day, hms := v>>17, v&(1<<17-1)
	months := day >> 5
	s := pad(int(months/13), 4) + "-" + pad(int(months%13), 2) + "-" + pad(int(day&31), 2)
	if kind == gomysql.MYSQL_TYPE_DATE {
		return s
	}
	return s + " " + hoursMinutesSeconds(hms) + seconds6(micros, 6)
}
