package simulate

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// department is one office of the county; its code is what contracts and truth use, its Chinese name what the
// service hall writes.
type department struct{ code, zh, en, prefix string }

const (
	civilAffairs = iota
	publicSecurity
	socialSecurity
	health
	education
	marketRegulation
	serviceHall
	hotline
	gridCentre
	dataBureau
	urbanManagement
	naturalResources
	bank // a material's issuer outside the county's government
	partySchool
	statistics
)

var departments = []department{
	civilAffairs:     {"civil_affairs", "民政局", "Civil Affairs Bureau", "MZ"},
	publicSecurity:   {"public_security", "公安局", "Public Security Bureau", "GA"},
	socialSecurity:   {"social_security", "人力资源和社会保障局", "Human Resources and Social Security Bureau", "RS"},
	health:           {"health", "卫生健康局", "Health Bureau", "WJ"},
	education:        {"education", "教育局", "Education Bureau", "JY"},
	marketRegulation: {"market_regulation", "市场监督管理局", "Market Regulation Bureau", "SC"},
	serviceHall:      {"service_hall", "政务服务中心", "Service Hall", "ZW"},
	hotline:          {"hotline_12345", "12345热线中心", "12345 Hotline Centre", "RX"},
	gridCentre:       {"grid", "网格化服务中心", "Grid Service Centre", "WG"},
	dataBureau:       {"data_bureau", "数据局", "Data Bureau", "SJ"},
	urbanManagement:  {"urban_management", "综合行政执法局", "Urban Management Bureau", "ZF"},
	naturalResources: {"natural_resources", "自然资源和规划局", "Natural Resources Bureau", "ZR"},
	bank:             {"bank", "银行", "Bank", "YH"},
	partySchool:      {"party_school", "县委党校", "Party School", "DX"},
	statistics:       {"statistics", "统计局", "Bureau of Statistics", "TJ"},
}

// material is a kind of paper (材料). A paper without a period never expires, but is renewed after about as many days
// as said: the old one is then no longer the same document.
type material struct {
	code, zh, en string
	issuer       int
	days         int  // length of the period of validity, or between two renewals
	expires      bool // the period is printed on it as its validity
	prefix       string
}

const (
	idCard = iota
	householdRegister
	marriageCertificate
	incomeProof
	disabilityCertificate
	insuranceRecord
	propertyCertificate
	birthCertificate
	schoolRecord
	medicalReport
	bankCard
	lease
	businessLicence
	photograph
)

var materials = []material{
	idCard:                {"ID-CARD", "居民身份证复印件", "Identity card", publicSecurity, 3650, true, "SFZ"},
	householdRegister:     {"HOUSEHOLD-REGISTER", "户口簿", "Household register", publicSecurity, 1100, false, "HKB"},
	marriageCertificate:   {"MARRIAGE-CERTIFICATE", "结婚证", "Marriage certificate", civilAffairs, 9000, false, "JHZ"},
	incomeProof:           {"INCOME-PROOF", "家庭收入证明", "Proof of household income", civilAffairs, 120, true, "SRZM"},
	disabilityCertificate: {"DISABILITY-CERTIFICATE", "残疾人证", "Disability certificate", civilAffairs, 3650, true, "CJZ"},
	insuranceRecord:       {"INSURANCE-RECORD", "社会保险参保证明", "Proof of social insurance", socialSecurity, 180, true, "CBZM"},
	propertyCertificate:   {"PROPERTY-CERTIFICATE", "不动产权证书", "Property certificate", naturalResources, 5500, false, "BDC"},
	birthCertificate:      {"BIRTH-CERTIFICATE", "出生医学证明", "Birth certificate", health, 20000, false, "CSZM"},
	schoolRecord:          {"SCHOOL-RECORD", "学籍证明", "School record", education, 365, true, "XJZM"},
	medicalReport:         {"MEDICAL-REPORT", "健康体检报告", "Medical report", health, 365, true, "TJBG"},
	bankCard:              {"BANK-CARD", "银行卡复印件", "Bank card", bank, 1200, false, "YHK"},
	lease:                 {"LEASE", "房屋租赁合同", "Lease", naturalResources, 365, true, "ZLHT"},
	businessLicence:       {"BUSINESS-LICENCE", "营业执照副本", "Business licence", marketRegulation, 3000, false, "YYZZ"},
	photograph:            {"PHOTOGRAPH", "近期免冠照片", "Photograph", publicSecurity, 180, true, "ZP"},
}

// group is who may apply for an item.
type group int

const (
	adults group = iota
	needy
	disabled
	elderly
	workers
	retiring
	newParents
	schoolParents
	newcomers
	companies
	groupCount
)

type ask struct {
	material int
	share    float64 // of the cases that need it
}

// item is one service item (事项). Demand is in applications per thousand residents and year.
type item struct {
	code, name string
	department int
	onSpot     bool
	statutory  int // working days
	promised   int
	demand     float64
	season     [12]float64 // relative demand by month; zero: even
	online     float64     // share of applications that do not come to a window
	group      group
	supplement float64 // share of cases with a supplement
	asks       []ask
	linked     bool // the data link serves it
}

var even [12]float64

var items = []item{
	{"339921MZ0001", "最低生活保障对象认定", civilAffairs, false, 30, 20, 42, even, .25, needy, .16,
		[]ask{{idCard, 1}, {householdRegister, 1}, {incomeProof, 1}, {marriageCertificate, .4}, {disabilityCertificate, .2}, {propertyCertificate, .3}, {bankCard, .3}}, true},
	{"339921MZ0002", "残疾人两项补贴资格认定", civilAffairs, false, 20, 12, 32, even, .35, disabled, .10,
		[]ask{{idCard, 1}, {householdRegister, .9}, {disabilityCertificate, 1}, {bankCard, .4}}, true},
	{"339921MZ0003", "高龄津贴申领", civilAffairs, false, 15, 8, 45, even, .30, elderly, .07,
		[]ask{{idCard, 1}, {householdRegister, 1}, {bankCard, .4}}, true},
	{"339921GA0001", "户籍证明出具", publicSecurity, true, 1, 1, 110, even, .45, adults, .02,
		[]ask{{idCard, .9}, {householdRegister, 1}}, false},
	{"339921GA0002", "户口迁移审批", publicSecurity, false, 20, 10, 70, even, .20, adults, .10,
		[]ask{{idCard, 1}, {householdRegister, 1}, {propertyCertificate, .6}, {marriageCertificate, .4}}, false},
	{"339921GA0003", "居住证办理", publicSecurity, false, 15, 7, 60, [12]float64{.5, .8, 1.6, 1.2, 1, .9, 1, 1.2, 1.3, 1, .8, .7}, .50, newcomers, .08,
		[]ask{{idCard, 1}, {lease, .7}, {insuranceRecord, .4}, {photograph, 1}}, false},
	{"339921RS0001", "灵活就业人员参保登记", socialSecurity, true, 5, 1, 95, even, .55, workers, .03,
		[]ask{{idCard, 1}, {householdRegister, .5}, {bankCard, .5}}, false},
	{"339921RS0002", "失业保险金申领", socialSecurity, false, 10, 6, 45, even, .60, workers, .08,
		[]ask{{idCard, 1}, {insuranceRecord, .8}, {bankCard, .9}}, false},
	{"339921RS0003", "养老保险待遇核定", socialSecurity, false, 20, 12, 40, even, .35, retiring, .11,
		[]ask{{idCard, 1}, {householdRegister, .8}, {insuranceRecord, .9}, {bankCard, .9}}, false},
	{"339921WJ0001", "生育登记", health, true, 3, 1, 25, even, .65, newParents, .03,
		[]ask{{idCard, 1}, {householdRegister, .6}, {marriageCertificate, .8}, {birthCertificate, .7}}, false},
	{"339921WJ0002", "公共场所卫生许可", health, false, 20, 9, 18, even, .40, companies, .14,
		[]ask{{businessLicence, 1}, {lease, .7}, {medicalReport, .8}, {propertyCertificate, .3}}, false},
	{"339921JY0001", "义务教育入学登记", education, false, 30, 20, 45, [12]float64{.05, .05, .1, .3, 1.5, 3.5, 3.5, 2, .6, .2, .1, .1}, .60, schoolParents, .09,
		[]ask{{idCard, 1}, {householdRegister, 1}, {birthCertificate, .7}, {propertyCertificate, .5}, {lease, .2}}, false},
	{"339921JY0002", "学生资助申请", education, false, 20, 10, 30, [12]float64{.3, .8, 1.8, .5, .3, .3, .2, 1.2, 4, 1.6, .6, .4}, .50, schoolParents, .08,
		[]ask{{idCard, 1}, {householdRegister, .9}, {incomeProof, .9}, {schoolRecord, .7}, {bankCard, .6}}, false},
	{"339921SC0001", "企业设立变更登记", marketRegulation, false, 5, 2, 40, even, .75, companies, .06,
		[]ask{{businessLicence, .7}, {lease, .6}, {propertyCertificate, .3}}, false},
	{"339921SC0002", "食品经营许可", marketRegulation, false, 20, 7, 35, even, .55, companies, .12,
		[]ask{{businessLicence, 1}, {lease, .6}, {medicalReport, .7}}, false},
}

// writeItems writes the county's list of service items: what each requires of all, and of some.
func writeItems(file string) error {
	var b strings.Builder
	b.WriteString("# What each service item requires (材料编码): of every case, and of some.\nmaterials:\n")
	for _, m := range materials {
		fmt.Fprintf(&b, "  %s: {zh: %s, en: %s}\n", m.code, m.zh, m.en)
	}
	b.WriteString("items:\n")
	for _, it := range items {
		var always, sometimes []string
		for _, a := range it.asks {
			if a.share == 1 {
				always = append(always, materials[a.material].code)
			} else {
				sometimes = append(sometimes, materials[a.material].code)
			}
		}
		fmt.Fprintf(&b, "  - {code: %q, name: {zh: %s, en: %s}, department: %s, materials: [%s], sometimes: [%s]}\n",
			it.code, it.name, it.code, departments[it.department].code, strings.Join(always, ", "), strings.Join(sometimes, ", "))
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}

// link is the data link (数据专线): from its launch the register of public security answers civil affairs' questions.
var link = struct {
	name, titleZh, titleEn string
	sources                []int
	department             int
	materials              []int
	share                  float64 // of the covered papers that are met from shared data
	factor                 float64 // on the working time between acceptance and closing
}{
	name:    "household_data_link",
	titleZh: "公安户籍数据直连民政救助办理",
	titleEn: "Household register linked to social assistance",
	sources: []int{publicSecurity}, department: civilAffairs,
	materials: []int{idCard, householdRegister}, share: .85, factor: .45,
}

// yearlyGain is how much faster every office becomes in a year on its own: what a comparison must not take for the
// effect of the link.
const yearlyGain = .05

// document is one edition of a paper of somebody.
type document struct {
	number  string
	edition int32
	from    int32
	until   int32 // 0: no end
}

// documentOf gives the paper of a material that a party has on a day. It is a function of its arguments, so that every
// department that asks on the same day sees the same paper. owner separates people, households and organisations.
func documentOf(seed uint64, m int, owner uint64, day int32) document {
	mat := &materials[m]
	h := mix(seed, ofDocument, uint64(m), owner)
	period := int32(mat.days)
	if !mat.expires { // renewals of one paper come at its own pace
		period = period/2 + int32(h>>40)%period
	}
	offset := int32(h % uint64(period))
	edition := (day + offset) / period
	doc := document{edition: edition, from: edition*period - offset}
	if mat.expires {
		doc.until = doc.from + period - 1
	}
	doc.number = fmt.Sprintf("%s%010d-%02d", mat.prefix, h%10_000_000_000, edition%100)
	return doc
}

// owners of documents: a household register belongs to the household, a marriage certificate to the couple.
func (p *population) documentOwner(m int, person, org int32) uint64 {
	if org != nobody {
		return 1<<62 | uint64(org)
	}
	switch m {
	case householdRegister:
		return 1<<61 | uint64(p.people[person].household)
	case marriageCertificate:
		if s := p.people[person].spouse; s != nobody {
			return uint64(min(person, s))
		}
	}
	return uint64(person)
}

// everydayWords could be somebody's name, but are more likely a word on a screen.
const everydayWords = "安全 安康 时长 文明 金华 高明 高峰 万全 常有 江海 成文"

// openTexts are the words of the county that stand in open tables, contracts and screens, so that no person is called
// like one of them.
var openTexts = func() string {
	var b strings.Builder
	b.WriteString(everydayWords)
	err := fs.WalkDir(templates, ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := templates.ReadFile(path)
		b.Write(text)
		return err
	})
	if err != nil {
		panic("simulate: the embedded templates cannot be read") // the compiler put them there
	}
	for _, it := range items {
		b.WriteString(it.name)
	}
	for _, m := range materials {
		b.WriteString(m.zh)
	}
	for _, t := range townships {
		b.WriteString(t.name)
	}
	return b.String() + link.titleZh
}()
