package evidence_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/pipeline/identity/evidence"
)

func kind(t testing.TB, name string) *evidence.Kind {
	t.Helper()
	k, ok := evidence.Lookup(name)
	if !ok {
		t.Fatalf("there is no kind %q", name)
	}
	return k
}

func TestAgreement(t *testing.T) {
	const twin, otherTwin = "110105194912310038", "110105194912310054"
	for _, c := range []struct {
		kind, a, b, by string
		bound          float64
		want           bool
	}{
		// The same number in 15 and 18 digits, full width, and lower case.
		{"citizen_number", "11010519491231002X", "110105491231002", "exact", 0, true},
		{"citizen_number", "11010519491231002X", "１１０１０５１９４９１２３１００２ｘ", "exact", 0, true},
		{"citizen_number", "11010519491231002X", "110105 19491231 002x", "exact", 0, true},
		// One digit wrong, or two swapped, breaks the checksum.
		{"citizen_number", "11010519491231002X", "11010519491231012X", "one_slip", 0, true},
		{"citizen_number", "11010519491231002X", "11010519491213002X", "one_slip", 0, true},
		{"citizen_number", "11010519491231002X", "11010519491231402X", "birth", 0, true},
		// Twins have neighbouring sequences, and both numbers are valid: they agree in nothing but the birth date.
		{"citizen_number", twin, otherTwin, "one_slip", 0, false},
		{"citizen_number", twin, otherTwin, "birth_and_sequence", 0, false},
		{"organisation_code", "91350100M000100Y43", "M000100Y4", "inside", 0, true},
		{"organisation_code", "91350100M000100Y43", "91350100M000100Y34", "one_slip", 0, true},
		{"organisation_code", "91350100M000100Y43", "M000100Y-4", "exact", 0, true},
		{"organisation_name", "澄溪县惠民粮油有限公司", "澄溪县惠民粮油有限责任公司", "core", 0, true},
		{"organisation_name", "澄江市澄溪县惠民粮油有限公司", "惠民粮油有限公司", "core", 0, true},
		{"organisation_name", "澄溪县惠民粮油（集团）有限公司", "澄溪县惠民粮油(集团)有限公司", "exact", 0, true},
		{"organisation_name", "澄溪县惠民粮油有限公司", "清源县惠民粮油有限公司", "core", 0, false},
		{"organisation_name", "澄溪县惠民粮油有限公司", "清源县惠民粮油有限公司", "similar", .8, false},
		{"organisation_name", "惠民超市有限公司", "惠民超市（个体工商户）", "core", 0, true},
		{"organisation_name", "惠民超市连锁有限公司", "连锁有限公司", "core", 0, false},
		{"organisation_name", "城市建设有限公司", "建设有限公司", "core", 0, false},
		{"organisation_name", "石塘镇上湾村茶叶专业合作社", "石塘镇上湾村茶业专业合作社", "similar", .9, true},
		{"organisation_name", "華興商行", "华兴商行", "exact", 0, true},
		{"organisation_name", "ＡＢＣ 科技有限公司", "abc科技", "core", 0, true},
		{"chinese_name", "张 伟", "张伟", "exact", 0, true},
		{"chinese_name", "張偉", "张伟", "variant", 0, true},
		{"chinese_name", "张玮", "张伟", "pinyin", 0, true},
		{"chinese_name", "林静", "凌静", "fuzzy_pinyin", 0, true},
		{"chinese_name", "林静", "凌静", "pinyin", 0, false},
		{"chinese_name", "张晓明", "张明晓", "transposed", 0, true},
		{"chinese_name", "陈□华", "陈珺华", "lost", 0, true},
		{"chinese_name", "陈?华", "陈珺华", "lost", 0, true},
		{"chinese_name", "陈jun华", "陈珺华", "lost", 0, true},
		{"chinese_name", "陈王月", "陈玥", "lost", 0, true},
		{"chinese_name", "陈□华", "李珺华", "lost", 0, false},
		{"chinese_name", "张伟", "李娜", "lost", 0, false},
		{"chinese_name", "阿依古丽·买买提", "阿依古丽•买买提", "exact", 0, true},
		{"chinese_name", "阿依古丽·买买提", "阿依古丽买买提", "part", 0, true},
		{"chinese_name", "阿依古丽·买买提", "阿依古丽", "part", 0, true},
		{"chinese_name", "欧阳修文", "欧阳修远", "one_character", 0, true},
		{"chinese_name", "张伟", "张强", "one_character", 0, false},
		{"chinese_name", "王小红", "李小红", "given", 0, true},
		{"phone", "+86 142-1234-5678", "14212345678", "exact", 0, true},
		{"phone", "0590-6101234", "6101234", "local", 0, true},
		{"phone", "14212345678", "14212345687", "one_slip", 0, true},
		{"chinese_date", "1980年1月31日", "1980-01-31", "exact", 0, true},
		{"chinese_date", "1980.1.31", "19800131", "exact", 0, true},
		{"chinese_date", "1980-05-03", "1980-03-05", "slip", 0, true},
		{"chinese_date", "1980-02-16", "1980-01-01", "lunar", 0, true}, // New Year of the monkey
		{"chinese_date", "1980-01-20", "1979-12-03", "lunar", 0, true},
		{"chinese_date", "1980-02-16", "1980-03-01", "lunar", 0, false},
		{"chinese_address", "澄溪县石塘镇上湾村3组12号", "石塘镇上湾村三组12号", "house", 0, true},
		{"chinese_address", "某省某市澄溪县石塘镇上湾村3组12号", "澄溪县石塘镇上湾村村民委员会3组12号", "house", 0, true},
		{"chinese_address", "澄溪县石塘镇上湾村3组12号", "澄溪县石塘镇下湾村3组12号", "village", 0, false},
		{"chinese_address", "澄溪县石塘镇上湾村3组12号", "澄溪县石塘镇下湾村3组12号", "township", 0, true},
		// Who writes no county begins with the subdistrict, and a community is no district.
		{"chinese_address", "澄江街道上湾社区27幢3单元503室", "澄溪县澄江街道上湾社区27栋3单元503室", "house", 0, true},
		{"chinese_address", "鼓楼区澄江街道上湾社区27幢", "澄江街道上湾社区27幢", "house", 0, true},
		{"chinese_name", "林静", "凌静", "alike", 0, true},
		{"chinese_name", "陈?华", "陈珺华", "alike", 0, true},
		{"chinese_name", "张伟", "张强", "alike", 0, false},
		{"category", "男", "M", "exact", 0, true},
		{"text", "Smith-Jones", "smith jones", "exact", 0, true},
		{"text", "robert", "robret", "damerau", 1, true},
		{"text", "robert", "rob", "begins", 0, true},
		{"text", "dwayne", "duane", "jaro_winkler", 0.84, true},
		{"text", "dwayne", "duane", "jaro_winkler", 0.85, false},
		{"date", "1813-01-01", "1813-07-04", "year_only", 0, true},
		{"postcode", "s6 6ab", "s6 6xy", "sector", 0, true},
		{"email", "a.b@x.org", "a.b@y.net", "user", 0, true},
	} {
		k := kind(t, c.kind)
		a, ok := k.Prepare(c.a)
		b, ok2 := k.Prepare(c.b)
		if !ok || !ok2 {
			t.Errorf("%s: %q or %q counts as absent", c.kind, c.a, c.b)
			continue
		}
		cmp, ok := k.Comparators[c.by]
		if !ok {
			t.Fatalf("%s has no comparator %q", c.kind, c.by)
		}
		if got := cmp.Agree(&a, &b, c.bound); got != c.want {
			t.Errorf("%s: %q and %q by %s: %v", c.kind, c.a, c.b, c.by, got)
		}
		if cmp.Agree(&b, &a, c.bound) != c.want {
			t.Errorf("%s: %q and %q by %s is not symmetric", c.kind, c.a, c.b, c.by)
		}
	}
}

func TestAbsent(t *testing.T) {
	for name, values := range map[string][]string{
		"citizen_number":    {"", "无", "000000000000000000", "111111111111111111", "不详", "待补", "123456789012345678", "1234"},
		"chinese_name":      {"", " ", "无", "□□", "不详"},
		"phone":             {"", "无", "00000000000", "1380", "12345678901", "0590-0000000"},
		"chinese_date":      {"", "1900-01-01", "不详", "0000-00-00"},
		"chinese_address":   {"", "无", "不详"},
		"category":          {"", "0", "未知"},
		"organisation_name": {"", "无", "不详", "（）", "店"},
		"text":              {"", "null", `\N`, "n/a"},
	} {
		for _, v := range values {
			if got, ok := kind(t, name).Prepare(v); ok {
				t.Errorf("%s: %q counts as %q", name, v, got.Text)
			}
		}
	}
}

// Every comparator of every kind is symmetric, says yes to equal values where it is a similarity, and never panics; and
// preparing a prepared value changes nothing.
func TestComparatorsAreSymmetric(t *testing.T) {
	samples := []string{"11010519491231002X", "110105491231002", "张伟", "張偉", "陈□华", "陈jun华", "阿依古丽·买买提", "1980-01-31", "1980年1月31日",
		"澄溪县石塘镇上湾村3组12号", "石塘镇上湾村", "14212345678", "0590-6101234", "a@b.c", "s6 6ab", "男", "澄溪县惠民（集团）有限公司", "91350100M000100Y43", "x"}
	value := rapid.OneOf(rapid.SampledFrom(samples), rapid.String(), rapid.StringMatching(`[0-9X]{15,18}`), rapid.StringMatching(`[张李王伟□?·娜a-z]{1,5}`))
	rapid.Check(t, func(rt *rapid.T) {
		k := kind(t, rapid.SampledFrom(evidence.Names()).Draw(rt, "kind"))
		a, ok := k.Prepare(value.Draw(rt, "a"))
		b, ok2 := k.Prepare(value.Draw(rt, "b"))
		if ok {
			if again, still := k.Prepare(a.Text); !still || again.Hash != a.Hash {
				rt.Fatalf("%s: %q prepared again is %q", k.Name, a.Text, again.Text)
			}
		}
		if !ok || !ok2 {
			return
		}
		bound := rapid.Float64Range(0, 3).Draw(rt, "bound")
		for name, c := range k.Comparators {
			if c.Agree(&a, &b, bound) != c.Agree(&b, &a, bound) {
				rt.Fatalf("%s by %s is not symmetric for %q and %q", k.Name, name, a.Text, b.Text)
			}
		}
		for name, key := range k.Keys {
			if n := len(key.Of(&a, 3, nil)); n > 64 && name != "words" {
				rt.Fatalf("%s.%s gives %d keys", k.Name, name, n)
			}
		}
	})
}

// A slip in the region or in the check character leaves birth date and sequence whole, so that the two are found.
func TestSlipsAreFound(t *testing.T) {
	k := kind(t, "citizen_number")
	const number = "11010519491231002X"
	key := func(s string) uint64 {
		v, ok := k.Prepare(s)
		if !ok {
			t.Fatalf("%s counts as absent", s)
		}
		found := k.Keys["birth_and_sequence"].Of(&v, 0, nil)
		if len(found) != 1 {
			t.Fatalf("%s has %d keys", s, len(found))
		}
		return found[0]
	}
	slips := []string{number[:17] + "1"}
	for i := range 6 {
		slips = append(slips, number[:i]+string('0'+(number[i]-'0'+3)%10)+number[i+1:])
	}
	for i := range 5 {
		slips = append(slips, number[:i]+string(number[i+1])+string(number[i])+number[i+2:])
	}
	for _, s := range slips {
		if key(s) != key(number) {
			t.Errorf("%s does not find %s", s, number)
		}
	}
	if key("110105194912310119") == key(number) {
		t.Error("another sequence has the same key")
	}
}

func FuzzPrepare(f *testing.F) {
	for _, s := range []string{"", "张伟", "\xff\xfe", "１９８０年1月", "陈jun□", "0086", "澄溪县市镇村"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, name := range evidence.Names() {
			k, _ := evidence.Lookup(name)
			if v, ok := k.Prepare(s); ok && v.Text == "" {
				t.Errorf("%s: %q is prepared to nothing and not absent", name, s)
			}
		}
	})
}
