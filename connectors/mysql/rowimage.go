package mysql

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

// errRowImage is said of bytes in the binlog that are no row of the table that they name. It holds none of them (I7).
var errRowImage = errors.New("a row in the binlog cannot be taken apart")

// cursor reads bytes; past their end it reads zeros and remembers that.
type cursor struct {
	rest  []byte
	short bool
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.rest) {
		c.short, c.rest = true, nil
		return make([]byte, min(max(n, 0), 16))
	}
	head := c.rest[:n]
	c.rest = c.rest[n:]
	return head
}

// sized reads what has its length in front, in the given bytes.
func (c *cursor) sized(width int) []byte {
	n := littleEndian(c.take(width))
	if n > uint64(len(c.rest)) {
		c.short, c.rest = true, nil
		return nil
	}
	return c.take(int(n))
}

// field is a column as the rows of one table map have it.
type field struct {
	*column
	wire byte   // type in the binlog
	meta uint16 // what the type needs beside
}

// row is one row in text.
type row struct {
	values []string
	null   []bool
}

func (r *row) clear(n int) {
	if cap(r.values) < n {
		r.values, r.null = make([]string, n), make([]bool, n)
	}
	r.values, r.null = r.values[:n], r.null[:n]
}

func bit(bitmap []byte, i int) bool { return i>>3 < len(bitmap) && bitmap[i>>3]&(1<<(i&7)) != 0 }

// image reads one row. present says which columns are in it; of the others the value is taken from before, the image of
// the same row before an update, when there is one.
func image(c *cursor, fields []field, present []byte, into, before *row) error {
	into.clear(len(fields))
	count := 0
	for i := range fields {
		if bit(present, i) {
			count++
		}
	}
	nulls := c.take((count + 7) / 8)
	if c.short {
		return errRowImage
	}
	at := 0
	for i := range fields {
		if !bit(present, i) {
			if before == nil {
				return fmt.Errorf("the binlog has only a part of the row: it was written with another binlog_row_image than FULL; run SET GLOBAL binlog_row_image=FULL on the server, and see that no session sets another")
			}
			into.values[i], into.null[i] = before.values[i], before.null[i]
			continue
		}
		into.null[i] = bit(nulls, at)
		at++
		if into.null[i] {
			into.values[i] = ""
			continue
		}
		var err error
		if into.values[i], err = fields[i].read(c); err != nil {
			return err
		}
	}
	if c.short {
		return errRowImage
	}
	return nil
}

// read reads one value.
func (f *field) read(c *cursor) (string, error) {
	switch f.wire {
	case gomysql.MYSQL_TYPE_TINY:
		return f.integer(littleEndian(c.take(1)), 1), nil
	case gomysql.MYSQL_TYPE_SHORT:
		return f.integer(littleEndian(c.take(2)), 2), nil
	case gomysql.MYSQL_TYPE_INT24:
		return f.integer(littleEndian(c.take(3)), 3), nil
	case gomysql.MYSQL_TYPE_LONG:
		return f.integer(littleEndian(c.take(4)), 4), nil
	case gomysql.MYSQL_TYPE_LONGLONG:
		return f.integer(littleEndian(c.take(8)), 8), nil
	case gomysql.MYSQL_TYPE_NEWDECIMAL:
		return readDecimal(c, int(f.meta>>8), int(f.meta&0xff)), nil
	case gomysql.MYSQL_TYPE_FLOAT:
		return formatFloat(float64(math.Float32frombits(uint32(littleEndian(c.take(4))))), 32), nil
	case gomysql.MYSQL_TYPE_DOUBLE:
		return formatFloat(math.Float64frombits(littleEndian(c.take(8))), 64), nil
	case gomysql.MYSQL_TYPE_BIT:
		return strconv.FormatUint(bigEndian(c.take((int(f.meta>>8)*8+int(f.meta&0xff)+7)/8)), 10), nil
	case gomysql.MYSQL_TYPE_YEAR:
		if y := int(littleEndian(c.take(1))); y != 0 {
			return strconv.Itoa(1900 + y), nil
		}
		return "0000", nil
	case gomysql.MYSQL_TYPE_DATE, gomysql.MYSQL_TYPE_NEWDATE:
		v := int(littleEndian(c.take(3)))
		return pad(v>>9, 4) + "-" + pad(v>>5&15, 2) + "-" + pad(v&31, 2), nil
	case gomysql.MYSQL_TYPE_DATETIME2:
		return readDatetime(c, int(f.meta)), nil
	case gomysql.MYSQL_TYPE_TIMESTAMP2:
		seconds := int64(bigEndian(c.take(4)))
		fraction := readFraction(c, int(f.meta))
		if seconds == 0 {
			return "0000-00-00 00:00:00" + seconds6(fraction, int(f.meta)), nil
		}
		return instant(time.Unix(seconds, 0).UTC().Format(time.DateTime) + seconds6(fraction, int(f.meta))), nil
	case gomysql.MYSQL_TYPE_TIME2:
		return readTime(c, int(f.meta)), nil
	case gomysql.MYSQL_TYPE_VARCHAR, gomysql.MYSQL_TYPE_VAR_STRING:
		return f.bytes(c.sized(lengthBytes(int(f.meta)))), nil
	case gomysql.MYSQL_TYPE_BLOB, gomysql.MYSQL_TYPE_GEOMETRY, gomysql.MYSQL_TYPE_VECTOR:
		return f.bytes(c.sized(int(f.meta))), nil
	case gomysql.MYSQL_TYPE_JSON:
		return jsonText(c.sized(int(f.meta)))
	case gomysql.MYSQL_TYPE_STRING:
		return f.readString(c)
	}
	return "", fmt.Errorf("the column %s has a type in the binlog (%d) that is not understood", f.name, f.wire)
}

// readString reads CHAR and BINARY, and what hides behind their type: ENUM and SET.
func (f *field) readString(c *cursor) (string, error) {
	wire, length := stringType(f.meta)
	switch wire {
	case gomysql.MYSQL_TYPE_ENUM:
		return f.enum(littleEndian(c.take(length))), nil
	case gomysql.MYSQL_TYPE_SET:
		return f.column.set(littleEndian(c.take(length))), nil
	}
	return f.bytes(c.sized(lengthBytes(length))), nil
}

// stringType takes the metadata of CHAR apart, which hold two bits of the length among those of the type.
func stringType(meta uint16) (wire byte, length int) {
	wire, length = byte(meta>>8), int(meta&0xff)
	if wire&0x30 != 0x30 {
		return wire | 0x30, length | int(wire&0x30^0x30)<<4
	}
	return wire, length
}

func lengthBytes(most int) int {
	if most > 255 {
		return 2
	}
	return 1
}

// digitBytes is how many bytes so many decimal digits take.
var digitBytes = [10]int{0, 1, 1, 2, 2, 3, 3, 4, 4, 4}

// readDecimal reads a DECIMAL: groups of nine digits in four bytes, what is left over in fewer; the first bit is the sign,
// and a negative number has all bits turned.
func readDecimal(c *cursor, precision, scale int) string {
	if scale > precision {
		c.short = true
		return ""
	}
	whole := precision - scale
	size := whole/9*4 + digitBytes[whole%9] + scale/9*4 + digitBytes[scale%9]
	raw := append([]byte(nil), c.take(size)...)
	if c.short || size == 0 {
		c.short = true
		return ""
	}
	out := make([]byte, 0, precision+3)
	if raw[0]&0x80 == 0 {
		out = append(out, '-')
		for i := range raw {
			raw[i] = ^raw[i]
		}
	}
	raw[0] &= 0x7f
	group := func(digits int) uint64 {
		n := digitBytes[digits]
		v := bigEndian(raw[:n])
		raw = raw[n:]
		return v
	}
	start := len(out)
	put := func(v uint64, digits int) {
		for i := len(strconv.FormatUint(v, 10)); i < digits; i++ {
			out = append(out, '0')
		}
		out = strconv.AppendUint(out, v, 10)
	}
	if whole%9 > 0 {
		put(group(whole%9), whole%9)
	}
	for range whole / 9 {
		put(group(9), 9)
	}
	for len(out)-start > 1 && out[start] == '0' {
		out = append(out[:start], out[start+1:]...)
	}
	if len(out) == start {
		out = append(out, '0')
	}
	if scale > 0 {
		out = append(out, '.')
		for range scale / 9 {
			put(group(9), 9)
		}
		if scale%9 > 0 {
			put(group(scale%9), scale%9)
		}
	}
	return string(out)
}

// readFraction reads the fraction of a second with so many digits; the result is in microseconds.
func readFraction(c *cursor, scale int) int {
	switch n := (scale + 1) / 2; n {
	case 1:
		return int(bigEndian(c.take(1))) * 10000
	case 2:
		return int(bigEndian(c.take(2))) * 100
	case 3:
		return int(bigEndian(c.take(3)))
	}
	return 0
}

// seconds6 writes a fraction of a second with so many digits.
func seconds6(micros, scale int) string {
	if scale <= 0 {
		return ""
	}
	return "." + pad(micros, 6)[:min(scale, 6)]
}

func readDatetime(c *cursor, scale int) string {
	v := int64(bigEndian(c.take(5))) - 1<<39
	fraction := readFraction(c, scale)
	day, hms := v>>17, v&(1<<17-1)
	months := day >> 5
	return pad(int(months/13), 4) + "-" + pad(int(months%13), 2) + "-" + pad(int(day&31), 2) + " " + hoursMinutesSeconds(hms) + seconds6(fraction, scale)
}

func hoursMinutesSeconds(hms int64) string {
	return pad(int(hms>>12), 2) + ":" + pad(int(hms>>6&63), 2) + ":" + pad(int(hms&63), 2)
}

// readTime reads a TIME: negative ones are kept so that their bytes sort as they do, fraction included.
func readTime(c *cursor, scale int) string {
	width := (scale + 1) / 2
	unit := int64(1) << (8 * width)
	v := int64(bigEndian(c.take(3+width))) - int64(1)<<23*unit
	sign := ""
	if v < 0 {
		sign, v = "-", -v
	}
	fraction := int(v % unit)
	for range 3 - width {
		if width > 0 {
			fraction *= 100
		}
	}
	return sign + hoursMinutesSeconds(v/unit) + seconds6(fraction, scale)
}
