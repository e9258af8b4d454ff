package simulate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/shirecounty/shire/schemas/calendar"
)

// register is an office that hands over its own files.
type register struct {
	office string
	style  style
	write  func(context.Context, *office) error
	desk   func(*office) *incidentDesk // of an office that takes reports and so goes on while the county runs
}

// registers are all offices beside the service hall. Each knows a part of the people and writes them in its own way.
var registers = []register{
	{"public_security", style{gb18030: true}, writePublicSecurity, nil},
	{"civil_affairs", style{bom: true}, writeCivilAffairs, nil},
	{"social_security", style{}, writeSocialSecurity, nil},
	{"health", style{delimiter: ';'}, writeHealth, nil},
	{"education", style{}, writeEducation, nil},
	{"hotline_12345", style{}, nil, newHotline},
	{"grid", style{delimiter: '\t'}, nil, newGrid},
	{"data_bureau", style{}, writeDataBureau, nil},
	{"party_school", style{}, writePartySchool, nil},
}

// Streams of the registers' records.
const (
	ofResident = ofRecord + iota
	ofMarriage
	ofAssistance
	ofDisability
	ofInsured
	ofHealthFile
	ofPupil
	ofCall
	ofGrid
	ofCouncil
	ofTraining
)

// knows tells whether an office has a record of a person: the same person is known to one and not to another.
func (o *office) knows(stream uint64, i int32, share float64) bool {
	return float64(mix(o.opts.Seed, stream, uint64(i), 991)%10_000) < share*10_000
}

func (o *office) dataset(name, header string, bad badness) *dataset {
	return &dataset{office: o, name: name, header: strings.Split(header, ","), bad: bad}
}

// each calls fn for the people, and stops when the context ends.
func (o *office) each(ctx context.Context, fn func(i int32) error) error {
	for i := range o.people {
		if i%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := fn(int32(i)); err != nil {
			return err
		}
	}
	return nil
}

var noBadRows = badness{}

// writePublicSecurity writes the resident register (户籍人口): the whole of it, at the beginning and at the end of the
// simulated time. Who died or left in between is gone from the second file.
func writePublicSecurity(ctx context.Context, o *office) error {
	s := o.dataset("residents", "公民身份号码,姓名,曾用名,性别,出生日期,户号,户口簿编号,户口簿签发日期,住址,行政区划,联系电话,身份证流水号,身份证有效期起,身份证有效期止,人员状态", noBadRows)
	for _, day := range []int32{o.first, o.last} {
		s.open("residents-" + formatDate(day, "20060102") + ".csv")
		err := o.each(ctx, func(i int32) error {
			q := &o.people[i]
			if q.migrant || q.birth > day || q.left != 0 && q.left <= day || q.died != 0 && q.died+60 <= day {
				return nil
			}
			m := o.mentioning(i, day)
			o.spoilContact(o.d.at(ofResident, uint64(i), uint64(day)), &o.opts.Defects, i, day, &m)
			former, status := "", "正常"
			if q.nameChanged != 0 && q.nameChanged <= day {
				former = q.formerName
			}
			if q.died != 0 && q.died <= day {
				status = "死亡"
			}
			book := documentOf(o.opts.Seed, householdRegister, o.documentOwner(householdRegister, i, nobody), day)
			card := documentOf(o.opts.Seed, idCard, uint64(i), day)
			note := s.writes(i, &m)
			if day == o.last {
				note = s.about(q.number, "resident", i, &m)
			}
			if day == o.last {
				note = errors.Join(note, s.holds(q.number, "household_register", "resident", i, materials[householdRegister].code, book.from, 0),
					s.holds(q.number, "id_card", "resident", i, materials[idCard].code, card.from, card.until))
			}
			if note != nil {
				return note
			}
			return s.row(q.number, m.name, former, sexWord(q.male), formatDate(q.birth, "20060102"), o.households[q.household].number,
				book.number, formatDate(book.from, "20060102"), m.address, villages[m.village].code, m.phone,
				card.number, formatDate(card.from, "20060102"), formatDate(card.until, "20060102"), status)
		})
		if err != nil {
			return err
		}
		if err := s.close(); err != nil {
			return err
		}
	}
	return nil
}

// writeCivilAffairs writes marriages (two people in a row), households on the subsistence allowance (低保), and
// disability certificates.
func writeCivilAffairs(ctx context.Context, o *office) error {
	const layout = "2006年1月2日"
	bad := badness{key: 0, date: 1, noSuch: "2025年2月30日", code: -1, later: -1, tooShort: true, appendKey: "误"}
	marriages := o.dataset("marriages", "结婚证字号,登记日期,男方姓名,男方身份证件号,男方出生日期,女方姓名,女方身份证件号,女方出生日期,登记机关", bad)
	marriages.open("婚姻登记.csv")
	err := o.each(ctx, func(i int32) error {
		q := &o.people[i]
		if q.spouse == nobody || !q.male || q.migrant || !o.knows(ofMarriage, i, .92) {
			return nil
		}
		d := o.d.at(ofMarriage, uint64(i), 0)
		husband := o.mention(d, &o.opts.Defects, i, q.married)
		wife := o.mention(d, &o.opts.Defects, q.spouse, q.married)
		key := documentOf(o.opts.Seed, marriageCertificate, o.documentOwner(marriageCertificate, i, nobody), o.last).number
		if err := marriages.about(key, "husband", i, &husband); err != nil {
			return err
		}
		if err := errors.Join(marriages.about(key, "wife", q.spouse, &wife), marriages.holds(key, "of_husband", "husband", i, materials[marriageCertificate].code, q.married, 0),
			marriages.holds(key, "of_wife", "wife", q.spouse, materials[marriageCertificate].code, q.married, 0)); err != nil {
			return err
		}
		return marriages.row(key, formatDate(q.married, layout), husband.name, husband.number, formatDate(husband.birth, layout),
			wife.name, wife.number, formatDate(wife.birth, layout), nameZh+"民政局婚姻登记处")
	})
	if err != nil {
		return err
	}
	if err := marriages.close(); err != nil {
		return err
	}
	if err := o.writeAssistance(layout); err != nil {
		return err
	}
	return o.writeDisability(ctx, layout)
}

func (o *office) writeAssistance(layout string) error {
	s := o.dataset("assistance_households", "低保证号,户号,户主姓名,户主身份证号,住址,行政区划,联系电话,批准日期,保障人数,保障状态",
		badness{key: 0, date: 7, noSuch: "2025年2月30日", code: 9, later: -1, tooShort: true, appendKey: "误"})
	s.open("低保家庭.csv")
	for h := range o.households {
		hh := &o.households[h]
		if !hh.poor || o.age(hh.first, o.last) < 18 {
			continue
		}
		d := o.d.at(ofAssistance, uint64(h), 0)
		m := o.mention(d, &o.opts.Defects, hh.first, o.last)
		approved := o.first - int32(d.between(0, 2000))
		key := fmt.Sprintf("DB%s%05d", division, h)
		if err := errors.Join(s.about(key, "head", hh.first, &m), s.holds(key, "", "head", hh.first, "ALLOWANCE-CERTIFICATE", approved, 0)); err != nil {
			return err
		}
		if err := s.row(key, hh.number, m.name, m.number, m.address, villages[m.village].code, m.phone, formatDate(approved, layout), number(int(hh.size)), "在保"); err != nil {
			return err
		}
	}
	return s.close()
}

func (o *office) writeDisability(ctx context.Context, layout string) error {
	s := o.dataset("disability_certificates", "残疾人证号,姓名,身份证号,出生日期,残疾类别,残疾等级,发证日期,有效期至,联系电话,住址",
		badness{key: 0, date: 6, noSuch: "2025年2月30日", code: -1, later: -1, tooShort: true, appendKey: "误"})
	s.open("残疾人证.csv")
	err := o.each(ctx, func(i int32) error {
		q := &o.people[i]
		if !q.disabled || !o.knows(ofDisability, i, .9) || !o.present(i, o.last) {
			return nil
		}
		d := o.d.at(ofDisability, uint64(i), 0)
		m := o.mention(d, &o.opts.Defects, i, o.last)
		doc := documentOf(o.opts.Seed, disabilityCertificate, uint64(i), o.last)
		if err := errors.Join(s.about(doc.number, "holder", i, &m), s.holds(doc.number, "", "holder", i, materials[disabilityCertificate].code, doc.from, doc.until)); err != nil {
			return err
		}
		kinds := []string{"肢体", "视力", "听力", "言语", "智力", "精神", "多重"}
		return s.row(doc.number, m.name, m.number, formatDate(m.birth, layout), kinds[d.IntN(len(kinds))], []string{"一级", "二级", "三级", "四级"}[d.IntN(4)],
			formatDate(doc.from, layout), formatDate(doc.until, layout), m.phone, m.address)
	})
	if err != nil {
		return err
	}
	return s.close()
}

// writeHealth writes the residents' health files (居民健康档案), with semicolons, and numbers typed in groups.
func writeHealth(ctx context.Context, o *office) error {
	s := o.dataset("health_files", "健康档案号,姓名,证件号,性别代码,出生日期,联系方式,现住址,村(居)代码,建档日期,档案状态",
		badness{key: 0, date: 8, noSuch: "2025-02-30", code: 9, later: -1, tooShort: true, appendKey: "E"})
	s.open("health_files.txt")
	err := o.each(ctx, func(i int32) error {
		q := &o.people[i]
		if !o.knows(ofHealthFile, i, .86) || !o.present(i, o.last) {
			return nil
		}
		d := o.d.at(ofHealthFile, uint64(i), 0)
		m := o.mention(d, &o.opts.Defects, i, o.last)
		if len(m.number) == 18 && d.chance(o.opts.Defects.FullWidth*3) {
			m.number = m.number[:6] + " " + m.number[6:14] + " " + m.number[14:]
		}
		key := fmt.Sprintf("%s%08d", townships[villages[m.village].township].code, i+1)
		if err := s.about(key, "resident", i, &m); err != nil {
			return err
		}
		sex := "2"
		if q.male {
			sex = "1"
		}
		created := max(q.birth+3, o.first-int32(d.between(0, 3500)))
		return s.row(key, m.name, m.number, sex, formatDate(m.birth, "2006-01-02"), m.phone, m.address, villages[m.village].code, formatDate(created, "2006-01-02"), "在管")
	})
	if err != nil {
		return err
	}
	return s.close()
}

// writeEducation writes the pupils (学籍) with the parent to call. Keys look like XJ2024-000123, by year of enrolment.
func writeEducation(ctx context.Context, o *office) error {
	s := o.dataset("pupils", "学籍号,学生姓名,身份证件号,性别,出生年月日,学校,年级,监护人姓名,监护人电话,与学生关系,家庭住址,入学日期,学籍证明编号",
		badness{key: 0, date: 11, noSuch: "2025.2.30", code: 9, later: -1, tooShort: true, appendKey: "E"})
	s.open("pupils.csv")
	err := o.each(ctx, func(i int32) error {
		q := &o.people[i]
		age := o.age(i, o.last)
		if age < 6 || age > 17 || !o.present(i, o.last) || !o.knows(ofPupil, i, .96) {
			return nil
		}
		d := o.d.at(ofPupil, uint64(i), 0)
		m := o.mention(d, &o.opts.Defects, i, o.last)
		year := calendar.Date(q.birth).Year() + 6
		key := fmt.Sprintf("XJ%d-%06d", year, i+1)
		if err := errors.Join(s.about(key, "pupil", i, &m), s.holds(key, "", "pupil", i, materials[schoolRecord].code, int32(calendar.NewDate(year, 9, 1)), 0)); err != nil {
			return err
		}
		parent, relation := q.mother, "母子女"
		if d.chance(.45) && q.father != nobody || parent == nobody {
			parent, relation = q.father, "父子女"
		}
		guardian := mention{}
		if parent != nobody {
			guardian = o.mention(d, &o.opts.Defects, parent, o.last)
			guardian.number = ""
			if err := s.about(key, "guardian", parent, &guardian); err != nil {
				return err
			}
		} else {
			relation = "其他"
		}
		level, grade := "小学", age-5
		if age > 11 {
			level, grade = "中学", age-11
		}
		school := townships[villages[m.village].township].name + []string{"中心", "实验", "第二"}[d.IntN(3)] + level
		record := documentOf(o.opts.Seed, schoolRecord, uint64(i), o.last)
		return s.row(key, m.name, m.number, sexWord(q.male), formatDate(m.birth, "2006.1.2"), school, number(min(grade, 6)), guardian.name, guardian.phone, relation, m.address,
			fmt.Sprintf("%d.9.1", year), record.number)
	})
	if err != nil {
		return err
	}
	return s.close()
}

// writeDataBureau writes the register of what the county did to serve better (改革举措), and what the residents' councils decided.
func writeDataBureau(_ context.Context, o *office) error {
	s := o.dataset("interventions", "举措编号,类型,名称,英文名称,开始日期,涉及部门,涉及事项,目标指标,目标说明", noBadRows)
	s.open("interventions.csv")
	err := s.row(link.name, "数据直连", link.titleZh, link.titleEn, formatDate(o.launch, "2006-01-02"), departments[link.department].zh, "", "legal_time",
		"审批用时下降一半，户口簿和身份证不再重复提交")
	if err != nil {
		return err
	}
	return errors.Join(s.close(), writeCouncil(o))
}
