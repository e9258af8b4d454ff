package simulate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/shirecounty/shire/schemas/calendar"
)

// ErrCalendarEnds is returned by Live when the simulated days reach a year whose working calendar is not published.
var ErrCalendarEnds = errors.New("the simulated county has come to the end of the published working calendar and stops")

// liveFile remembers how far the running county has come.
const liveFile = "live.json"

// liveState is the content of liveFile.
type liveState struct {
	Now int64 `json:"now"` // local seconds since 1970
}

// Live goes on where the county that Write made with the same options ends: every interval one simulated hour passes
// (a night passes as one), and the service hall, the hotline and the grid drop files with what is new in it: new cases,
// what became of the open ones, corrected rows, ratings. A file appears complete or not at all. Live writes the county
// first if need be, goes on where it stopped when it is started again, and returns nil when ctx ends.
//
// The truth is about the county as Write left it; Live does not extend it. Progress is called after every hour with
// the rows dropped so far and the simulated time.
func Live(ctx context.Context, opts Options, interval time.Duration) error {
	opts.defaults()
	if interval <= 0 {
		return fmt.Errorf("the running county needs an interval above 0, not %s", interval)
	}
	if _, err := Write(ctx, Options{Dir: opts.Dir, People: opts.People, Days: opts.Days, Seed: opts.Seed, Until: opts.Until, Defects: opts.Defects}); err != nil {
		return err
	}
	l, err := newRunning(opts)
	if err != nil {
		return err
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := l.hour(); err != nil {
			return err
		}
		opts.Progress(l.rows(), 0, formatTime(l.now))
	}
}

// running is the county while it goes on.
type running struct {
	*world
	hall  *hallOffice
	desks []*incidentDesk
	now   int64
}

// newRunning lives through the simulated days again without writing, to know which cases and incidents are open.
func newRunning(opts Options) (*running, error) {
	w, err := newWorld(opts, opts.Dir)
	if err != nil {
		return nil, err
	}
	l := &running{world: w, now: w.end()}
	hall, err := newOffice(w, "service_hall", style{}, true)
	if err != nil {
		return nil, err
	}
	l.hall = newHallOffice(w, hall)
	for _, r := range registers {
		if r.desk == nil {
			continue
		}
		o, err := newOffice(w, r.office, r.style, true)
		if err != nil {
			return nil, err
		}
		l.desks = append(l.desks, r.desk(o))
	}
	if err := l.resume(); err != nil {
		return nil, err
	}
	for day := w.first; day <= int32(l.now/dayLong); day++ {
		l.begin(day)
		if day%28 == 0 {
			if err := l.forget(); err != nil {
				return nil, err
			}
		}
	}
	return l, l.forget()
}

// resume takes up the time at which the county stopped running.
func (l *running) resume() error {
	path := filepath.Join(l.opts.Dir, liveFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var s liveState
	if err != nil || json.Unmarshal(text, &s) != nil || s.Now < l.now {
		return fmt.Errorf("%s is damaged: remove the folder and start again", path)
	}
	l.now = s.Now
	return nil
}

func (l *running) begin(day int32) {
	l.hall.begin(day)
	for _, k := range l.desks {
		k.begin(day)
	}
}

func (l *running) forget() error {
	l.hall.forget(l.now)
	var err error
	for _, k := range l.desks {
		err = errors.Join(err, k.forget(l.now))
	}
	return err
}

func (l *running) rows() int {
	n := l.hall.rows
	for _, k := range l.desks {
		n += k.rows
	}
	return n
}

// hour lets time pass until the next full hour of the day, or from ten at night until seven in the morning.
func (l *running) hour() error {
	from := l.now
	to := from + hour
	if clock := (from + 1) % dayLong; clock >= 22*hour || clock < 7*hour {
		to = (from+1)/dayLong*dayLong + 7*hour - 1
		if clock >= 22*hour {
			to += dayLong
		}
	}
	day := int32(to / dayLong)
	if day > l.clock.until {
		return fmt.Errorf("%w: %s", ErrCalendarEnds, calendar.Date(l.clock.until))
	}
	if day > int32(from/dayLong) {
		l.begin(day)
	}
	suffix := calendar.Date(day).Time().Format("2006-01-02") + fmt.Sprintf("-%02d", (to+1)%dayLong/hour)
	if err := l.hall.drop(from, to, suffix); err != nil {
		return err
	}
	for _, k := range l.desks {
		if err := k.drop(from, to, suffix); err != nil {
			return err
		}
	}
	l.now = to
	return l.save()
}

// save remembers the time. When it is lost after a drop, the same hour is written again, to the same files.
func (l *running) save() error {
	text, err := json.Marshal(liveState{l.now})
	if err != nil {
		return err
	}
	path := filepath.Join(l.opts.Dir, liveFile)
	if err := os.WriteFile(path+".tmp", text, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
