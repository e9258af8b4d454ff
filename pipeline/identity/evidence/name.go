package evidence

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Parts of a chinese_name.
const (
	nameFold    = iota // the name in one form of each character
	nameSound          // in pinyin
	nameFuzzy          // in pinyin as many people speak
	nameSurname        // the surname, folded
	nameGiven          // the given name, folded; 0 when there is none
	nameSorted         // the folded characters in order
)

// separator is the only dot inside a minority name (GB 18030, U+00B7).
const separator = '·'

// lost stands for a character that a system could not store.
const lost = '□'

// Texts of a chinese_name: the folded form.
func init() {
	register(&Kind{
		Name:    "chinese_name",
		Doc:     "a person's name in Chinese writing (姓名), minority names with their dots included",
		Prepare: prepareName,
		Comparators: map[string]Comparator{
			"variant":      {Doc: "the same but for variant or traditional forms", Agree: samePart(nameFold)},
			"lost":         {Doc: "the same but for characters that a system lost: □, a question mark, pinyin, or split into its parts", Agree: lostAgree},
			"pinyin":       {Doc: "the same sound", Agree: sameSound(nameSound)},
			"fuzzy_pinyin": {Doc: "the same sound as many people speak: n for l, z for zh, in for ing", Agree: sameSound(nameFuzzy)},
			"shape":        {Doc: "one character differs, and the two look alike", Agree: shapeAgree},
			"transposed":   {Doc: "the same characters in another order", Agree: func(a, b *Value, _ float64) bool { return a.Parts[nameSorted] == b.Parts[nameSorted] }},
			"part":         {Doc: "a minority name, and a part of it", Agree: partAgree},
			"one_character": {Doc: "three characters or more, the same surname, one character differs", Agree: func(a, b *Value, _ float64) bool {
				return a.Parts[nameSurname] == b.Parts[nameSurname] && oneDiffers(a.Texts[0], b.Texts[0], nil)
			}},
			"alike":   {Doc: "exact, variant, lost, part, pinyin, fuzzy_pinyin, shape or transposed", Agree: namesAlike},
			"surname": {Doc: "the same surname", Agree: func(a, b *Value, _ float64) bool { return a.Parts[nameSurname] == b.Parts[nameSurname] }},
			"given": {Doc: "the same given name under another surname", Agree: func(a, b *Value, _ float64) bool {
				return a.Parts[nameGiven] != 0 && a.Parts[nameGiven] == b.Parts[nameGiven]
			}},
		},
		Keys: map[string]Key{
			"exact":   {Doc: "the name, in one form of each character", Of: partKey(nameFold)},
			"pinyin":  {Doc: "its sound", Of: partKey(nameSound)},
			"fuzzy":   {Doc: "its sound as many people speak", Of: partKey(nameFuzzy)},
			"surname": {Doc: "the surname", Of: partKey(nameSurname)},
			"given":   {Doc: "the given name", Of: func(v *Value, _ int, dst []uint64) []uint64 { return nonZero(dst, v.Parts[nameGiven]) }},
			"sorted":  {Doc: "its characters in any order", Of: partKey(nameSorted)},
			"wild":    {Doc: "the name with any one character of the given name lost", Of: wildKeys},
		},
	})
}

func nonZero(dst []uint64, h uint64) []uint64 {
	if h == 0 {
		return dst
	}
	return append(dst, h)
}

// compound surnames (复姓) that are in use.
var compound = func() map[[2]rune]bool {
	all := map[[2]rune]bool{}
	for _, s := range strings.Fields("欧阳 上官 诸葛 司徒 皇甫 慕容 尉迟 司马 夏侯 东方 令狐 公孙 长孙 宇文 轩辕 端木 百里 东郭 南宫 西门 独孤 呼延 钟离 申屠 太史 公冶 澹台 赫连 濮阳 淳于 单于 完颜 拓跋 闻人 万俟 仲孙 鲜于 闾丘 亓官 司寇 第五 纥骨 纳兰 叶赫 爱新") {
		all[[2]rune([]rune(s))] = true
	}
	return all
}()

func prepareName(raw string) (Value, bool) {
	text := tidyName(raw)
	if absent(text) || strings.Trim(text, "□·") == "" {
		return Value{}, false
	}
	table := characters()
	var room, sorting [16]rune
	folded := room[:0]
	changed := false
	for _, r := range text {
		if c := table.of(r).fold; c != 0 && c != r {
			r, changed = c, true
		}
		folded = append(folded, r)
	}
	fold := text
	if changed {
		fold = string(folded)
	}
	n := 1
	switch i := slices.Index(folded, separator); {
	case i > 0:
		n = i // of a minority name, the first part stands where the surname does
	case len(folded) > 2 && compound[[2]rune(folded)]:
		n = 2
	}
	v := Value{Text: text, Hash: hash(text), Texts: []string{fold}}
	v.Parts[nameFold] = hash(fold)
	v.Parts[nameSound], v.Parts[nameFuzzy] = table.heard(folded, n)
	v.Parts[nameSurname] = hashRunes(folded[:n])
	if given := folded[n:]; len(given) > 0 {
		for len(given) > 0 && given[0] == separator {
			given = given[1:]
		}
		v.Parts[nameGiven] = hashRunes(given)
	}
	sorted := append(sorting[:0], folded...)
	slices.Sort(sorted)
	v.Parts[nameSorted] = hashRunes(sorted)
	return v, true
}

// heard are the hashes of a name's sounds, plain and fuzzy; the name's first so many characters are its surname. A
// character without a sound is heard as itself.
func (t *characterTable) heard(name []rune, surname int) (plain, fuzzy uint64) {
	plain, fuzzy = uint64(len(name)), uint64(len(name))
	for i, r := range name {
		c := t.of(r)
		said := reading{c.sound, c.fuzzy}
		if i == 0 && surname == 1 {
			if special, ok := t.surnames[r]; ok {
				said = special
			}
		}
		if said.sound == 0 {
			plain, fuzzy = mixed(plain, uint64(r)<<16), mixed(fuzzy, uint64(r)<<16)
			continue
		}
		plain, fuzzy = mixed(plain, t.hashes[said.sound]), mixed(fuzzy, t.hashes[said.fuzzy])
	}
	return plain, fuzzy
}

// tidyName drops what does not belong to a name, and writes dots and lost characters in one way.
func tidyName(raw string) string {
	han, settled := false, true
	for _, r := range raw {
		han = han || isHan(r)
		settled = settled && r >= firstCommon && r <= lastCommon
	}
	if settled {
		return raw
	}
	b := make([]byte, 0, 64)
	for _, r := range norm.NFC.String(raw) {
		if r >= '！' && r <= '～' {
			r -= '！' - '!'
		}
		switch r {
		case '·', '•', '・', '.', '．', '‧', '∙', '⋅', '●', '○', '▪', '﹒', '。', '｡', '-', '–', '—':
			r = separator
		case '?', '？', '*', '＊', '□', '〓', '■', '◆', '\ufffd', '_':
			r = lost
		default:
			if unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) {
				if han { // blanks make short names as long as others on a form
					continue
				}
				r = ' '
			}
			r = unicode.ToLower(r)
		}
		b = utf8.AppendRune(b, r)
	}
	return strings.Trim(norm.NFC.String(string(b)), " ·") // what was left out may have kept two characters apart
}

func hasLost(s string) bool { return strings.ContainsRune(s, lost) }

// sameSound compares sounds of names that are written in Chinese; a lost character has no sound.
func sameSound(part int) func(a, b *Value, _ float64) bool {
	return func(a, b *Value, _ float64) bool {
		return a.Parts[part] == b.Parts[part] && !hasLost(a.Text) && !hasLost(b.Text)
	}
}

// oneDiffers tells whether two texts of the same length of at least three characters differ in one; alike, when given,
// must hold for the two.
func oneDiffers(x, y string, alike func(a, b rune) bool) bool {
	if x == y {
		return false
	}
	a, b := runes(x), runes(y)
	p, q := a.of(), b.of()
	if len(p) != len(q) || len(p) < 2 || alike == nil && len(p) < 3 {
		return false
	}
	at := -1
	for i := range p {
		if p[i] != q[i] {
			if at >= 0 {
				return false
			}
			at = i
		}
	}
	return alike == nil || alike(p[at], q[at])
}

func shapeAgree(a, b *Value, _ float64) bool {
	if a.Parts[nameSurname] != b.Parts[nameSurname] && a.Parts[nameGiven] != b.Parts[nameGiven] {
		return false
	}
	return oneDiffers(a.Texts[0], b.Texts[0], func(x, y rune) bool {
		return characters().alike(x, y)
	})
}

// lostAgree compares two names of which one lost characters: each lost one stands for any character, or for as many
// letters as spell one, or for the parts that one was split into.
func lostAgree(a, b *Value, _ float64) bool {
	x, y := a.Texts[0], b.Texts[0]
	if a.Parts[nameFold] == b.Parts[nameFold] {
		return !hasLost(x) || len(x) > len(string(lost))*2
	}
	return spells(x, y) || spells(y, x)
}

// spells tells whether damaged is name with one or more characters lost, spelt out in letters, or split in two. At least
// one character must have been kept.
func spells(damaged, name string) bool {
	d, n := runes(damaged), runes(name)
	p, q := d.of(), n.of()
	table := characters()
	kept, i := 0, 0
	for j := 0; j < len(q); j++ {
		switch {
		case i < len(p) && p[i] == q[j]:
			kept++
			i++
		case i < len(p) && p[i] == lost:
			i++
		case !isHan(q[j]):
			return false
		default:
			if said := table.syllables[table.of(q[j]).sound]; said != "" && hasRunes(p[i:], said) {
				i += len(said)
				continue
			}
			// Split: the next two characters, where the name has one. Both must be Chinese, and the rest must fit.
			if i+1 < len(p) && isHan(p[i]) && isHan(p[i+1]) && len(p) == len(q)+1 && table.halves(p[i], p[i+1], q[j]) {
				i += 2
				continue
			}
			return false
		}
	}
	return i == len(p) && kept > 0 && kept*2 >= len(q)-1 && damaged != name
}

func hasRunes(p []rune, said string) bool {
	if len(p) < len(said) {
		return false
	}
	for k := range len(said) {
		if p[k] != rune(said[k]) {
			return false
		}
	}
	return true
}

// partAgree compares minority names, of which departments keep the whole, or the first part, or drop the dots.
func partAgree(a, b *Value, _ float64) bool {
	x, y := a.Texts[0], b.Texts[0]
	if !strings.ContainsRune(x, separator) && !strings.ContainsRune(y, separator) {
		return false
	}
	if strings.ReplaceAll(x, string(separator), "") == strings.ReplaceAll(y, string(separator), "") {
		return true
	}
	if len(x) > len(y) {
		x, y = y, x
	}
	const least = 3 * 3 // three characters
	return len(x) >= least && (strings.HasPrefix(y, x+string(separator)) || !strings.ContainsRune(x, separator) && strings.HasPrefix(strings.ReplaceAll(y, string(separator), ""), x))
}

// namesAlike tells whether two names may be one that was written, heard or read in two ways.
func namesAlike(a, b *Value, _ float64) bool {
	return a.Parts[nameFold] == b.Parts[nameFold] || a.Parts[nameFuzzy] == b.Parts[nameFuzzy] || a.Parts[nameSorted] == b.Parts[nameSorted] ||
		lostAgree(a, b, 0) || partAgree(a, b, 0) || shapeAgree(a, b, 0)
}

// wildKeys are the name without each character of the given name in turn: two names of which one lost one have a key in
// common.
func wildKeys(v *Value, _ int, dst []uint64) []uint64 {
	b := runes(v.Texts[0])
	p := b.of()
	if len(p) < 2 || len(p) > 4 {
		return append(dst, v.Parts[nameSurname])
	}
	for lost := 1; lost < len(p); lost++ {
		h := uint64(len(p)<<8 | lost)
		for i, r := range p {
			if i != lost {
				h = mixed(h, uint64(r))
			}
		}
		dst = append(dst, h)
	}
	return dst
}
