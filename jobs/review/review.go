// Package review writes the periodic review of a county (定期复盘): which figures are worst, what has changed against the period
// before, who has stopped reporting, what waits, and what is worth talking about next. It proposes by rules that it names, and
// holds no personal data (I7): groups below the minimum cell are not told.
package review

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/schemas/metrics"
)

// Figures answers as the portal does, so that a figure in a review is the one on the dashboard (I9).
type Figures interface {
	Extent(ctx context.Context) (metrics.Extent, error)
	Metric(ctx context.Context, q metrics.Query) (metrics.Result, error)
	Labels(ctx context.Context) (departments, items []metrics.Label, err error)
}

// Settings of a review. Zero values stand for the defaults that [Settings.Prove] fills in.
type Settings struct {
	Months      int    `yaml:"months"`       // of the period, and of the one before
	SilentDays  int    `yaml:"silent_days"`  // after which a dataset without a load is told
	Topics      int    `yaml:"topics"`       // that are proposed at most
	MinimumCell int    `yaml:"minimum_cell"` // groups of fewer cases are not told
	Folder      string `yaml:"folder"`       // where the reviews are saved
}

// Prove fills in the defaults and finds what is wrong: the key, what is wrong with it, what to write.
func (s *Settings) Prove() (key, message, do string) {
	for _, n := range []struct {
		key               string
		value             *int
		otherwise, lo, hi int
	}{{"months", &s.Months, 3, 1, 24}, {"silent_days", &s.SilentDays, 14, 1, 366}, {"topics", &s.Topics, 5, 1, 20}, {"minimum_cell", &s.MinimumCell, 5, 2, 1000}} {
		if *n.value == 0 {
			*n.value = n.otherwise
		}
		if *n.value < n.lo || *n.value > n.hi {
			return n.key, fmt.Sprintf("%s is %d", n.key, *n.value), fmt.Sprintf("write a number from %d to %d", n.lo, n.hi)
		}
	}
	return "", "", ""
}

// Review writes reviews.
type Review struct {
	Settings   Settings
	County     metrics.Text
	Zone       *time.Location
	Set        metrics.Set
	Figures    Figures
	Conn       driver.Conn                 // the analyst's: of what he may not see nothing can get into a review (I7)
	Department func(dataset string) string // whose a dataset is; "" when nobody knows
	Now        func() time.Time
}

var _ jobs.Worker = (*Review)(nil)

// Do writes the review of the last complete months before the run was due. The same run again writes the same files.
func (r *Review) Do(ctx context.Context, t jobs.Task, output io.Writer) (jobs.Result, error) {
	found, err := r.gather(ctx, t.Due.In(r.Zone))
	if err != nil {
		return jobs.Result{}, err
	}
	if found.empty {
		return jobs.Result{Message: "nothing is loaded yet, so there is nothing to review"}, nil
	}
	topics := r.topics(found)
	files, err := r.save(found, r.compose(found, topics))
	if err != nil {
		return jobs.Result{}, err
	}
	for _, file := range files {
		fmt.Fprintln(output, file)
	}
	worse := 0
	for _, c := range found.changes {
		if c.worsened() {
			worse++
		}
	}
	return jobs.Result{
		Message: fmt.Sprintf("the review of %s to %s is in %s: %d figures are worse than in the period before, %d topics are proposed",
			found.from, found.to, r.Settings.Folder, worse, len(topics)),
		Counts: map[string]uint64{"figures": uint64(len(found.changes)), "worse": uint64(worse), "topics": uint64(len(topics))},
	}, nil
}
