package upkeep

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/jobs"
)

// Reach is how far open cases reach into the years whose working calendar is not published.
type Reach struct {
	Untold  uint64 // whose legal time cannot be told already
	Reaches uint64 // whose promised or statutory end lies in such a year
}

// CalendarCheck fails while the working calendar of a year is missing that is needed, so that somebody is told.
type CalendarCheck struct {
	FromMonth time.Month // and day, from which on next year's calendar has to be there
	FromDay   int
	Zone      *time.Location
	Folder    string // where a year's file belongs; empty when county.yaml names no folder for calendars
	Published func(year int) bool
	Open      func(ctx context.Context, firstUnpublished int) (Reach, error)
}

var _ jobs.Worker = (*CalendarCheck)(nil)

// Do looks at the year in which the run is due, at the next one from the set day on, and at the open cases.
func (c *CalendarCheck) Do(ctx context.Context, t jobs.Task, output io.Writer) (jobs.Result, error) {
	due := t.Due.In(c.Zone)
	year := due.Year()
	last := year // that is published
	for c.Published(last + 1) {
		last++
	}
	missing := last + 1
	if !c.Published(year) {
		missing = year
	}
	season := !due.Before(time.Date(year, c.FromMonth, c.FromDay, 0, 0, 0, 0, c.Zone))
	reach, err := c.Open(ctx, missing)
	if err != nil {
		return jobs.Result{}, err
	}
	result := jobs.Result{Counts: map[string]uint64{"cases_untold": reach.Untold, "cases_reaching": reach.Reaches}}
	fmt.Fprintf(output, "the first year without a working calendar is %d; %d open cases reach into it, and of %d the legal time cannot be told\n", missing, reach.Reaches, reach.Untold)
	cases := ""
	if reach.Reaches+reach.Untold > 0 {
		cases = fmt.Sprintf("; %d open cases reach into that year, and of %d the legal time cannot be told already", reach.Reaches, reach.Untold)
	}
	if missing == year || season && missing == year+1 || cases != "" {
		return result, fmt.Errorf("the working calendar of %d is not here%s; when the State Council General Office has published it (国务院办公厅关于%d年部分节假日安排的通知), %s: %w",
			missing, cases, missing, c.remedy(missing), jobs.ErrPermanent)
	}
	result.Message = fmt.Sprintf("the working calendar is there up to %d, and no open case reaches further", missing-1)
	return result, nil
}

func (c *CalendarCheck) remedy(year int) string {
	if c.Folder == "" {
		return fmt.Sprintf("write calendars: FOLDER into county.yaml and put the file national/%d.yaml into that folder", year)
	}
	return fmt.Sprintf("put the file %d.yaml into %s", year, c.Folder)
}

// OpenReach counts the open cases that reach into a year without a working calendar. conn may be the analyst's.
func OpenReach(ctx context.Context, conn driver.Conn, zone *time.Location, year int) (r Reach, err error) {
	err = conn.QueryRow(ctx, `SELECT countIf(calendar_missing = 1),
			countIf(promised_at >= ? OR promised_at IS NULL AND began.workday_index > 0
				AND began.workday_index + ifNull(promised_days, statutory_days) > (SELECT max(workday_index) FROM mart.calendar))
		FROM mart.cases AS c LEFT JOIN mart.calendar AS began ON began.date = toDate32(c.accepted_at, ?)
		WHERE c.open = 1`, time.Date(year, 1, 1, 0, 0, 0, 0, zone).UTC(), zone.String()).Scan(&r.Untold, &r.Reaches)
	if err != nil {
		return r, fmt.Errorf("ask how far the open cases reach: %w", err)
	}
	return r, nil
}
