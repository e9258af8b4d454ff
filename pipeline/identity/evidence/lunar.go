package evidence

import (
	"math"
	"sync"

	"github.com/6tail/lunar-go/calendar"
)

// The years of the sun whose dates are also told by the moon.
const firstLunar, lastLunar = 1850, 2099

// lunarYear is the months of the moon that touch one year of the sun. They are worked out once, which takes half a
// millisecond, and kept: there are few years of birth, and many records of each.
type lunarYear struct {
	once   sync.Once
	months []lunarMonth
}

type lunarMonth struct {
	first int64  // days since 1970-01-01
	days  int64  // 29 or 30
	month uint64 // year*100+month; a leap month goes by the number of the one before
}

var lunarYears [lastLunar - firstLunar + 1]lunarYear

func (y *lunarYear) read(year int) {
	const epoch = 2440588 // the Julian day of 1970-01-01
	list := calendar.NewLunarYear(year).GetMonths()
	for e := list.Front(); e != nil; e = e.Next() {
		m, ok := e.Value.(*calendar.LunarMonth)
		if !ok {
			continue
		}
		number := m.GetMonth()
		if number < 0 { // a leap month
			number = -number
		}
		first := int64(math.Floor(m.GetFirstJulianDay()+.5)) - epoch
		y.months = append(y.months, lunarMonth{first, int64(m.GetDayCount()), uint64(m.GetYear()*100 + number)})
	}
}

// asLunar is the lunar year, month and day of a day, written as one; 0 when there is none.
func asLunar(year int, day int64) uint64 {
	if year < firstLunar || year > lastLunar {
		return 0
	}
	y := &lunarYears[year-firstLunar]
	y.once.Do(func() { y.read(year) })
	for _, m := range y.months {
		if n := day - m.first; n >= 0 && n < m.days {
			return m.month*100 + uint64(n) + 1
		}
	}
	return 0
}
