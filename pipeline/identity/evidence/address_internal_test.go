package evidence

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The levels of an address as regular expressions: what the scanner must find, forty times as slow.
var (
	outsideText   = regexp.MustCompile(`^(?:[^省市区县]{1,8}(?:省|自治区))?(?:[^省市县州盟]{1,8}(?:市|州|盟|地区))?(?:([^县市区旗]{1,8}(?:自治县|县|市|区|旗)))?`)
	townshipText  = regexp.MustCompile(`^.[^镇乡]{0,7}?(?:街道办事处|街道|镇|民族乡|乡|苏木)`)
	villageText   = regexp.MustCompile(`^.{1,12}?(?:居民委员会|居委会|社区|村|嘎查)`)
	roadText      = regexp.MustCompile(`^.{1,10}?(?:大道|路|街|巷|弄|胡同)`)
	plainReplacer = strings.NewReplacer("〇", "0", "零", "0", "一", "1", "二", "2", "三", "3", "四", "4", "五", "5", "六", "6", "七", "7", "八", "8", "九", "9",
		"第", "", "号楼", "幢", "栋", "幢", "座", "幢", "队", "组", "小组", "组", "村民组", "组")
)

func TestAddressesAreSplitAsDescribed(t *testing.T) {
	word := rapid.SampledFrom([]string{"福", "建", "省", "自治", "自治区", "市", "州", "盟", "地区", "区", "县", "自治县", "旗", "镇", "乡", "民族乡", "街道", "街道办事处", "苏木",
		"村", "居委会", "社区", "嘎查", "路", "大道", "胡同", "号", "号楼", "栋", "一", "3", "12", "小组", "村民组", "队", "第", "户", "澄溪", "上湾", "石塘", "民", "居", "大"})
	rapid.Check(t, func(rt *rapid.T) {
		s := strings.Join(rapid.SliceOfN(word, 1, 12).Draw(rt, "words"), "")
		m := outsideText.FindStringSubmatch(s)
		if inside(m[1]) {
			m[0], m[1] = strings.TrimSuffix(m[0], m[1]), ""
		}
		if county, rest := outside(s); county != m[1] || rest != s[len(m[0]):] {
			rt.Errorf("%q begins with %q in county %q, and %q in %q was found", s, m[0], m[1], strings.TrimSuffix(s, rest), county)
		}
		for _, c := range []struct {
			text  *regexp.Regexp
			most  int
			level func(rune, string) int
		}{{townshipText, 8, township}, {villageText, 12, village}, {roadText, 10, road}} {
			if want, got := c.text.FindString(s), s[:nearest(s, c.most, c.level)]; got != want {
				rt.Errorf("%q: by %s it begins with %q, and %q was found", s, c.text, want, got)
			}
		}
		if want, got := plainReplacer.Replace(s), string(appendPlain(nil, s)); got != want {
			rt.Errorf("%q is %q in plain writing, and %q was found", s, want, got)
		}
	})
}
