package semantic_test

import (
	"fmt"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/shirecounty/shire/schemas/semantic"
)

// Whatever the text: no panic, a listed code with a problem and no value beside it, and a canonical value that parses to itself.
func fuzz(f *testing.F, typ semantic.Type, seeds ...string) {
	for _, s := range append(seeds, "", " ", "无", "\xff", "０", "1E+5", "-", "*", "\ufeff1", "···", "?", "长期") {
		f.Add(s)
	}
	codes := semantic.Codes()
	f.Fuzz(func(t *testing.T, s string) {
		got, p := parse(typ, s)
		if p != nil {
			if !slices.Contains(codes, p.Code) {
				t.Fatalf("%q: the code %q is not listed", s, p.Code)
			}
			if typ.Kind() == semantic.Text && got != "" {
				t.Fatalf("%q: a value %q beside the problem %s", s, got, p.Code)
			}
			return
		}
		if got == "" || !utf8.ValidString(got) {
			t.Fatalf("%q: the canonical value is %q", s, got)
		}
		again, p := parse(typ, got)
		if typ.Kind() == semantic.Decimal {
			return // the text of a decimal is a count of its units
		}
		if p != nil || again != got {
			t.Fatalf("%q: canonical %q parses to %q %v", s, got, again, p)
		}
	})
}

func FuzzCitizenNumber(f *testing.F) {
	fuzz(f, mustNew(f, "citizen_number", nil), "11010519491231002X", "110105491231002", "CAN110081080310", "１１０１０５１９４９１２３１００２ｘ", "911124198108030024")
}

func FuzzOrganisationCode(f *testing.F) {
	fuzz(f, mustNew(f, "organisation_code", nil), "91350100M000100Y43", "91350100m000100y43")
}

func FuzzChineseName(f *testing.F) {
	fuzz(f, mustNew(f, "chinese_name", nil), "张伟", "买买提．吐尔逊", "John  Smith Jr.", "王 □", "· 阿·。b ·", "a .b", "张. .")
}

func FuzzPhone(f *testing.F) {
	fuzz(f, mustNew(f, "phone", nil), "13812345679", "+86-591-8765-4321", "0591-8765432转1", "400-812-3123-4", "+852 2123 4567", "0086", "010-65432109-1")
}

func FuzzPhoneWithAreaCode(f *testing.F) {
	fuzz(f, mustNew(f, "phone", semantic.Params{"area_code": "0591"}), "8765-4321", "8765432转12", "87654321-8001")
}

func FuzzDivisionCode(f *testing.F) {
	fuzz(f, mustNew(f, "division_code", nil), "350102", "350102000000", "350000000000")
	// Fixed lengths share everything but the last step.
}

func FuzzDate(f *testing.F) {
	fuzz(f, mustNew(f, "date", semantic.Params{"placeholders": []any{}}), "2024-01-05", "2024年1月5日", "20240105", "2024-01-05T23:00:00Z", "24-1-5", "2299-12-31 24:00")
}

func FuzzDateExcel(f *testing.F) {
	fuzz(f, mustNew(f, "date", semantic.Params{"excel": true, "long_term": "2299-12-31"}), "45296", "45296.5", "60", "0.99999999999", "146463")
}

func FuzzTimestamp(f *testing.F) {
	fuzz(f, mustNew(f, "timestamp", nil), "2024-01-05 08:30:05.123456", "2011-10-11 13:42:22.688000+02:00", "20240105083005", "1991-09-15 01:30", "2024年1月5日8时30分", "1900-01-01T00:00:00Z")
}

func FuzzTimestampEpoch(f *testing.F) {
	fuzz(f, mustNew(f, "timestamp", semantic.Params{"epoch": "seconds"}), "1704414605", "1704414605.25", "-99999999999999999999", "1.")
}

func FuzzTimestampLayout(f *testing.F) {
	fuzzOneWay(f, mustNew(f, "timestamp", semantic.Params{"layout": "02.01.2006 15:04:05.999 -0700"}), "05.01.2024 08:30:05 +0800")
}

func FuzzInteger(f *testing.F) {
	fuzz(f, mustNew(f, "integer", nil), "12", "1,234", "-9223372036854775807", "18446744073709551616", "12.0")
}

func FuzzMoney(f *testing.F) {
	typ := mustNew(f, "money", nil).(semantic.DecimalType)
	for _, s := range []string{"12.34", "¥1,234.50元", "1.5万元", "-￥12", "人民币12元整", "92233720368547758.08", "元", ".", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		fen, p := typ.ParseDecimal(s)
		if p != nil {
			return
		}
		sign, n := "", uint64(fen)
		if fen < 0 {
			sign, n = "-", uint64(-fen)
		}
		if again, p := typ.ParseDecimal(fmt.Sprintf("%s%d.%02d", sign, n/100, n%100)); p != nil || again != fen {
			t.Fatalf("%q: %d fen parses to %d %v", s, fen, again, p)
		}
	})
}

func FuzzDecimal(f *testing.F) {
	fuzz(f, mustNew(f, "decimal", semantic.Params{"scale": 9}), "1.5", "-0.000000001", "9223372036.854775808")
}

func FuzzBoolean(f *testing.F) { fuzz(f, mustNew(f, "boolean", nil), "是", "Ｙ", "FALSE") }

func FuzzSex(f *testing.F) { fuzz(f, mustNew(f, "sex", nil), "男", "Ｆ", "9") }

func FuzzCode(f *testing.F) { fuzzOneWay(f, mustNew(f, "code", exampleParams["code"]), "男", "１") }

func FuzzItemCode(f *testing.F) { fuzz(f, mustNew(f, "item_code", nil), "11350100mb1a", "Ａ1") }

func FuzzMaterialCode(f *testing.F) { fuzz(f, mustNew(f, "material_code", nil), "m-01.2_x") }

func FuzzCaseNumber(f *testing.F) { fuzz(f, mustNew(f, "case_number", nil), "case-10011", "a/1") }

func FuzzIdentifier(f *testing.F) { fuzz(f, mustNew(f, "identifier", nil), "记录 7", "a\nb") }

func FuzzText(f *testing.F) { fuzz(f, mustNew(f, "text", nil), " a b ", "\u00a0a\x00") }

func FuzzAddress(f *testing.F) {
	fuzz(f, mustNew(f, "address", nil), "文明路 12 号　３栋", "Flat 3  Block（2）")
}

// fuzzOneWay is for types whose canonical values are not their own source values.
func fuzzOneWay(f *testing.F, typ semantic.Type, seeds ...string) {
	for _, s := range append(seeds, "", "无", "\xff") {
		f.Add(s)
	}
	codes := semantic.Codes()
	f.Fuzz(func(t *testing.T, s string) {
		if got, p := parse(typ, s); p == nil && got == "" || p != nil && !slices.Contains(codes, p.Code) {
			t.Fatalf("%q: have %q %v", s, got, p)
		}
	})
}
