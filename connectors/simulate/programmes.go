package simulate

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/shirecounty/shire/schemas/calendar"
)

// Topics of the residents' councils (议事会), and the departments that have to carry out what they decide.
var councilTopics = []struct {
	zh, code   string
	department int
}{
	{"道路维修", "roads", urbanManagement},
	{"公共照明", "lighting", urbanManagement},
	{"环境卫生", "sanitation", urbanManagement},
	{"土地利用", "land_use", naturalResources},
	{"养老服务", "elderly_care", civilAffairs},
	{"校门秩序", "school_gates", education},
}

// writeCouncil writes the decisions of the townships' residents' councils (居民议事会决议): one matter, one discussion, one vote.
func writeCouncil(o *office) error {
	s := o.dataset("council_decisions", "决议编号,议题类别,行政区划,落实部门,表决时间,应到人数,实到人数,赞成票数,落实期限,落实日期,公开日期", noBadRows)
	truth, err := createSheet(filepath.Join(o.root, "truth", "decisions.csv"), style{},
		[]string{"decision", "department", "decided_at", "due_on", "carried_out_on", "published_on", "entitled", "attended"})
	if err != nil {
		return err
	}
	s.open("council_decisions.csv")
	from := o.first
	for _, last := range monthEnds(o.first, o.last) {
		for i, township := range townships {
			d := o.d.at(ofCouncil, uint64(from), uint64(i))
			if !d.chance(.6) {
				continue
			}
			day := from + int32(d.IntN(int(last-from)+1))
			decided := int64(day)*dayLong + 19*hour + int64(d.between(0, 90))*minute
			topic := councilTopics[d.IntN(len(councilTopics))]
			entitled := d.between(15, 40)
			attended := entitled * d.between(68, 98) / 100
			due := day + int32(d.between(20, 60))
			done := day + int32(d.lognormal(32, .6))
			published := int32(0)
			if d.chance(.92) {
				published = day + int32(d.between(1, 7))
			}
			known := func(day int32) string {
				if day > o.last {
					return ""
				}
				return formatDate(day, "2006-01-02")
			}
			number := fmt.Sprintf("YS%s%s", township.code, calendar.Date(day).Time().Format("200601"))
			when, dueOn := formatTime(decided), formatDate(due, "2006-01-02")
			err := errors.Join(
				s.row(number, topic.zh, township.code, departments[topic.department].zh, when, fmt.Sprint(entitled), fmt.Sprint(attended),
					fmt.Sprint(attended*d.between(55, 95)/100), dueOn, known(done), known(published)),
				truth.row(number, departments[topic.department].code, when, dueOn, known(done), known(published), fmt.Sprint(entitled), fmt.Sprint(attended)))
			if err != nil {
				return err
			}
			o.tally.add("decisions", topic.department, day)
		}
		from = last + 1
	}
	return errors.Join(s.close(), truth.close())
}

// writePartySchool writes who took part in the county party school's courses and observation visits (观摩), and what came of it.
func writePartySchool(_ context.Context, o *office) error {
	s := o.dataset("training_participations", "培训编号,培训类型,学员编号,选派单位,培训时间,满意度,训前测试分,训后测试分,计划实施日期", noBadRows)
	truth, err := createSheet(filepath.Join(o.root, "truth", "training.csv"), style{},
		[]string{"training", "participant", "department", "attended_at", "satisfaction", "points_before", "points_after", "practised_on"})
	if err != nil {
		return err
	}
	s.open("training_participations.csv")
	senders := []int{civilAffairs, publicSecurity, socialSecurity, health, education, marketRegulation}
	from := o.first
	for _, last := range monthEnds(o.first, o.last) {
		d := o.d.at(ofTraining, uint64(from), 0)
		day := from + int32(d.IntN(int(last-from)+1))
		kind := []string{"专题班", "观摩"}[d.IntN(2)]
		training := "PX" + calendar.Date(day).Time().Format("20060102")
		for i := range d.between(18, 40) {
			sender := senders[d.IntN(len(senders))]
			participant := fmt.Sprintf("XY%s%03d", calendar.Date(day).Time().Format("0601"), i+1)
			satisfaction, before, after, practised := "", "", "", ""
			if d.chance(.8) {
				satisfaction = fmt.Sprint(d.pick(.5, .33, .1, .05, .02) + 1)
			}
			points := d.between(35, 80)
			if d.chance(.9) {
				before = fmt.Sprint(points)
			}
			if d.chance(.85) {
				after = fmt.Sprint(min(100, points+d.between(-4, 30)))
			}
			if began := day + int32(d.between(10, 120)); d.chance(.4) && began <= o.last {
				practised = formatDate(began, "2006-01-02")
			}
			when := formatTime(int64(day)*dayLong + 9*hour)
			err := errors.Join(s.row(training, kind, participant, departments[sender].zh, when, satisfaction, before, after, practised),
				truth.row(training, participant, departments[sender].code, when, satisfaction, before, after, practised))
			if err != nil {
				return err
			}
			o.tally.add("training", sender, day)
		}
		from = last + 1
	}
	return errors.Join(s.close(), truth.close())
}
