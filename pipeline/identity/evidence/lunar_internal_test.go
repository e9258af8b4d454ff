package evidence

import (
	"testing"
	"time"

	"github.com/6tail/lunar-go/calendar"
)

func TestLunarTableIsThatOfTheCalendar(t *testing.T) {
	const step = 307 // days: every month and every day of a month come by
	for day := time.Date(firstLunar, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() <= lastLunar; day = day.AddDate(0, 0, step) {
		l := calendar.NewSolarFromYmd(day.Year(), int(day.Month()), day.Day()).GetLunar()
		month := l.GetMonth()
		if month < 0 {
			month = -month
		}
		want := uint64(l.GetYear()*10000 + month*100 + l.GetDay())
		if got := asLunar(day.Year(), day.Unix()/86400); got != want {
			t.Fatalf("%s is %d by the moon, and the table says %d", day.Format(time.DateOnly), want, got)
		}
	}
	if got := asLunar(1980, time.Time{}.Unix()/86400); got != 0 {
		t.Errorf("a day that does not exist is %d by the moon", got)
	}
}
