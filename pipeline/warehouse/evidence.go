package warehouse

import (
	"context"
	"fmt"
	"time"

	"github.com/shirecounty/shire/pipeline/gains"
	"github.com/shirecounty/shire/schemas/metrics"
)

// MostUnits bounds what an evaluation holds (I10): about 0.6 GB.
const MostUnits = 1_000_000

// secondsADay turns the times of metrics, which are in seconds, into days.
const secondsADay = 86_400

// Evidence reads what an intervention is judged by: the cases or counts of a cohort over the months of q. read, which may be nil, is
// told now and then how many rows there are so far. Where the question is at fault the error is a [metrics.InputError].
func (f *Figures) Evidence(ctx context.Context, q metrics.Query, cohort map[string][]string, read func(rows int)) (gains.Data, error) {
	d, err := f.set.Get(q.Metric)
	if err != nil {
		return gains.Data{}, err
	}
	sql, args, err := d.Evidence(q, f.zone, cohort)
	if err != nil {
		return gains.Data{}, err
	}
	data := gains.Data{Zone: f.zone, Metric: gains.Metric{Name: d.Name, Version: d.Version, Label: d.Label, Unit: d.Unit,
		MinimumCell: d.MinimumCell, MinimumEvents: d.MinimumEvents, Settles: d.Settles}}
	per := 1.
	if d.Kind == metrics.Survival && d.Unit == "seconds" {
		data.Metric.Unit, per = gains.Days, secondsADay
	}
	asOf, err := f.asOf(ctx, q)
	if err != nil || asOf == "" {
		return data, err
	}
	if data.AsOf, err = time.Parse(time.RFC3339, asOf); err != nil {
		return data, fmt.Errorf("the moment up to which the data speak: %w", err)
	}
	rows, err := f.conn.Query(ctx, sql, args...)
	if err != nil {
		return data, fmt.Errorf("ask the warehouse for what %s is counted from: %w", d.Name, err)
	}
	defer rows.Close()
	known := map[string]string{} // each name once in memory, however many rows bear it
	once := func(s string) string {
		if own, ok := known[s]; ok {
			return own
		}
		known[s] = s
		return s
	}
	for n := 1; rows.Next(); n++ {
		if n > MostUnits {
			return data, &metrics.InputError{Message: fmt.Sprintf("there are more than %d cases to compare", MostUnits), Do: "narrow the cohort or the windows of the intervention"}
		}
		var department, division, item, kind, channel, month string
		var refused, ended uint8
		var u gains.Unit
		var c gains.Count
		if d.Kind == metrics.Survival {
			err = rows.Scan(&department, &division, &item, &kind, &channel, &u.Applied, &u.Duration, &ended, &refused)
		} else {
			err = rows.Scan(&department, &division, &item, &kind, &channel, &month, &c.Numerator, &c.Denominator, &refused)
		}
		if err != nil {
			return data, fmt.Errorf("read what %s is counted from: %w", d.Name, err)
		}
		if refused != 0 {
			return data, &metrics.InputError{Message: d.Name + " cannot be told: " + d.Because()}
		}
		if read != nil && n%10_000 == 0 {
			read(n)
		}
		if d.Kind == metrics.Survival {
			u.Duration, u.Ended = u.Duration/per, ended != 0
			u.Department, u.Division, u.Item, u.Kind, u.Channel = once(department), once(division), once(item), once(kind), once(channel)
			data.Units = append(data.Units, u)
			continue
		}
		if c.Month, err = metrics.ParseMonth(month); err != nil {
			return data, fmt.Errorf("read what %s is counted from: %w", d.Name, err)
		}
		c.Department, c.Division, c.Item, c.Kind, c.Channel = once(department), once(division), once(item), once(kind), once(channel)
		data.Counts = append(data.Counts, c)
	}
	if err := rows.Err(); err != nil {
		return data, mend(d, err)
	}
	return data, nil
}
