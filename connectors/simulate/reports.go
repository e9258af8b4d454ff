package simulate

import (
	"errors"
	"path/filepath"
	"slices"
	"sync"

	"github.com/shirecounty/shire/schemas/calendar"
)

// tally counts what the offices truly had, by subject, department and month.
type tally struct {
	mu     sync.Mutex
	counts map[tallied]int
}

type tallied struct {
	subject    string
	department int
	month      int32 // its first day
}

func (t *tally) add(subject string, department int, day int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[tallied{subject, department, monthOf(day)}]++
}

func monthOf(day int32) int32 {
	t := calendar.Date(day).Time()
	return int32(calendar.NewDate(t.Year(), t.Month(), 1))
}

// elsewhereFrom is what one department handles in a system of its own since the data link: it reports these cases, and never hands
// them over.
const elsewhereFrom = marketRegulation

// writeReports writes what the departments report to the bureau of statistics (统计局) each month, and in the truth what they handed over.
// It comes last, since it counts what the others did.
func writeReports(o *office) error {
	s := o.dataset("department_reports", "报送编号,报送单位,统计类别,报送月份,报送数", noBadRows)
	truth, err := createSheet(filepath.Join(o.root, "truth", "reports.csv"), style{}, []string{"subject", "department", "month", "handed_over", "reported"})
	if err != nil {
		return err
	}
	s.open("department_reports.csv")
	subjects := []struct{ code, zh string }{{"cases", "收件"}, {"incidents", "诉求"}, {"decisions", "决议"}, {"training", "参训"}}
	for _, subject := range subjects {
		for department := range departments {
			var months []int32
			for key := range o.tally.counts {
				if key.subject == subject.code && key.department == department {
					months = append(months, key.month)
				}
			}
			if len(months) == 0 {
				continue
			}
			for _, last := range monthEnds(slices.Min(months), o.last) {
				month := monthOf(last)
				handed := o.tally.counts[tallied{subject.code, department, month}]
				reported := handed
				if subject.code == "cases" && department == elsewhereFrom && month >= monthOf(o.launch) {
					reported += handed/12 + 1
				}
				name := departments[department]
				err := errors.Join(
					s.row(subject.code+"-"+name.code+"-"+formatDate(month, "200601"), name.zh, subject.zh, formatDate(month, "2006-01-02"), number(reported)),
					truth.row(subject.code, name.code, formatDate(month, "2006-01"), number(handed), number(reported)))
				if err != nil {
					return err
				}
			}
		}
	}
	return errors.Join(s.close(), truth.close())
}
