package evidence_test

import "testing"

// prepares fuzzes one kind: whatever a source wrote, preparing and comparing it end without a panic; what is prepared says
// something; and preparing it again changes nothing.
func prepares(f *testing.F, name string, seeds ...string) {
	for i := range seeds {
		f.Add(seeds[i], seeds[(i+1)%len(seeds)])
	}
	k := kind(f, name)
	f.Fuzz(func(t *testing.T, x, y string) {
		a, ok := k.Prepare(x)
		if !ok {
			return
		}
		if a.Text == "" {
			t.Errorf("%q is prepared to nothing, and is not absent", x)
		}
		if again, ok := k.Prepare(a.Text); !ok || again.Hash != a.Hash || again.Text != a.Text {
			t.Errorf("%q is prepared to %q, and that to %q", x, a.Text, again.Text)
		}
		b, ok := k.Prepare(y)
		if !ok {
			return
		}
		for by, c := range k.Comparators {
			if c.Agree(&a, &b, 1) != c.Agree(&b, &a, 1) {
				t.Errorf("by %s, %q and %q agree in one order only", by, x, y)
			}
		}
		for _, key := range k.Keys {
			key.Of(&a, 2, nil)
		}
	})
}

func FuzzName(f *testing.F) {
	prepares(f, "chinese_name", "张 伟", "張偉", "陈□华", "陈jun华", "陈王月", "阿依古丽·买买提", "欧阳修", "\xff张")
}

func FuzzAddress(f *testing.F) {
	prepares(f, "chinese_address", "某省某市澄溪县石塘镇上湾村村民委员会3组12号", "新疆维吾尔自治区喀什地区疏附县", "澄江街道上湾社区27幢3单元503室", "桥东街道人民路12号楼", "\xff镇村")
}

func FuzzDate(f *testing.F) {
	prepares(f, "chinese_date", "1980年1月31日", "1980.1.31", "１９８０-02-30", "19800131", "1980-01-31T00:00", "9999年99月")
}

func FuzzNumber(f *testing.F) {
	prepares(f, "citizen_number", "11010519491231002X", "110105491231002", "110105 19491231 002x", "H12345678", "无")
}

func FuzzCode(f *testing.F) {
	prepares(f, "organisation_code", "91350100M000100Y43", "M000100Y-4", "m000100y4")
}

func FuzzPhone(f *testing.F) {
	prepares(f, "phone", "+86 142-1234-5678", "0590-6101234 转 12", "014212345678", "00861421234567")
}

func FuzzOrganisation(f *testing.F) {
	prepares(f, "organisation_name", "澄江市澄溪县惠民粮油（集团）有限公司", "惠民超市（个体工商户）", "ＡＢＣ 科技有限责任公司", "市市市县县")
}
