package evidence

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Parts of an organisation_name.
const (
	organisationCore   = iota // what is left of the name without its legal form and its region
	organisationRegion        // the last region that the name begins with; 0 when it begins with none
)

// Texts of an organisation_name: the core.
func init() {
	register(&Kind{
		Name:    "organisation_name",
		Doc:     "an organisation's name (单位名称): the region that it begins with, its core, and its legal form are told apart",
		Prepare: prepareOrganisationName,
		Comparators: map[string]Comparator{
			"core": {Doc: "the same but for legal form and region; two different regions are two organisations", Agree: func(a, b *Value, _ float64) bool {
				return a.Parts[organisationCore] == b.Parts[organisationCore] && sameRegion(a, b)
			}},
			"similar": {Doc: "Jaro-Winkler similarity of the cores, with no two different regions", Bound: AtLeast, Agree: func(a, b *Value, bound float64) bool {
				if !sameRegion(a, b) {
					return false
				}
				x, y := runes(a.Texts[0]), runes(b.Texts[0])
				return jaroWinkler(x.of(), y.of()) >= bound
			}},
		},
		Keys: map[string]Key{"core": {Doc: "the name without its legal form and its region", Of: partKey(organisationCore)}},
	})
}

func sameRegion(a, b *Value) bool {
	x, y := a.Parts[organisationRegion], b.Parts[organisationRegion]
	return x == 0 || y == 0 || x == y
}

// legalForms end a name, the longer before what they end with.
var legalForms = strings.Fields("股份有限公司 有限责任公司 有限公司 股份公司 总公司 公司 农民专业合作社联合社 专业合作社联合社 农民专业合作社 专业合作社 " +
	"股份经济合作社 经济合作社 合作社 特殊普通合伙企业 普通合伙企业 有限合伙企业 合伙企业 特殊普通合伙 普通合伙 有限合伙 个人独资企业 个人独资 个体工商户 经营部")

// notRegions end like a region and are none.
var notRegions = strings.Fields("超市 城市 门市 夜市 菜市 集市 花市 股市 上市 都市 社区 小区 园区 校区 景区 库区 开发区 高新区")

// leastLeft is how many characters of a name must be left when a part of it is taken off.
const leastLeft = 2

func prepareOrganisationName(raw string) (Value, bool) {
	text := tidyOrganisation(raw)
	if absent(text) || utf8.RuneCountInString(text) < leastLeft {
		return Value{}, false
	}
	core := text
	for shorter := true; shorter; {
		shorter = false
		for _, form := range legalForms {
			if rest, ok := strings.CutSuffix(core, form); ok && utf8.RuneCountInString(rest) >= leastLeft {
				core, shorter = rest, true
				break
			}
		}
	}
	v := Value{Text: text, Hash: hash(text)}
	for {
		region, rest := region(core)
		if region == "" {
			break
		}
		v.Parts[organisationRegion], core = hash(region), rest
	}
	v.Parts[organisationCore] = hash(core)
	v.Texts = []string{core}
	return v, true
}

// tidyOrganisation keeps letters and digits, in normal width, small, and with common forms of characters. Brackets go, and
// what stands in them stays: (福建) is a part of the name.
func tidyOrganisation(raw string) string {
	table := characters()
	b := make([]byte, 0, 96)
	for _, r := range compatible(raw) {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			continue
		}
		r = unicode.ToLower(r)
		if c := table.of(r); c.fold != 0 {
			r = c.fold
		}
		b = utf8.AppendRune(b, r)
	}
	return compatible(string(b)) // what was left out may have kept two characters apart
}

// region takes one region off the beginning of a name: two to seven characters that end in 省, 市, 县 or 区.
func region(name string) (region, rest string) {
	count := 0
	for i, r := range name {
		if count++; count > 8 {
			break
		}
		switch r {
		case '省', '市', '县', '区', '旗', '州':
		default:
			continue
		}
		end := i + utf8.RuneLen(r)
		if count <= leastLeft || utf8.RuneCountInString(name[end:]) < leastLeft {
			continue
		}
		for _, not := range notRegions {
			if strings.HasSuffix(name[:end], not) {
				return "", name
			}
		}
		return name[:end], name[end:]
	}
	return "", name
}
