package semantic

import "slices"

func init() {
	register(Definition{
		Name: "code", Kind: Text,
		Doc: Doc{
			Zh: "代码：按合同里的对照表把源值换成标准值；表里没有的报 unknown_code。",
			En: "A code (代码): the contract's table turns the source's value into the canonical one; what the table lacks is refused as unknown_code.",
		},
		Params: []Param{{Name: "table", Type: "object", Doc: Doc{
			Zh: "对照表：源值到标准值，如 {男: male, 女: female}；以 0 开头的源值须加引号。",
			En: "The table from source value to canonical value, such as {男: male, 女: female}; put source values with a leading 0 in quotes.",
		}}},
		build: func(a *arguments) Type {
			t := code{named{"code", Text}, a.table("table"), map[string]string{}}
			for _, source := range sortedKeys(t.exact) {
				canonical := t.exact[source]
				if other, twice := t.plain[plain(source)]; twice && other != canonical {
					// a and A mean different things here, so only the exact text counts for them.
					t.plain[plain(source)] = ""
					continue
				}
				t.plain[plain(source)] = canonical
				if canonical == "" {
					a.fail("table", "the source value %q has no canonical value", source)
				}
			}
			return t
		},
	})
	register(Definition{
		Name: "sex", Kind: Text,
		Doc: Doc{
			Zh: "性别：男/女、1/2、M/F、male/female 换成 male、female；0、9、未知、未说明为 unknown（GB/T 2261.1）。",
			En: "Sex (性别): 男/女, 1/2, M/F, male/female become male or female; 0, 9, 未知 and 未说明 become unknown (GB/T 2261.1).",
		},
		build: func(*arguments) Type { return sex{named{"sex", Text}} },
	})
}

var (
	codeUnknown = &Problem{CodeUnknownCode, "the value is not in the code table of the contract; add a line to the table"}
	sexUnknown  = &Problem{CodeUnknownCode, "the value is no code for a sex"}
)

type code struct {
	named
	exact, plain map[string]string
}

// ParseText returns the canonical value. Canonical values are not accepted as source values unless the table says so: in
// a table that maps 1 to 2, a 2 that the source never declared must not slip through.
func (t code) ParseText(s string) (string, *Problem) {
	if canonical, ok := t.exact[s]; ok {
		return canonical, nil
	}
	if canonical := t.plain[plain(s)]; canonical != "" {
		return canonical, nil
	}
	if trim(s) == "" {
		return "", problemEmpty
	}
	return "", codeUnknown
}

// Values returns the canonical values of a code type, sorted and without repetition; nil for any other type.
func Values(t Type) []string {
	switch t := t.(type) {
	case code:
		var values []string
		for _, v := range t.exact {
			values = append(values, v)
		}
		slices.Sort(values)
		return slices.Compact(values)
	case sex:
		return []string{"female", "male", "unknown"}
	}
	return nil
}

type sex struct{ named }

var sexes = map[string]string{
	"男": "male", "1": "male", "01": "male", "m": "male", "male": "male", "男性": "male",
	"女": "female", "2": "female", "02": "female", "f": "female", "female": "female", "女性": "female",
	"0": "unknown", "9": "unknown", "u": "unknown", "unknown": "unknown", "未知": "unknown", "未说明": "unknown",
	"未知的性别": "unknown", "未说明的性别": "unknown",
}

// ParseText returns male, female or unknown.
func (sex) ParseText(s string) (string, *Problem) {
	if v, ok := sexes[s]; ok {
		return v, nil
	}
	if v, ok := sexes[plain(s)]; ok {
		return v, nil
	}
	return "", refusal(s, sexUnknown)
}
