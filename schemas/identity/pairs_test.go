package identity_test

import (
	"testing"

	"github.com/shirecounty/shire/pipeline/identity/match"
)

type party map[string]string

func record(m *match.Model, p party) match.Record {
	values := make([]string, len(m.Fields()))
	for i, f := range m.Fields() {
		values[i] = p[f]
	}
	return m.Prepare(values)
}

// What becomes of a pair.
const (
	linked = "linked"
	asked  = "asked about"
	apart  = "apart"
)

func becomes(m *match.Model, a, b party) string {
	x, y := record(m, a), record(m, b)
	switch w := m.Score(x, y); {
	case m.Conflict(x, y):
		return apart
	case w >= m.Link():
		return linked
	case w >= m.Review():
		return asked
	}
	return apart
}

func check(t *testing.T, m *match.Model, what, want string, a, b party) {
	t.Helper()
	for _, two := range [][2]party{{a, b}, {b, a}} {
		if got := becomes(m, two[0], two[1]); got != want {
			t.Errorf("%s: the two are %s and should be %s: %+v", what, got, want, m.Explain(record(m, two[0]), record(m, two[1])))
		}
	}
}

func TestShippedPerson(t *testing.T) {
	m := shipped(t, "person")
	const number, twin, phone = "110105194912310038", "110105194912310054", "13812345678"
	const house = "澄溪县石塘镇上湾村3组12号"
	born := party{"name": "陈静雯", "id_number": number, "sex": "male", "birth_date": "1949-12-31", "phone": phone, "address": house}
	with := func(p party, values ...string) party {
		out := party{}
		for k, v := range p {
			out[k] = v
		}
		for i := 0; i < len(values); i += 2 {
			out[values[i]] = values[i+1]
		}
		return out
	}
	only := func(name, number, phone string) party {
		return party{"name": name, "id_number": number, "phone": phone}
	}

	check(t, m, "an applicant without a number, of the resident's name and telephone", linked, born, only("陈静雯", "", phone))
	check(t, m, "the same with the commonest of names", linked, with(born, "name", "张伟"), only("张伟", "", phone))
	check(t, m, "two applicants with name and telephone", linked, only("张伟", "", phone), only("张伟", "", phone))
	check(t, m, "an applicant with a number", linked, born, only("陈静雯", number, ""))
	check(t, m, "another name on the telephone", apart, born, only("陈建国", "", phone))
	check(t, m, "the telephone alone", asked, party{"phone": phone}, only("陈静雯", "", phone))
	check(t, m, "a rare name alone", asked, born, only("陈静雯", "", ""))
	check(t, m, "two valid numbers", apart, born, with(born, "id_number", twin))
	check(t, m, "twins, both without a number", asked, with(born, "id_number", ""), with(born, "id_number", "", "name", "陈静怡"))
	check(t, m, "twins whose names sound alike", asked, with(born, "id_number", ""), with(born, "id_number", "", "name", "陈雯静"))
	check(t, m, "spouses", apart, with(born, "id_number", ""), with(born, "id_number", "", "name", "李秀英", "sex", "female", "birth_date", "1951-03-04"))
	check(t, m, "father and child on the father's telephone", apart, born, with(born, "id_number", "", "name", "陈浩", "birth_date", "1980-05-06"))
	check(t, m, "father and child of one name", asked, born, with(born, "id_number", "", "birth_date", "1980-05-06"))
	check(t, m, "a number used by another person", asked, born, with(born, "name", "李秀英", "sex", "female", "birth_date", "1951-03-04"))
	check(t, m, "a changed name, the same number", linked, born, with(born, "name", "陈思远"))
	check(t, m, "a placeholder is no number", apart, with(born, "id_number", "000000000000000000", "phone", ""), only("李秀英", "000000000000000000", ""))
	check(t, m, "the lunar birthday and a former address", linked, born, with(born, "id_number", "", "birth_date", "1949-11-12", "address", "澄溪县白沙镇下湾村1组2号"))
}

func TestShippedOrganisation(t *testing.T) {
	m := shipped(t, "organisation")
	firm := party{"name": "澄溪县惠民粮油有限公司", "organisation_code": "91350100M000100Y43", "phone": "05906101234", "address": "澄溪县石塘镇上湾村3组12号"}
	other := party{"name": "澄溪县惠民粮油有限公司", "organisation_code": "91350100MA2XXXX00J", "phone": "05906101234", "address": "澄溪县石塘镇上湾村3组12号"}
	check(t, m, "the code alone", linked, firm, party{"organisation_code": "91350100M000100Y43"})
	check(t, m, "the code inside", linked, firm, party{"name": "惠民粮油", "organisation_code": "M000100Y4"})
	check(t, m, "no code, the name without legal form, and the telephone", linked, firm, party{"name": "惠民粮油", "phone": "05906101234"})
	check(t, m, "no code, another firm at the same agent's", apart, firm, party{"name": "澄溪县兴旺米业有限公司", "phone": "05906101234"})
	check(t, m, "a branch", asked, firm, party{"name": "澄溪县惠民粮油石塘店", "phone": "05906101234", "address": "澄溪县石塘镇上湾村3组12号"})
	check(t, m, "one code under two names", asked, firm, party{"name": "澄溪县兴旺米业有限公司", "organisation_code": "91350100M000100Y43"})
	check(t, m, "two valid codes, all else the same", apart, firm, other)
	check(t, m, "the inner code of another", apart, firm, party{"name": firm["name"], "organisation_code": "MA2XXXX00", "phone": firm["phone"]})
	check(t, m, "moved to another registry", linked, firm, party{"organisation_code": "91350200M000100Y48"})
	if m.Conflict(record(m, firm), record(m, party{"organisation_code": "M000100Y4"})) {
		t.Error("a code is in conflict with its own inner code")
	}
}
