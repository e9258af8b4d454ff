package simulate

import (
	"fmt"

	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/semantic"
)

const nobody = int32(-1)

// person is one true person. Days are since 1970; 0 means it never happened.
type person struct {
	number     string // citizen number, valid
	name       string
	formerName string // before nameChanged
	phone      string
	household  int32
	mother     int32
	father     int32
	spouse     int32
	birth      int32
	married    int32
	died       int32
	left       int32 // moved away from the county

	nameChanged int32
	male        bool
	migrant     bool // lives here, registered elsewhere
	disabled    bool
}

// household is one true household (户).
type household struct {
	number  string // household number (户号)
	village int32
	former  int32 // village before moved
	moved   int32
	house   uint64
	poor    bool // receives the subsistence allowance
	edition int32
	first   int32 // its members are people[first:first+size], head first
	size    int32
}

type organisation struct {
	code     string // unified social credit code
	name     string
	phone    string
	village  int32
	director int32
	founded  int32
}

// population is everybody in the county.
type population struct {
	people        []person
	households    []household
	organisations []organisation
}

// populate makes the people: households of the usual shapes until there are n people. Ages are drawn as of the last
// day, so that the youngest are born within the simulated time.
func populate(seed uint64, n int, first, last int32) (*population, error) {
	p := &population{people: make([]person, 0, n)}
	sequences := map[uint64]uint16{}
	d := newDice(seed)
	for h := 0; len(p.people) < n; h++ {
		d.at(ofHousehold, uint64(h), 0)
		v := int32(d.skewed(len(villages)))
		hh := household{
			number:  fmt.Sprintf("%s%06d", division, h+1),
			village: v, former: v,
			house:   uint64(h),
			poor:    d.chance(.035),
			edition: int32(d.between(0, 2)),
			first:   int32(len(p.people)),
		}
		if d.chance(.10) {
			hh.former = int32(d.IntN(len(villages)))
			hh.moved = int32(d.between(int(first)-1500, int(last)))
		}
		p.households = append(p.households, hh)
		p.addHousehold(d, int32(h), first, last, n)
		p.households[h].size = int32(len(p.people)) - hh.first
	}
	for i := range p.people {
		if err := p.finish(d.at(ofPerson, uint64(i), 0), int32(i), first, last, sequences); err != nil {
			return nil, err
		}
	}
	p.found(d, n/60+3, first)
	return p, nil
}

// addHousehold adds the members of a household, as many as still fit into n.
func (p *population) addHousehold(d *dice, h, first, last int32, n int) {
	year := func(years float64) int32 { return last - int32(years*365.25) }
	migrant := d.chance(.13)
	add := func(male bool, born int32, surname string) int32 {
		if len(p.people) >= n {
			return nobody
		}
		if born > last-5 {
			born = last - 5
		}
		q := person{household: h, mother: nobody, father: nobody, spouse: nobody, birth: born, male: male, migrant: migrant}
		if surname == "" {
			surname = surnameAt(d.Float64())
		}
		if migrant && d.chance(.12) {
			q.name = minorityName(d)
		} else {
			q.name = fullName(d, surname, calendar.Date(born).Year(), male)
		}
		q.formerName = q.name
		p.people = append(p.people, q)
		return int32(len(p.people) - 1)
	}
	surname := surnameAt(d.Float64())
	couple := func(age float64) (husband, wife int32) {
		husband = add(true, year(age+d.NormFloat64()), surname)
		wife = add(false, year(age-2+1.5*d.NormFloat64()), "")
		if husband >= 0 && wife >= 0 {
			p.people[husband].spouse, p.people[wife].spouse = wife, husband
			day := max(p.people[husband].birth, p.people[wife].birth) + int32(d.between(21*365, 29*365))
			day = min(day, last-int32(d.between(5, 900)))
			p.people[husband].married, p.people[wife].married = day, day
		}
		return husband, wife
	}
	children := func(father, mother int32, ages ...float64) {
		for i, age := range ages {
			born := year(age)
			for k := 0; k < 1 || k < 2 && i == 0 && d.chance(.012); k++ { // twins share the day
				if c := add(d.chance(.52), born, surname); c >= 0 {
					p.people[c].father, p.people[c].mother = father, mother
				}
			}
		}
	}
	switch d.pick(.13, .20, .14, .25, .16, .12) {
	case 0: // alone
		male := d.chance(.5)
		add(male, year(20+60*d.Float64()), surname)
	case 1: // an old couple, or one left of it
		age := 60 + 30*d.Float64()
		if d.chance(.35) {
			add(d.chance(.35), year(age), surname)
			return
		}
		couple(age)
	case 2: // a couple alone
		couple(26 + 35*d.Float64())
	case 3: // with one child
		age := 27 + 25*d.Float64()
		f, m := couple(age)
		children(f, m, (age-24)*d.Float64())
	case 4: // with two
		age := 30 + 20*d.Float64()
		f, m := couple(age)
		a := (age - 25) * d.Float64()
		children(f, m, a, a+1.5+3*d.Float64())
	case 5: // three generations
		age := 29 + 16*d.Float64()
		f, m := couple(age)
		children(f, m, (age-24)*d.Float64())
		old := year(age + 24 + 6*d.Float64())
		mother := add(false, old, "")
		father := nobody
		if d.chance(.6) {
			father = add(true, old-700, surname)
		}
		if f >= 0 {
			p.people[f].mother, p.people[f].father = mother, father
		}
	}
}

// finish gives a person what does not depend on the others: number, telephone, and what happens to them.
func (p *population) finish(d *dice, i, first, last int32, sequences map[uint64]uint16) error {
	q := &p.people[i]
	region := division
	if q.migrant {
		region = elsewhere[d.IntN(len(elsewhere))]
	}
	number, err := citizenNumber(region, q.birth, q.male, sequences)
	if err != nil {
		return err
	}
	q.number = number
	q.phone = fmt.Sprintf("%s%08d", mobilePrefixes[i%int32(len(mobilePrefixes))], 10_000_000+mix(d.seed, ofPerson, uint64(i))%80_000_000)
	age := float64(last-q.birth) / 365.25
	q.disabled = d.chance(.02 + max(0, age-50)*.003)
	span := int(last - first)
	if d.chance((.001 + max(0, age-60)*.0025) * float64(span) / 365) {
		q.died = max(q.birth+1, first+int32(d.IntN(span+1)))
	} else if age > 18 && d.chance(.012*float64(span)/365) {
		q.left = max(q.birth+1, first+int32(d.IntN(span+1)))
	}
	if age > 3 && d.chance(.006) { // 更名: by law, years ago or within the window
		q.nameChanged = last - int32(d.IntN(3000))
		if q.nameChanged > q.birth {
			_, surname := splitName(q.name)
			q.name = fullName(d, surname, calendar.Date(q.birth).Year()+20, q.male)
		} else {
			q.nameChanged = 0
		}
	}
	return nil
}

// citizenNumber issues the next free number. Sequences are odd for men and even for women, so that twins of one sex
// have neighbouring ones.
func citizenNumber(region string, birth int32, male bool, sequences map[uint64]uint16) (string, error) {
	kind := uint64(0)
	if male {
		kind = 1
	}
	key := (mix(uint64(len(region)), hashText(region))&^1 | kind) ^ uint64(birth)<<1
	n := sequences[key]
	sequences[key] = n + 1
	start := uint16(mix(key) % 300) // not everywhere from 1
	if n >= 499 {
		return "", fmt.Errorf("more people were born on one day than there are citizen numbers: simulate fewer than %d people", 4_000_000)
	}
	sequence := (start+n)%499*2 + 2 - uint16(kind)
	s := fmt.Sprintf("%s%s%03d", region, calendar.Date(birth).Time().Format("20060102"), sequence)
	check, _ := semantic.CheckDigit(s)
	return s + string(rune(check)), nil
}

func hashText(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// splitName separates the given name from the surname.
func splitName(name string) (given, surname string) {
	for _, s := range surnames[100:] {
		if len(s) > 3 && len(name) > len(s) && name[:len(s)] == s {
			return name[len(s):], s
		}
	}
	r := []rune(name)
	return string(r[1:]), string(r[:1])
}

// found makes the organisations that apply for licences and employ people.
func (p *population) found(d *dice, n int, first int32) {
	trades := []string{"食品", "建材", "餐饮", "农产品", "竹木", "纺织", "物流", "五金", "旅游", "家具", "茶业", "水产"}
	words := []string{"恒", "盛", "瑞", "丰", "源", "达", "信", "益", "泰", "和", "顺", "鑫", "宏", "润", "嘉", "茂"}
	forms := []string{"有限公司", "有限公司", "有限公司", "商行", "经营部", "专业合作社"}
	for i := range n {
		d.at(ofOrganisation, uint64(i), 0)
		code := fmt.Sprintf("91%sMA%07d", division, 1_000_000+i*37)
		check, _ := semantic.OrganisationCheck(code)
		director := int32(d.IntN(len(p.people)))
		for tries := 0; p.age(director, first) < 22 && tries < 50; tries++ {
			director = int32(d.IntN(len(p.people)))
		}
		v := int32(d.IntN(len(villages)))
		p.organisations = append(p.organisations, organisation{
			code:     code + string(rune(check)),
			name:     nameZh + words[d.IntN(len(words))] + words[d.IntN(len(words))] + trades[d.IntN(len(trades))] + forms[d.IntN(len(forms))],
			phone:    fmt.Sprintf("%s%07d", areaCode, 7_000_000+i),
			village:  v,
			director: director,
			founded:  first - int32(d.between(30, 4000)),
		})
	}
}

// age in full years on a day; negative before birth.
func (p *population) age(i, day int32) int { return int(float64(day-p.people[i].birth) / 365.25) }

// present tells whether a person is born, alive and in the county on a day.
func (p *population) present(i, day int32) bool {
	q := &p.people[i]
	return q.birth <= day && (q.died == 0 || day < q.died) && (q.left == 0 || day < q.left)
}

// nameOn is the lawful name on a day.
func (q *person) nameOn(day int32) string {
	if q.nameChanged != 0 && day < q.nameChanged {
		return q.formerName
	}
	return q.name
}

// villageOn is where the household lives on a day.
func (h *household) villageOn(day int32) int32 {
	if h.moved != 0 && day < h.moved {
		return h.former
	}
	return h.village
}

func (h *household) address(v int32) string { return address(int(v), h.house) }
