package semantic

import (
	"math"
	"sort"
	"sync"
	"time"
	_ "time/tzdata" // a container without zone files must still know Asia/Shanghai
)

// zone holds the offsets of a time zone as a table, because looking each one up through time.Location costs more than
// parsing the text.
type zone struct {
	spans []span
	// From this local time on, one offset holds for ever: for Asia/Shanghai since the last summer time in 1991.
	settled, offset int64
}

// span is a period of one UTC offset: [start, end) in seconds since 1970 UTC.
type span struct{ start, end, offset int64 }

// zones keeps the tables by name of the location: a contract has many columns in one zone.
var zones sync.Map

func zoneOf(location *time.Location) *zone {
	if z, ok := zones.Load(location.String()); ok {
		return z.(*zone)
	}
	z, _ := zones.LoadOrStore(location.String(), newZone(location))
	return z.(*zone)
}

// newZone walks the years day by day and finds each change of offset by bisection. time.Time.ZoneBounds would name the changes
// directly, but at the end of some years of a zone with summer time it returns a bound that is not after its argument.
func newZone(location *time.Location) *zone {
	const day = 86400
	offsetAt := func(utc int64) int64 {
		_, offset := time.Unix(utc, 0).In(location).Zone()
		return int64(offset)
	}
	z := &zone{}
	first := int64(daysFromCivil(firstYear-1, 1, 1)) * day
	last := int64(daysFromCivil(lastYear+2, 1, 1)) * day
	start, offset := int64(math.MinInt64/4), offsetAt(first)
	for utc := first; utc < last; utc += day {
		next := offsetAt(utc + day)
		if next == offset {
			continue
		}
		change := utc + 1 + int64(sort.Search(day, func(i int) bool { return offsetAt(utc+1+int64(i)) != offset }))
		z.spans = append(z.spans, span{start, change, offset})
		start, offset = change, next
	}
	z.spans = append(z.spans, span{start, math.MaxInt64 / 4, offset})
	final := z.spans[len(z.spans)-1]
	z.offset, z.settled = final.offset, final.start+final.offset
	if n := len(z.spans); n > 1 {
		z.settled = final.start + max(final.offset, z.spans[n-2].offset)
	}
	return z
}

// toUTC turns local seconds since 1970 into UTC. A local time that the end of summer time repeats means its first
// occurrence; one that the start of summer time skips is moved forward by the gap. These are the rules of java.time, in
// which most departments' systems are written.
func (z *zone) toUTC(local int64) int64 {
	if local >= z.settled {
		return local - z.offset
	}
	i := sort.Search(len(z.spans), func(i int) bool { return local < z.spans[i].end+z.spans[i].offset })
	if i > 0 && local < z.spans[i].start+z.spans[i].offset {
		i-- // the gap between two spans
	}
	return local - z.spans[i].offset
}

// toLocal turns UTC seconds since 1970 into local ones.
func (z *zone) toLocal(utc int64) int64 {
	if utc >= z.spans[len(z.spans)-1].start {
		return utc + z.offset
	}
	i := sort.Search(len(z.spans), func(i int) bool { return utc < z.spans[i].end })
	return utc + z.spans[i].offset
}
