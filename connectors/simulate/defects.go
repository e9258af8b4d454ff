package simulate

import (
	"strings"
	"time"

	"github.com/shirecounty/shire/schemas/calendar"
)

// Defects are the rates of what is wrong in the departments' records, each between 0 and 1 and per record. The zero
// value is a county without a mistake. The public security register is the authority on numbers and names and has
// only the defects of addresses, telephones and typing.
type Defects struct {
	NumberMissing     float64 `yaml:"number_missing" json:"number_missing"`         // citizen number left empty
	NumberPlaceholder float64 `yaml:"number_placeholder" json:"number_placeholder"` // 无, 000000000000000000 and the like
	Number15          float64 `yaml:"number_15" json:"number_15"`                   // the 15 digits of before 1999
	NumberDigit       float64 `yaml:"number_digit" json:"number_digit"`             // one digit wrong
	NumberSwapped     float64 `yaml:"number_swapped" json:"number_swapped"`         // two neighbouring digits swapped
	NumberShared      float64 `yaml:"number_shared" json:"number_shared"`           // another family member's number
	ParentPhone       float64 `yaml:"parent_phone" json:"parent_phone"`             // of records of minors: a parent's telephone
	VillagePhone      float64 `yaml:"village_phone" json:"village_phone"`           // the village office's telephone
	PhoneMissing      float64 `yaml:"phone_missing" json:"phone_missing"`           //
	FormerVillage     float64 `yaml:"former_village" json:"former_village"`         // of records of households that moved: the old address
	LunarBirthday     float64 `yaml:"lunar_birthday" json:"lunar_birthday"`         // the birthday by the lunar calendar
	FormerName        float64 `yaml:"former_name" json:"former_name"`               // of records of people who changed it: the old name
	FullWidth         float64 `yaml:"full_width" json:"full_width"`                 // digits in full width
	NameSpaces        float64 `yaml:"name_spaces" json:"name_spaces"`               // spaces inside the name
	RareLost          float64 `yaml:"rare_lost" json:"rare_lost"`                   // of names with a rare character: it became □ or ?
	BadRow            float64 `yaml:"bad_row" json:"bad_row"`                       // rows that belong in quarantine, beside the good ones
	StepEndFilled     float64 `yaml:"step_end_filled" json:"step_end_filled"`       // a missing end of a step filled with its start
}

// DefaultDefects are the rates of the demo.
func DefaultDefects() Defects {
	return Defects{
		NumberMissing: .030, NumberPlaceholder: .006, Number15: .006, NumberDigit: .005, NumberSwapped: .003, NumberShared: .001,
		ParentPhone: .60, VillagePhone: .012, PhoneMissing: .05, FormerVillage: .35, LunarBirthday: .012, FormerName: .40,
		FullWidth: .010, NameSpaces: .012, RareLost: .45, BadRow: .0005, StepEndFilled: .02,
	}
}

// mention is what one record says about one person: the true values with the record's defects.
type mention struct {
	name    string
	number  string
	phone   string
	birth   int32
	male    bool
	address string
	village int32
}

// mentioning writes down a person on a day, as a careful office would: without defects.
func (p *population) mentioning(i, day int32) mention {
	q := &p.people[i]
	h := &p.households[q.household]
	v := h.villageOn(day)
	return mention{name: q.nameOn(day), number: q.number, phone: q.phone, birth: q.birth, male: q.male, address: h.address(v), village: v}
}

// mention writes down a person with the defects of the county, drawn from d.
func (p *population) mention(d *dice, f *Defects, i, day int32) mention {
	m := p.mentioning(i, day)
	q := &p.people[i]
	h := &p.households[q.household]
	if d.chance(f.FormerName) {
		m.name = q.formerName
	}
	p.spoilContact(d, f, i, day, &m)
	if d.chance(f.LunarBirthday) {
		m.birth = lunarBirthday(q.birth)
	}
	// One draw decides over the number, so that the rates add up and no number is spoilt twice.
	switch d.pick(f.NumberMissing, f.NumberPlaceholder, f.Number15, f.NumberDigit, f.NumberSwapped, f.NumberShared,
		max(0, 1-f.NumberMissing-f.NumberPlaceholder-f.Number15-f.NumberDigit-f.NumberSwapped-f.NumberShared)) {
	case 0:
		m.number = ""
	case 1:
		m.number = []string{"无", "000000000000000000", "111111111111111111", "不详", "待补"}[d.IntN(5)]
	case 2:
		if calendar.Date(q.birth).Year() < 2000 {
			m.number = q.number[:6] + q.number[8:17]
		}
	case 3:
		m.number = wrongDigit(d, q.number)
	case 4:
		m.number = swappedDigits(d, q.number)
	case 5:
		if other := h.first + int32(d.IntN(int(h.size))); other != i {
			m.number = p.people[other].number
		}
	}
	m.number = widened(d, f, m.number)
	return m
}

// spoilContact applies the defects that every department has: addresses, telephones, typing.
func (p *population) spoilContact(d *dice, f *Defects, i, day int32, m *mention) {
	q := &p.people[i]
	h := &p.households[q.household]
	switch {
	case p.age(i, day) < 18 && d.chance(f.ParentPhone):
		if parent := max(q.mother, q.father); parent != nobody {
			m.phone = p.people[parent].phone
		}
	case d.chance(f.VillagePhone):
		m.phone = villages[m.village].phone
	case d.chance(f.PhoneMissing):
		m.phone = ""
	}
	if d.chance(f.FormerVillage) && h.moved != 0 {
		m.village = h.former
		m.address = h.address(h.former)
	}
	if d.chance(f.RareLost) {
		m.name = loseRare(d, m.name)
	}
	if d.chance(f.NameSpaces) {
		m.name = spaced(d, m.name)
	}
	m.phone = widened(d, f, m.phone)
}

// wrongDigit changes one of the first 17 digits; the check character catches every such mistake.
func wrongDigit(d *dice, number string) string {
	b := []byte(number)
	at := d.IntN(17)
	b[at] = '0' + (b[at]-'0'+byte(d.between(1, 9)))%10
	return string(b)
}

// swappedDigits swaps two neighbouring digits that differ.
func swappedDigits(d *dice, number string) string {
	b := []byte(number)
	for range 20 {
		if at := d.between(6, 15); b[at] != b[at+1] {
			b[at], b[at+1] = b[at+1], b[at]
			break
		}
	}
	return string(b)
}

func widened(d *dice, f *Defects, s string) string {
	if s == "" || !d.chance(f.FullWidth) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r - '0' + '０'
		}
		return r
	}, s)
}

func spaced(d *dice, name string) string {
	r := []rune(name)
	blank := []string{" ", "\u3000", "  "}[d.IntN(3)]
	if len(r) < 2 {
		return name
	}
	return string(r[:1]) + blank + string(r[1:])
}

func loseRare(d *dice, name string) string {
	lost := '□'
	if d.chance(.4) {
		lost = '?'
	}
	return strings.Map(func(r rune) rune {
		if r > 0xFFFF {
			return lost
		}
		return r
	}, name)
}

// lunarBirthday reads the birthday in the lunar calendar (农历) and writes it as if it were a date: month and day of
// the lunar year. Mean new moons are exact enough for what is to look like a lunar date, not to be one.
func lunarBirthday(birth int32) int32 {
	const (
		month   = 29.530589
		newMoon = 10962.76 // 2000-01-06 18:14 UTC, in days since 1970
	)
	year := calendar.Date(birth).Year()
	solstice := float64(calendar.NewDate(year-1, time.December, 22))
	// The eleventh month is the one that holds the winter solstice.
	k := int((solstice - newMoon) / month)
	if solstice < newMoon {
		k--
	}
	eleventh := newMoon + float64(k)*month
	n := int((float64(birth) - eleventh) / month)
	day := int(float64(birth)-eleventh-float64(n)*month) + 1
	lunar := (10+n)%12 + 1
	if lunar == 2 {
		day = min(day, 28)
	}
	lunarYear := year
	if 10+n < 12 {
		lunarYear--
	}
	return int32(calendar.NewDate(lunarYear, time.Month(lunar), min(day, 30)))
}
