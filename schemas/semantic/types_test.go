package semantic_test

import (
	"strings"
	"testing"

	"github.com/shirecounty/shire/schemas/semantic"
)

func TestCitizenNumber(t *testing.T) {
	runTable(t, mustNew(t, "citizen_number", nil), []row{
		{"11010519491231002X", "11010519491231002X"}, // the example of GB 11643
		{"440524188001010014", "440524188001010014"}, // its second example
		{"11010519491231002x", "11010519491231002X"},
		{" 110105 19491231 002X ", "11010519491231002X"},
		{"１１０１０５１９４９１２３１００２Ｘ", "11010519491231002X"},
		{"'11010519491231002X", "11010519491231002X"},
		{"\ufeff11010519491231002X\r\n", "11010519491231002X"},
		{"11010519491231002×", "11010519491231002X"},
		{"110105491231002", "11010519491231002X"}, // 15 digits
		{"１１０１０５ 491231 002", "11010519491231002X"},
		{"110105194912310021", "!check_digit"},
		{"110105194913310020", "!no_such_date"},
		{"110105190002290020", "!no_such_date"}, // 1900 was no leap year
		{"110105490230002", "!no_such_date"},
		{"160105194912310020", "!bad_region"},
		{"000105194912310020", "!bad_region"},
		{"810000199408230021", "810000199408230021"}, // residence permits
		{"830000199201300022", "830000199201300022"},
		{"810100199408230021", "!bad_region"},
		{"911124198108030024", "911124198108030024"}, // permanent-residence card, 2023
		{"911124198108030025", "!check_digit"},
		{"911124198113030024", "!no_such_date"},
		{"CAN110081080310", "CAN110081080310"}, // permanent-residence card, before
		{"can 1100 810803 10", "CAN110081080310"},
		{"CA1110081080310", "!format"},
		{"000000000000000000", "!placeholder"},
		{"111111111111111111", "!placeholder"},
		{"111111111111111", "!placeholder"},
		{"123456789012345678", "!placeholder"},
		{"AAA000000000000", "!placeholder"},
		{"无", "!placeholder"}, {"暂无", "!placeholder"}, {"NULL", "!placeholder"}, {"n/a", "!placeholder"}, {"-", "!placeholder"}, {"0", "!placeholder"},
		{"3501**********1234", "!masked"},
		{"3.50102E+17", "!scientific"},
		{"1101051949123100", "!format"},
		{"1X010519491231002X", "!format"},
		{"1101051949123100201234567890123", "!format"},
		{"张三", "!format"},
		{"\xff\xfe", "!encoding"},
	})
}

func TestCitizenNumberParts(t *testing.T) {
	const id = "11010519491231002X"
	if days, ok := semantic.BirthDate(id); !ok || semantic.FormatDate(days) != "1949-12-31" {
		t.Errorf("birth date: have %s %t", semantic.FormatDate(days), ok)
	}
	if sex, ok := semantic.Sex(id); !ok || sex != "female" {
		t.Errorf("sex: have %q %t", sex, ok)
	}
	if sex, ok := semantic.Sex("440524188001010014"); !ok || sex != "male" {
		t.Errorf("sex: have %q %t", sex, ok)
	}
	if region, ok := semantic.Region(id); !ok || region != "110105" {
		t.Errorf("region: have %q %t", region, ok)
	}
	for _, card := range []string{"CAN110081080310", ""} {
		if _, ok := semantic.BirthDate(card); ok {
			t.Errorf("%q has no birth date with a century", card)
		}
		if _, ok := semantic.Sex(card); ok {
			t.Errorf("%q has no sex", card)
		}
		if _, ok := semantic.Region(card); ok {
			t.Errorf("%q has no region", card)
		}
	}
	if _, ok := semantic.Region("911124198108030024"); ok {
		t.Error("a foreigner's card has no region")
	}
	if _, ok := semantic.CheckDigit("1101051949123100"); ok {
		t.Error("sixteen digits have no check")
	}
}

func TestOrganisationCode(t *testing.T) {
	runTable(t, mustNew(t, "organisation_code", nil), []row{
		{"91350100M000100Y43", "91350100M000100Y43"},
		{"91350100m000100y43", "91350100M000100Y43"},
		{" ９１３５０１００Ｍ０００１００Ｙ４３", "91350100M000100Y43"},
		{"91350100M000100Y44", "!check_digit"},
		{"9135010OM000100Y43", "!format"},
		{"91990100M000100Y43", "!bad_region"},
		{"9135AB00M000100Y43", "!bad_region"},
		{"000000000000000000", "!placeholder"}, // satisfies the checksum
		{"无", "!placeholder"},
		{"9135010*********43", "!masked"},
		{"12345678-9", "!format"},
		{"91350100M000100Y4", "!format"},
	})
	if check, ok := semantic.OrganisationCheck("91350100M000100Y4"); !ok || check != '3' {
		t.Errorf("check character: have %c %t", check, ok)
	}
}

func TestChineseName(t *testing.T) {
	runTable(t, mustNew(t, "chinese_name", nil), []row{
		{"张伟", "张伟"}, {" 张 伟　", "张伟"}, {"欧阳娜娜", "欧阳娜娜"},
		{"买买提·吐尔逊", "买买提·吐尔逊"},
		{"买买提•吐尔逊", "买买提·吐尔逊"}, {"买买提.吐尔逊", "买买提·吐尔逊"}, {"买买提．吐尔逊", "买买提·吐尔逊"},
		{"买买提・吐尔逊", "买买提·吐尔逊"}, {"买买提 ‧ 吐尔逊", "买买提·吐尔逊"}, {"买买提。吐尔逊", "买买提·吐尔逊"},
		{"买买提··吐尔逊·", "买买提·吐尔逊"}, {"·买买提", "买买提"},
		{"纥骨𠀀", "纥骨𠀀"}, // beyond the basic plane
		{"王□", "王□"}, {"王?", "王?"}, {"王？", "王?"},
		{"王\ue000", "王\ue000"}, // private use area
		{"□□", "!placeholder"}, {"??", "!placeholder"}, {"?·?", "!placeholder"},
		{"John  Smith", "John Smith"}, {"Ｊｏｈｎ　Ｓｍｉｔｈ", "John Smith"}, {"J. R. O'Neil-Smith", "J. R. O'Neil-Smith"},
		{"འཇིགས་མེད", "!format"}, // Tibetan tsheg is no letter, mark or known dot
		{"ئابدۇللا", "ئابدۇللا"},
		{"张三1", "!format"}, {"张３", "!format"}, {"张(伟)", "!format"}, {"13800138001", "!format"},
		{"张*", "!masked"}, {"张××", "!masked"},
		{"无", "!placeholder"}, {"未知", "!placeholder"}, {"不 详", "!placeholder"}, {"null", "!placeholder"}, {"-", "!placeholder"},
		{"张\xff", "!encoding"}, {"张\ufffd", "!encoding"},
		{strings.Repeat("买", 50), strings.Repeat("买", 50)},
		{strings.Repeat("买", 51), "!too_long"},
		{"·", "!format"}, {"'", "!format"},
	})
}

func TestPhone(t *testing.T) {
	runTable(t, mustNew(t, "phone", nil), []row{
		{"13812345679", "13812345679"}, {"138-1234-5679", "13812345679"}, {"138 1234 5679", "13812345679"},
		{"+8613812345679", "13812345679"}, {"+86 138 1234 5679", "13812345679"}, {"008613812345679", "13812345679"},
		{"8613812345679", "13812345679"}, {"013812345679", "13812345679"}, {"(+86)13812345679", "13812345679"},
		{"１３８１２３４５６７９", "13812345679"}, {"'13812345679", "13812345679"},
		{"0591-87654321", "059187654321"}, {"(0591)87654321", "059187654321"}, {"（0591）8765 4321", "059187654321"},
		{"010-65432109", "01065432109"}, {"021-65432109", "02165432109"}, {"0755-8765432", "07558765432"},
		{"+86-591-87654321", "059187654321"}, {"0086-591-8765-4321", "059187654321"},
		{"0591-8765-4321", "059187654321"},
		{"0591-87654321-8001", "059187654321-8001"}, {"0591-87654321转8001", "059187654321-8001"}, {"059187654321 ext. 8001", "059187654321-8001"},
		{"0591-8765432转1", "05918765432-1"},
		{"400-812-3123", "4008123123"}, {"4008123123转2", "4008123123-2"}, {"800 810 1234", "8008101234"},
		{"+852 2123 4567", "+85221234567"}, {"00852-21234567", "+85221234567"}, {"+1 (212) 555-0123", "+12125550123"},
		{"87654321", "!no_area_code"}, {"8765432", "!no_area_code"},
		{"13812345679/13912345678", "!several"}, {"13812345679、13912345678", "!several"}, {"0591-87654321;13812345679", "!several"},
		{"1381234567", "!format"}, {"138123456789", "!format"}, {"12012345678", "!format"}, {"13812345679转1", "!format"},
		{"00000000000", "!placeholder"}, {"11111111111", "!placeholder"}, {"12345678901", "!placeholder"}, {"13800000000", "!placeholder"},
		{"13800138000", "!placeholder"}, {"无", "!placeholder"}, {"/", "!placeholder"},
		{"138****5679", "!masked"}, {"1.3812E+10", "!scientific"}, {"电话", "!format"}, {"\xff", "!encoding"},
	})
	runTable(t, mustNew(t, "phone", semantic.Params{"area_code": "0591"}), []row{
		{"87654321", "059187654321"}, {"8765-4321", "059187654321"}, {"8765432", "05918765432"}, {"13812345679", "13812345679"},
	})
}

func TestDivisionCode(t *testing.T) {
	runTable(t, mustNew(t, "division_code", nil), []row{
		{"350102", "350102"}, {"350102001", "350102001"}, {"350102001003", "350102001003"},
		{"350102000000", "350102"}, {"350102001000", "350102001"}, {"350102000", "350102"}, {"350000", "350000"},
		{"３５０１０２", "350102"}, {" 350102 ", "350102"}, {"100000", "100000"},
		{"3501", "!format"}, {"35010200", "!format"}, {"ABCDEF", "!format"}, {"990102", "!bad_region"},
		{"000000", "!placeholder"}, {"无", "!placeholder"},
	})
	runTable(t, mustNew(t, "division_code", semantic.Params{"digits": 12}), []row{{"350102", "350102000000"}, {"350102001003", "350102001003"}})
	runTable(t, mustNew(t, "division_code", semantic.Params{"digits": 6}), []row{{"350102000000", "350102"}, {"350102001", "!too_long"}})
}

func TestNumbers(t *testing.T) {
	runTable(t, mustNew(t, "integer", nil), []row{
		{"12", "12"}, {"-12", "-12"}, {"+12", "12"}, {"1,234,567", "1234567"}, {"12.0", "12"}, {"１２", "12"}, {" 12 ", "12"}, {"1，234", "1234"},
		{"9223372036854775807", "9223372036854775807"}, {"9223372036854775808", "!out_of_range"}, {"99999999999999999999999", "!out_of_range"},
		{"12.5", "!too_precise"}, {"1,23", "!format"}, {"1,2345", "!format"}, {"12,34,567", "!format"}, {",123", "!format"}, {"12.", "!format"}, {"1.234,5", "!format"},
		{"", "!empty"}, {"-", "!placeholder"}, {"十二", "!format"}, {"1.2E+7", "!scientific"},
	})
	runTable(t, mustNew(t, "integer", semantic.Params{"min": 0, "max": uint64(150)}), []row{{"150", "150"}, {"151", "!out_of_range"}, {"-1", "!out_of_range"}})
	runTable(t, mustNew(t, "decimal", semantic.Params{"scale": 3, "max": 2}), []row{
		{"1.5", "1500"}, {".5", "!format"}, {"1.5000", "1500"}, {"1.5001", "!too_precise"}, {"2.001", "!out_of_range"},
	})
	runTable(t, mustNew(t, "money", nil), []row{
		{"12", "1200"}, {"12.3", "1230"}, {"12.34", "1234"}, {"12.3400", "1234"}, {"12.345", "!too_precise"}, {"-12.34", "-1234"},
		{"1,234.50", "123450"}, {"￥1,234.50元", "123450"}, {"¥ 12", "1200"}, {"-¥12", "-1200"}, {"１２．５０", "1250"}, {"人民币12元整", "1200"}, {"CNY 12.00", "1200"},
		{"1.5万元", "1500000"}, {"3万", "3000000"}, {"50分", "50"}, {"12.345678万元", "12345678"},
		{"92233720368547758.07", "9223372036854775807"}, {"92233720368547758.08", "!out_of_range"},
		{"壹佰元", "!format"}, {"元", "!format"}, {"12-13", "!format"}, {"--12", "!format"}, {"-¥-12", "!format"}, {"无", "!placeholder"},
	})
	runTable(t, mustNew(t, "money", semantic.Params{"unit": "wan"}), []row{{"1.5", "1500000"}, {"1.5元", "150"}})
	runTable(t, mustNew(t, "money", semantic.Params{"unit": "fen"}), []row{{"150", "150"}, {"1.5", "!too_precise"}, {"1.5元", "150"}})
}

func TestWordsAndCodes(t *testing.T) {
	runTable(t, mustNew(t, "boolean", nil), []row{
		{"是", "true"}, {"否", "false"}, {"1", "true"}, {"0", "false"}, {"TRUE", "true"}, {"n", "false"}, {"Ｙ", "true"}, {" yes ", "true"},
		{"maybe", "!unknown_code"}, {"无", "!placeholder"},
	})
	runTable(t, mustNew(t, "boolean", semantic.Params{"true": []any{"有"}, "false": []any{"无", uint64(0)}}), []row{
		{"有", "true"}, {"无", "false"}, {"0", "false"}, {"1", "!unknown_code"},
	})
	runTable(t, mustNew(t, "code", exampleParams["code"]), []row{
		{"男", "male"}, {" 女", "female"}, {"１", "2"}, {"2", "!unknown_code"}, {"male", "!unknown_code"}, {"无", "!unknown_code"},
	})
	runTable(t, mustNew(t, "code", semantic.Params{"table": map[any]any{"a": "x", "A": "y", uint64(3): true}}), []row{
		{"a", "x"}, {"A", "y"}, {" a", "!unknown_code"}, {"3", "true"},
	})
	runTable(t, mustNew(t, "sex", nil), []row{
		{"男", "male"}, {"2", "female"}, {"F", "female"}, {"m", "male"}, {"０", "unknown"}, {"未说明的性别", "unknown"}, {"3", "!unknown_code"}, {"-", "!placeholder"},
	})
	if got := strings.Join(semantic.Values(mustNew(t, "code", exampleParams["code"])), " "); got != "2 female male" {
		t.Errorf("values of the code table: have %s", got)
	}
}

func TestKeysAndTexts(t *testing.T) {
	long := strings.Repeat("a", 201)
	runTable(t, mustNew(t, "item_code", nil), []row{
		{"11350100mb1a", "11350100MB1A"}, {" Ａ1 ", "A1"}, {"A-1", "!format"}, {strings.Repeat("A", 25), "!too_long"}, {"0", "0"}, {"无", "!placeholder"}, {"é", "!format"},
	})
	runTable(t, mustNew(t, "material_code", nil), []row{{"m-01.2_x", "M-01.2_X"}, {"m/1", "!format"}})
	runTable(t, mustNew(t, "case_number", nil), []row{{"case-10011", "case-10011"}, {" case-10011\x00", "case-10011"}, {"闽1", "!format"}, {long[:51], "!too_long"}})
	runTable(t, mustNew(t, "case_number", semantic.Params{"max": 60}), []row{{long[:51], long[:51]}})
	runTable(t, mustNew(t, "identifier", nil), []row{
		{" 记录 7 ", "记录 7"}, {"0", "0"}, {long, "!too_long"}, {"a\nb", "!format"}, {"NULL", "!placeholder"}, {"a\xff", "!encoding"},
	})
	runTable(t, mustNew(t, "text", semantic.Params{"max": 3}), []row{{" a b ", "a b"}, {"王小二", "王小二"}, {"王小二三", "!too_long"}, {"无", "无"}, {"\xff", "!encoding"}})
	runTable(t, mustNew(t, "address", nil), []row{
		{"城关镇 文明路 12 号　３栋", "城关镇文明路12号3栋"}, {"Flat 3  Block（2）", "Flat 3 Block(2)"}, {"不详", "!placeholder"},
		{strings.Repeat("路", 301), "!too_long"}, {"路\xff", "!encoding"},
	})
}
