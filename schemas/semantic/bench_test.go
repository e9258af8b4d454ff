package semantic_test

import (
	"testing"

	"github.com/shirecounty/shire/schemas/semantic"
)

// The common forms of the ten types that fill a county's rows.
var benchmarks = []struct {
	name, typ string
	values    []string
}{
	{"citizen_number", "citizen_number", []string{"11010519491231002X", "440524188001010014", "810000199408230021"}},
	{"citizen_number/fifteen", "citizen_number", []string{"110105491231002"}},
	{"citizen_number/wrong", "citizen_number", []string{"110105194912310021"}},
	{"organisation_code", "organisation_code", []string{"91350100M000100Y43"}},
	{"chinese_name", "chinese_name", []string{"张伟", "欧阳娜娜", "李小明"}},
	{"chinese_name/minority", "chinese_name", []string{"买买提·吐尔逊"}},
	{"phone", "phone", []string{"13812345679", "18650012345"}},
	{"phone/landline", "phone", []string{"0591-87654321"}},
	{"division_code", "division_code", []string{"350102", "350102001"}},
	{"date", "date", []string{"2024-01-05", "20240105", "2024年1月5日"}},
	{"timestamp", "timestamp", []string{"2024-01-05 08:30:05", "2024-01-05T08:30:05.123456", "2011-10-11 13:42:22.688000+02:00"}},
	{"timestamp/summer_time", "timestamp", []string{"1988-07-01 12:00:00"}},
	{"money", "money", []string{"1234.50", "12"}},
	{"integer", "integer", []string{"12", "345678"}},
	{"boolean", "boolean", []string{"是", "0"}},
	{"code", "code", []string{"男", "女"}},
	{"case_number", "case_number", []string{"350102202401050001"}},
	{"address", "address", []string{"福建省福州市鼓楼区文明路12号3栋"}},
	{"text", "text", []string{"办理不动产登记"}},
}

func BenchmarkParse(b *testing.B) {
	for _, bench := range benchmarks {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			typ := mustNew(b, bench.typ, exampleParams[bench.typ])
			i := 0
			next := func() string {
				if i++; i == len(bench.values) {
					i = 0
				}
				return bench.values[i]
			}
			switch typ := typ.(type) {
			case semantic.TextType:
				for b.Loop() {
					typ.ParseText(next())
				}
			case semantic.DateType:
				for b.Loop() {
					typ.ParseDate(next())
				}
			case semantic.TimestampType:
				for b.Loop() {
					typ.ParseTimestamp(next())
				}
			case semantic.IntegerType:
				for b.Loop() {
					typ.ParseInteger(next())
				}
			case semantic.DecimalType:
				for b.Loop() {
					typ.ParseDecimal(next())
				}
			case semantic.BooleanType:
				for b.Loop() {
					typ.ParseBoolean(next())
				}
			}
		})
	}
}

// The happy path of every type allocates nothing.
func TestCommonFormsDoNotAllocate(t *testing.T) {
	for _, bench := range benchmarks {
		if bench.name != bench.typ && bench.name != "timestamp/summer_time" {
			continue // a value that has to be rewritten needs room
		}
		typ := mustNew(t, bench.typ, exampleParams[bench.typ])
		for _, v := range bench.values {
			parseQuietly(typ, v)
			if n := testing.AllocsPerRun(100, func() { parseQuietly(typ, v) }); n > 0 {
				t.Errorf("%s: %v allocations for a value in a common form", bench.name, n)
			}
		}
	}
}

// parseQuietly is parse without the writing out, which allocates.
func parseQuietly(typ semantic.Type, s string) {
	switch typ := typ.(type) {
	case semantic.TextType:
		typ.ParseText(s)
	case semantic.DateType:
		typ.ParseDate(s)
	case semantic.TimestampType:
		typ.ParseTimestamp(s)
	case semantic.IntegerType:
		typ.ParseInteger(s)
	case semantic.DecimalType:
		typ.ParseDecimal(s)
	case semantic.BooleanType:
		typ.ParseBoolean(s)
	}
}
