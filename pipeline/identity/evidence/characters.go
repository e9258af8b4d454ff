package evidence

import (
	"bytes"
	"cmp"
	"compress/gzip"
	_ "embed"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/mozillazg/go-pinyin"
)

// characters.bin is made from the Unihan database of the Unicode Standard (Unicode License v3).
//
//go:generate sh -c "go run tables/generate.go /usr/share/unicode > tables/characters.bin"
//go:embed tables/characters.bin
var packedCharacters []byte

// character is what is known of one Chinese character.
type character struct {
	fold    rune   // what its variant and traditional forms are folded into; 0 when nothing is known of it
	cangjie uint32 // Cangjie code (仓颉码), which spells a character by its shapes, five bits a letter; 0 when not known
	corner  uint16 // four-corner code (四角号码) plus one; 0 when not known
	strokes uint8  // 0 when not known
	sound   uint16 // its usual reading in pinyin without tone, in syllables; 0 when not known
	fuzzy   uint16 // the same, with sounds made equal that many people do not tell apart
}

// The characters that nearly every name is made of stand in one array, from firstPlain on; the others in a map.
const firstPlain, lastPlain = 0x3400, 0x9fff

// characterTable is never changed once it has been read.
type characterTable struct {
	plain     []character
	others    map[rune]character
	syllables []string          // by number; 0 is none
	hashes    []uint64          // of the syllables: numbers are another in every process, and keys are kept on disk
	numbers   map[string]uint16 // the same, the other way round
	built     []built           // by code
	surnames  map[rune]reading  // of surnames, where they are not the usual ones
}

// reading is how a character sounds: syllables as in character.
type reading struct{ sound, fuzzy uint16 }

// built is a character by its Cangjie code.
type built struct {
	code uint32
	r    rune
}

func (t *characterTable) of(r rune) character {
	if r >= firstPlain && r <= lastPlain {
		return t.plain[r-firstPlain]
	}
	return t.others[r]
}

func (t *characterTable) set(r rune, c character) {
	if r >= firstPlain && r <= lastPlain {
		t.plain[r-firstPlain] = c
	} else {
		t.others[r] = c
	}
}

// number gives a syllable its number.
func (t *characterTable) number(syllable string) uint16 {
	n, known := t.numbers[syllable]
	if !known {
		n = uint16(len(t.syllables))
		t.numbers[syllable] = n
		t.syllables = append(t.syllables, syllable)
		t.hashes = append(t.hashes, hash(syllable))
	}
	return n
}

// characters is read at first use: that takes some 20 milliseconds, and 2 megabytes.
var characters = sync.OnceValue(func() *characterTable {
	t := &characterTable{plain: make([]character, lastPlain-firstPlain+1), others: map[rune]character{}, numbers: map[string]uint16{}, surnames: map[rune]reading{}}
	t.number("")
	args := pinyin.NewArgs()
	for code := range pinyin.PinyinDict {
		if said := pinyin.SinglePinyin(rune(code), args); len(said) > 0 {
			t.set(rune(code), character{fold: rune(code), sound: t.number(said[0]), fuzzy: t.number(fuzzy(said[0]))})
		}
	}
	for _, s := range strings.Fields("曾zeng 单shan 仇qiu 解xie 查zha 盖ge 区ou 朴piao 覃qin 翟zhai 缪miao 乐yue 员yun 种chong 繁po 秘bi 折she 召shao 郇xun 卜bu 阚kan 句gou 祭zhai") {
		for i, r := range s {
			if i == 0 {
				said := s[len(string(r)):]
				t.surnames[r] = reading{t.number(said), t.number(fuzzy(said))}
			}
		}
	}
	if err := t.read(packedCharacters); err != nil {
		panic(fmt.Sprintf("the embedded table of characters is damaged: %v", err))
	}
	return t
})

// read adds what tables/generate.go wrote.
func (t *characterTable) read(packed []byte) error {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return err
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if len(data) < 4 {
		return io.ErrUnexpectedEOF
	}
	n := int(binary.BigEndian.Uint32(data))
	data = data[4:]
	if len(data) != n*(4+4+2+1+4) {
		return io.ErrUnexpectedEOF
	}
	column := func(width int) []byte {
		c := data[:n*width]
		data = data[n*width:]
		return c
	}
	names, folds, corners, strokes, codes := column(4), column(4), column(2), column(1), column(4)
	who := rune(0)
	for i := range n {
		who += rune(binary.BigEndian.Uint32(names[4*i:]))
		c := t.of(who)
		c.fold = rune(binary.BigEndian.Uint32(folds[4*i:]))
		c.corner = binary.BigEndian.Uint16(corners[2*i:])
		c.strokes = strokes[i]
		c.cangjie = binary.BigEndian.Uint32(codes[4*i:])
		t.set(who, c)
		if c.cangjie != 0 {
			t.built = append(t.built, built{c.cangjie, who})
		}
	}
	slices.SortFunc(t.built, func(a, b built) int { return cmp.Or(cmp.Compare(a.code, b.code), cmp.Compare(a.r, b.r)) })
	return nil
}

// merged are the characters that have left and right for their halves, by the rules of the Cangjie code: of the left half
// it keeps the first and the last letter, of the right half these and the second.
func (t *characterTable) merged(left, right rune) []built {
	l, r := t.of(left).cangjie, t.of(right).cangjie
	if l == 0 || r == 0 {
		return nil
	}
	code := uint32(0)
	for _, letter := range []uint32{first(l), last(l, 1), first(r), second(r), last(r, 2)} {
		if letter != 0 {
			code = code<<5 | letter
		}
	}
	from, _ := slices.BinarySearchFunc(t.built, code, func(b built, code uint32) int { return cmp.Compare(b.code, code) })
	to := from
	for to < len(t.built) && t.built[to].code == code {
		to++
	}
	return t.built[from:to]
}

// letters counts those of a Cangjie code.
func letters(code uint32) int {
	n := 0
	for ; code != 0; code >>= 5 {
		n++
	}
	return n
}

func first(code uint32) uint32 { return code >> (5 * (letters(code) - 1)) }

func second(code uint32) uint32 {
	if n := letters(code); n > 1 {
		return code >> (5 * (n - 2)) & 31
	}
	return 0
}

// last is the last letter of a code, unless it is one of the first so many.
func last(code uint32, taken int) uint32 {
	if letters(code) > taken {
		return code & 31
	}
	return 0
}

// halves tells whether a character may have been split into two.
func (t *characterTable) halves(left, right, whole rune) bool {
	fold := t.of(whole).fold
	return slices.ContainsFunc(t.merged(left, right), func(b built) bool { return b.r == whole || fold != 0 && t.of(b.r).fold == fold })
}

// alike tells whether two characters are easily taken for each other: nearly the same strokes, in the same four corners.
func (t *characterTable) alike(x, y rune) bool {
	a, b := t.of(x), t.of(y)
	d := int(a.strokes) - int(b.strokes)
	return a.corner != 0 && a.corner == b.corner && d >= -2 && d <= 2
}

// fuzzy makes sounds equal that many speakers do not tell apart: n and l, zh and z, r and l, f and h, final n and ng.
func fuzzy(s string) string {
	for _, p := range [][2]string{{"zh", "z"}, {"ch", "c"}, {"sh", "s"}, {"n", "l"}, {"r", "l"}, {"f", "h"}} {
		if rest, ok := strings.CutPrefix(s, p[0]); ok {
			s = p[1] + rest
			break
		}
	}
	if rest, ok := strings.CutSuffix(s, "ng"); ok {
		s = rest + "n"
	}
	return s
}

// The characters that nearly all Chinese text is made of. Unicode's normal forms leave them as they are.
const firstCommon, lastCommon = 0x4e00, 0x9fff

// isHan tells whether a character is Chinese writing.
func isHan(r rune) bool {
	return r >= firstCommon && r <= lastCommon || r >= 0x3400 && r <= 0x4dbf || r >= 0x20000 && r <= 0x323af || r >= 0xf900 && r <= 0xfaff || r == '〇'
}
