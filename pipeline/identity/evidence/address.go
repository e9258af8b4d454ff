package evidence

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

// Parts of a chinese_address; 0 where the address does not say.
const (
	addressCounty   = iota
	addressTownship // with what stands before left out: departments leave out as much as they like
	addressVillage
	addressHouse // village or road, and everything behind it
)

// The Hash of a chinese_address is of what lies within the county, in plain writing: the rest is left out as often as not.

func init() {
	register(&Kind{
		Name:    "chinese_address",
		Doc:     "an address (住址), split into county, township, village or road, and house",
		Prepare: prepareAddress,
		Comparators: map[string]Comparator{
			"house":    {Doc: "the same house", Agree: sameLevel(addressHouse)},
			"village":  {Doc: "the same village or road", Agree: sameLevel(addressVillage)},
			"township": {Doc: "the same township (乡镇街道)", Agree: sameLevel(addressTownship)},
			"county":   {Doc: "the same county", Agree: sameLevel(addressCounty)},
		},
		Keys: map[string]Key{
			"house":    {Doc: "the house", Of: numberKey(addressHouse)},
			"village":  {Doc: "the village or road", Of: numberKey(addressVillage)},
			"township": {Doc: "the township", Of: numberKey(addressTownship)},
		},
	})
}

func sameLevel(part int) func(a, b *Value, _ float64) bool {
	return func(a, b *Value, _ float64) bool { return a.Parts[part] != 0 && a.Parts[part] == b.Parts[part] }
}

func prepareAddress(raw string) (Value, bool) {
	s := tidyAddress(raw)
	if absent(s) || len(s) < 6 {
		return Value{}, false
	}
	var v Value
	rest := s
	// A township's name may hold the character of a county (市桥街道): what is left must still be an address.
	if county, behind := outside(rest); len(behind) >= 6 {
		rest = behind
		if county != "" {
			v.Parts[addressCounty] = hash(county)
		}
	}
	inner := rest
	if n := nearest(rest, 8, township); n > 0 {
		v.Parts[addressTownship] = hash(strings.TrimSuffix(rest[:n], "办事处"))
		rest = rest[n:]
	}
	place := ""
	if n := nearest(rest, 12, village); n > 0 {
		place = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(rest[:n], "居委会"), "居民委员会"), "社区")
		rest = rest[n:]
		rest = rest[begins(rest, "村民委员会", "居民委员会", "民委员会", "村委会", "居委会", "委会"):]
	} else if n := nearest(rest, 10, road); n > 0 {
		place, rest = rest[:n], rest[n:]
	}
	var room [128]byte
	if place != "" {
		v.Parts[addressVillage] = mixed(v.Parts[addressTownship], hash(place))
		if house := appendPlain(room[:0], rest); bytes.ContainsAny(house, "0123456789") {
			v.Parts[addressHouse] = mixed(v.Parts[addressVillage], xxhash.Sum64(bytes.TrimSuffix(house, []byte("户"))))
		}
	}
	v.Text = s
	v.Hash = xxhash.Sum64(appendPlain(room[:0], inner))
	return v, true
}

// tidyAddress writes characters in one width, and drops what is set between the parts of an address.
func tidyAddress(raw string) string {
	dropped := func(r rune) bool {
		switch r {
		case ' ', '\u3000', ',', '-', '(', ')', '#', '.':
			return true
		}
		return false
	}
	s := compatible(raw)
	if strings.IndexFunc(s, dropped) < 0 {
		return s
	}
	s = strings.Map(func(r rune) rune {
		if dropped(r) {
			return -1
		}
		return r
	}, s)
	return compatible(s) // what was taken out may have kept two characters apart
}

// outside takes province, city and county off the beginning of an address, as far as they are there. Each has up to eight
// characters before the one that ends it, and none that could end it.
func outside(s string) (county, rest string) {
	end, at, count := ending(s, func(r rune) bool { return r == '省' || r == '市' || r == '区' || r == '县' })
	if end == '省' && count >= 1 && count <= 8 || end == '区' && count >= 3 && count <= 10 && strings.HasSuffix(s[:at], "自治") {
		s = s[at+len("省"):]
	}
	end, at, count = ending(s, func(r rune) bool { return r == '市' || r == '省' || r == '县' || r == '州' || r == '盟' })
	switch end {
	case '市', '州', '盟':
		if count >= 1 && count <= 8 {
			s = s[at+len("市"):]
			break
		}
		fallthrough
	default:
		if n := strings.LastIndex(s[:upTo(s[:at], 10)], "地区"); n > 0 {
			s = s[n+len("地区"):]
		}
	}
	end, at, count = ending(s, func(r rune) bool { return r == '县' || r == '市' || r == '区' || r == '旗' })
	if end != 0 && count >= 1 && (count <= 8 || count <= 10 && end == '县' && strings.HasSuffix(s[:at], "自治")) && !inside(s[:at+len("县")]) {
		return s[:at+len("县")], s[at+len("县"):]
	}
	return "", s
}

// inside tells whether what ends like a county lies within one: a community (社区), an estate, or something in a
// subdistrict. Who writes no county begins with that.
func inside(county string) bool {
	return strings.HasSuffix(county, "社区") || strings.HasSuffix(county, "小区") || strings.Contains(county, "街道")
}

// ending finds the first character that ends something, and counts those before it. Where there is none, it is 0 and
// stands at the end.
func ending(s string, ends func(rune) bool) (end rune, at, count int) {
	for i, r := range s {
		if ends(r) {
			return r, i, count
		}
		count++
	}
	return 0, len(s), count
}

// upTo is where the first n characters of a text end.
func upTo(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}

// nearest is the length of the shortest beginning of an address that ends with a word for its level and has 1 to most
// characters before that; 0 when there is none. The level tells how long its word is at the beginning of a text, of which
// it is given the first character too.
func nearest(s string, most int, level func(first rune, s string) int) int {
	count := 0
	for i, r := range s {
		if count > most {
			break
		}
		if count > 0 {
			if n := level(r, s[i:]); n > 0 {
				return i + n
			}
		}
		count++
	}
	return 0
}

func township(first rune, s string) int {
	switch first {
	case '镇', '乡':
		return len("镇")
	case '街':
		return begins(s, "街道办事处", "街道")
	case '民':
		return begins(s, "民族乡")
	case '苏':
		return begins(s, "苏木")
	}
	return 0
}

func village(first rune, s string) int {
	switch first {
	case '村':
		return len("村")
	case '居':
		return begins(s, "居民委员会", "居委会")
	case '社':
		return begins(s, "社区")
	case '嘎':
		return begins(s, "嘎查")
	}
	return 0
}

func road(first rune, s string) int {
	switch first {
	case '路', '街', '巷', '弄':
		return len("路")
	case '大':
		return begins(s, "大道")
	case '胡':
		return begins(s, "胡同")
	}
	return 0
}

// begins is the length of the first of several words that a text begins with; 0 when it begins with none.
func begins(s string, words ...string) int {
	for _, w := range words {
		if strings.HasPrefix(s, w) {
			return len(w)
		}
	}
	return 0
}

// appendPlain adds an address to dst with digits in one form, and with one word each for groups and for houses.
func appendPlain(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		at, rest := i, s[i+size:]
		i += size
		switch r {
		case '〇', '零':
			dst = append(dst, '0')
		case '一':
			dst = append(dst, '1')
		case '二':
			dst = append(dst, '2')
		case '三':
			dst = append(dst, '3')
		case '四':
			dst = append(dst, '4')
		case '五':
			dst = append(dst, '5')
		case '六':
			dst = append(dst, '6')
		case '七':
			dst = append(dst, '7')
		case '八':
			dst = append(dst, '8')
		case '九':
			dst = append(dst, '9')
		case '第':
		case '栋', '座':
			dst = append(dst, "幢"...)
		case '队':
			dst = append(dst, "组"...)
		default:
			switch {
			case r == '号' && strings.HasPrefix(rest, "楼"):
				dst = append(dst, "幢"...)
				i += len("楼")
			case r == '小' && strings.HasPrefix(rest, "组"): // what follows is the word itself
			case r == '村' && strings.HasPrefix(rest, "民组"):
				i += len("民")
			default:
				dst = append(dst, s[at:i]...)
			}
		}
	}
	return dst
}

func mixed(a, b uint64) uint64 { return (a^b>>1)*0x9e3779b97f4a7c15 + b }
