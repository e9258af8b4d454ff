package simulate

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/shirecounty/shire/schemas/calendar"
)

// PersonsOptions say how large and how dirty a labelled file of person records is.
type PersonsOptions struct {
	Records int           // about; at least 100
	Seed    uint64        // 1 when 0
	Defects PersonDefects // DefaultPersonDefects for the usual ones
}

// PersonDefects are the rates of what is wrong in a labelled person file, per record, beside those of Defects that
// apply to single records: what a form, a clerk or an old system does to a name, a date, an address.
type PersonDefects struct {
	Defects
	NumberAbsent float64 // the number is left empty, beside placeholders
	BirthMissing float64
	Variant      float64 // a character of the name in its traditional form
	Homophone    float64 // a character of the given name replaced by one of the same sound
	DaySlip      float64 // day and month of birth swapped, or one digit wrong
	ShortAddress float64 // the address without the county
}

// DefaultPersonDefects are the rates of an ordinary county: about 8% of the records have no usable number.
func DefaultPersonDefects() PersonDefects {
	d := DefaultDefects()
	d.NumberMissing, d.NumberPlaceholder = 0, .010
	d.ParentPhone, d.FormerVillage = .30, .35
	return PersonDefects{Defects: d, NumberAbsent: .070, BirthMissing: .01, Variant: .004, Homophone: .003, DaySlip: .004, ShortAddress: .30}
}

// DirtyPersonDefects are those of a county that is worse than most: shared telephones, many without a number.
func DirtyPersonDefects() PersonDefects {
	d := DefaultPersonDefects()
	d.NumberAbsent, d.NumberPlaceholder, d.NumberDigit, d.NumberSwapped, d.NumberShared = .095, .015, .012, .006, .004
	d.ParentPhone, d.VillagePhone, d.PhoneMissing = .85, .06, .10
	d.BirthMissing, d.Homophone, d.DaySlip, d.LunarBirthday = .03, .008, .012, .02
	return d
}

// PersonsHeader names the columns of a labelled person file: ent is the true person.
var PersonsHeader = []string{"rid", "source", "name", "sex", "birth_date", "id_number", "phone", "address", "ent"}

// personSources are the departments that the records come from, each with its own way of writing.
var personSources = []struct{ code, date, male, female string }{
	{"gongan", "2006-01-02", "男", "女"}, {"minzheng", "20060102", "男", "女"}, {"shebao", "2006-01-02", "1", "2"},
	{"weijian", "2006/1/2", "男性", "女性"}, {"jiaoyu", "2006年1月2日", "男", "女"}, {"dating", "2006-01-02", "M", "F"},
}

// variants are characters of names with their traditional forms, and homophones others of the same sound.
var (
	variants = []rune("张張刘劉陈陳杨楊赵趙黄黃吴吳孙孫马馬罗羅郑鄭谢謝韩韓冯馮华華国國军軍凤鳳兰蘭丽麗伟偉强強龙龍红紅云雲飞飛" +
		"东東宝寶荣榮庆慶寿壽树樹贵貴长長齐齊静靜颖穎莹瑩欣訢梦夢语語诗詩轩軒泽澤涵涵晓曉")
	homophones = []rune("伟玮华桦丽莉芳方英瑛秀绣梅玫敏闽静靖婷亭佳嘉欣新琳林洁杰雪学浩皓宇雨涵晗轩宣辰晨明铭志智军君建健国帼平萍")
)

func replaceOne(d *dice, name string, pairs []rune, from int) (string, bool) {
	r := []rune(name)
	start := 0
	if len(r) > 1 {
		start = d.IntN(len(r))
	}
	for i := range r {
		at := (start + i) % len(r)
		if at < from {
			continue
		}
		for k := 0; k < len(pairs); k += 2 {
			if r[at] == pairs[k] && pairs[k] != pairs[k+1] {
				r[at] = pairs[k+1]
				return string(r), true
			}
		}
	}
	return name, false
}

// WritePersons writes a labelled file of person records as CSV: what departments say about people, with the true
// person beside, so that matching can be measured. Records stand in random order. The same options give the same bytes.
func WritePersons(w io.Writer, o PersonsOptions) error {
	if o.Records < 100 {
		return fmt.Errorf("a file of %d person records is too small; ask for 100 or more", o.Records)
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	people := max(40, int(float64(o.Records)/2.915))
	last := int32(calendar.NewDate(2026, 9, 30))
	pop, err := populate(o.Seed, people, last-729, last)
	if err != nil {
		return err
	}
	of := make([]int32, 0, o.Records)
	d := newDice(o.Seed)
	// Everybody is known to somebody, few to all.
	for i := 0; len(of) < o.Records; i++ {
		n := 1 + d.at(ofShuffle, uint64(i), 1).pick(.22, .26, .22, .14, .09, .07)
		if i >= people {
			i, n = i%people, 1
		}
		for range min(n, o.Records-len(of)) {
			of = append(of, int32(i))
		}
	}
	d.at(ofShuffle, 0, 2).Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
	buffer := bufio.NewWriterSize(w, 1<<18)
	out := csv.NewWriter(buffer)
	if err := out.Write(PersonsHeader); err != nil {
		return err
	}
	row := make([]string, len(PersonsHeader))
	for rid, i := range of {
		pop.personRow(d.at(ofRecord, uint64(rid), uint64(i)), &o.Defects, rid, i, last, row)
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return err
	}
	return buffer.Flush()
}

func (p *population) personRow(d *dice, f *PersonDefects, rid int, i, last int32, row []string) {
	q := &p.people[i]
	source := personSources[d.IntN(len(personSources))]
	day := max(q.birth, last-int32(d.IntN(1800)))
	m := p.mention(d, &f.Defects, i, day)
	if d.chance(f.NumberAbsent) {
		m.number = ""
	}
	if d.chance(f.Variant) {
		m.name, _ = replaceOne(d, m.name, variants, 0)
	}
	if d.chance(f.Homophone) {
		m.name, _ = replaceOne(d, m.name, homophones, 1)
	}
	if strings.ContainsRune(m.name, '·') && d.chance(.5) {
		m.name = strings.ReplaceAll(m.name, "·", []string{"•", "．", "・", " "}[d.IntN(4)])
	}
	birth := calendar.Date(m.birth).Time().Format(source.date)
	switch {
	case d.chance(f.BirthMissing):
		birth = ""
	case d.chance(f.DaySlip):
		t := calendar.Date(m.birth).Time()
		if t.Day() <= 12 && d.chance(.5) {
			birth = fmt.Sprintf("%04d-%02d-%02d", t.Year(), t.Day(), int(t.Month()))
		} else {
			birth = t.AddDate(0, 0, []int{-10, 10, -1, 1, -20, 20}[d.IntN(6)]).Format(source.date)
		}
	}
	sex := source.female
	if q.male {
		sex = source.male
	}
	address := m.address
	if d.chance(f.ShortAddress) {
		address = strings.TrimPrefix(address, nameZh)
	} else if d.chance(.3) {
		address = "澄江市" + address
	}
	row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8] = strconv.Itoa(rid), source.code, m.name, sex, birth, m.number, m.phone, address, personID(i)
}
