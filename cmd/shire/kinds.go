package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/document"
)

// work is what a job does: its settings were read, and a running node makes its worker.
type work struct {
	source string // the source it works on; empty when none
	worker func(*node, *health) jobs.Worker
}

// kind reads the settings of one kind of work. It opens nothing, so that shire check can call it; the error is
// document.Problems with file, line and what to write (see county.Job.At, Decode and Settings).
type kind func(s *setup, j *county.Job) (work, error)

// kinds are all that a job can do: a new one adds itself here.
var kinds = map[string]kind{
	"read":           readKind,
	"reconcile":      reconcileKind,
	"calendar_check": calendarCheckKind,
}

// proveJobs reads the settings of every job's work.
func (s *setup) proveJobs() error {
	var problems document.Problems
	s.works = map[string]work{}
	for i := range s.config.Jobs {
		j := &s.config.Jobs[i]
		read, known := kinds[j.Do.Kind]
		if !known {
			problems = append(problems, j.At(".do", fmt.Sprintf("job %s is to do %q, which is not known", j.Name, j.Do.Kind), document.DidYouMean(j.Do.Kind, slices.Collect(maps.Keys(kinds)))))
			continue
		}
		w, err := read(s, j)
		var found document.Problems
		switch {
		case errors.As(err, &found):
			for _, p := range found {
				problems = append(problems, placed(j, p))
			}
		case err != nil:
			problems = append(problems, j.At(j.Do.SettingsPath(), fmt.Sprintf("job %s: %v", j.Name, err), ""))
		}
		s.works[j.Name] = w
	}
	return problems.OrNil()
}

// placed gives a problem the line of the setting that its message begins with, as in ".argv is empty", where its finder did
// not know the file.
func placed(j *county.Job, p *document.Problem) *document.Problem {
	if p.Line > 0 {
		return p
	}
	setting, _, _ := strings.Cut(p.Message, " ")
	return j.At(j.Do.SettingsPath()+"."+strings.TrimPrefix(setting, "."), "job "+j.Name+": "+p.Message, p.Do)
}

// jobSet readies the jobs: with workers where a node runs them, without where they are only looked at.
func (s *setup) jobSet(n *node, h *health) (jobs.Set, error) {
	return jobs.NewSet(s.config.Jobs, s.calendar, func(j *county.Job) (jobs.Worker, string, error) {
		w := s.works[j.Name]
		if n == nil || w.worker == nil {
			return nil, w.source, nil
		}
		return w.worker(n, h), w.source, nil
	})
}

// sourceSetting reads the source that a job works on.
func sourceSetting(s *setup, j *county.Job, path, name string) error {
	var names []string
	for _, src := range s.config.Sources {
		names = append(names, src.Name)
	}
	switch {
	case name == "":
		return document.Problems{j.At(j.Do.SettingsPath()+path, fmt.Sprintf("job %s does not say which source", j.Name), "name one: "+strings.Join(names, ", "))}
	case !slices.Contains(names, name):
		return document.Problems{j.At(j.Do.SettingsPath()+path, fmt.Sprintf("job %s: source %q is not known", j.Name, name), document.DidYouMean(name, names))}
	}
	return nil
}

// readKind reads a source to its present end: "read: SOURCE". Where other jobs come after it, it waits until what it brought
// is in the warehouse; otherwise reading goes on while the warehouse is away.
func readKind(s *setup, j *county.Job) (work, error) {
	source := j.Do.Text()
	if err := sourceSetting(s, j, "", source); err != nil {
		return work{}, err
	}
	followed := slices.ContainsFunc(s.config.Jobs, func(other county.Job) bool { return slices.Contains(other.After, j.Name) })
	return work{source: source, worker: func(n *node, h *health) jobs.Worker {
		return jobs.WorkerFunc(func(ctx context.Context, _ jobs.Task, out io.Writer) (r jobs.Result, err error) {
			var changes uint64
			err = h.gate.Through(ctx, func(ctx context.Context) (err error) {
				src := n.chosen([]string{source})[0]
				if changes, err = src.Run(ctx); err != nil {
					return err
				}
				fmt.Fprintf(out, "%d changes were read\n", changes)
				for _, p := range src.Status().Problems {
					fmt.Fprintf(out, "%s: %s\n", orDefault(p.Unit, p.Dataset), p.Message)
				}
				if !followed {
					return nil
				}
				last, err := n.bus.LastSequence(ctx)
				if err == nil {
					err = n.flow.Drain(ctx, last)
				}
				return err
			})
			return jobs.Result{Counts: map[string]uint64{"changes": changes}}, err
		})
	}}, nil
}

// reconcileKind compares a source with the warehouse, and repairs when asked:
// "reconcile: SOURCE" or "reconcile: {source: SOURCE, dataset: DATASET, repair: true}".
func reconcileKind(s *setup, j *county.Job) (work, error) {
	var settings struct {
		Source  string `yaml:"source"`
		Dataset string `yaml:"dataset"`
		Repair  bool   `yaml:"repair"`
	}
	path := ".source"
	if name := j.Do.Text(); name != "" {
		settings.Source, path = name, ""
	} else if err := j.Decode(&settings); err != nil {
		return work{}, err
	}
	if err := sourceSetting(s, j, path, settings.Source); err != nil {
		return work{}, err
	}
	if _, err := datasetsOf(s, settings.Source, settings.Dataset); err != nil {
		return work{}, document.Problems{j.At(j.Do.SettingsPath()+".dataset", fmt.Sprintf("job %s: %v", j.Name, err), "")}
	}
	request := reconcileRequest{Source: settings.Source, Dataset: settings.Dataset, Repair: settings.Repair}
	return work{source: settings.Source, worker: func(n *node, _ *health) jobs.Worker {
		return jobs.WorkerFunc(func(ctx context.Context, _ jobs.Task, out io.Writer) (jobs.Result, error) {
			reports, err := n.reconcile(ctx, request)
			if err != nil {
				return jobs.Result{}, err
			}
			result := jobs.Result{Counts: map[string]uint64{}}
			equal := true
			for _, r := range reports {
				equal = equal && r.Equal
				result.Counts["records"] += uint64(r.Records)
				result.Counts["repaired"] += uint64(r.Repaired)
				fmt.Fprintf(out, "%s: %d records, %d missing, %d extra, %d stale, %d repaired\n", r.Dataset, r.Records, r.Missing, r.Extra, r.Stale, r.Repaired)
			}
			switch {
			case equal:
				result.Message = "equal"
				return result, nil
			case request.Repair:
				return result, fmt.Errorf("%w still, after the repair; see shire reconcile %s", errDiffers, request.Source)
			}
			return result, fmt.Errorf("%w; see shire reconcile %s: %w", errDiffers, request.Source, jobs.ErrPermanent)
		})
	}}, nil
}

// calendarCheckKind fails while the working calendar of the next year is not published: "calendar_check:", by default from the
// first of December on; or "calendar_check: {from_month: 11}".
func calendarCheckKind(s *setup, j *county.Job) (work, error) {
	settings := struct {
		FromMonth int `yaml:"from_month"`
	}{12}
	if err := j.Decode(&settings); err != nil {
		return work{}, err
	}
	if settings.FromMonth < 1 || settings.FromMonth > 12 {
		return work{}, document.Problems{j.At(j.Do.SettingsPath()+".from_month", fmt.Sprintf("job %s: month %d is not known", j.Name, settings.FromMonth), "write 1 to 12")}
	}
	return work{worker: func(n *node, _ *health) jobs.Worker {
		return jobs.WorkerFunc(func(_ context.Context, t jobs.Task, _ io.Writer) (jobs.Result, error) {
			year := t.Due.In(n.zone).Year()
			if int(t.Due.In(n.zone).Month()) >= settings.FromMonth {
				year++
			}
			if !n.calendar.Published(year) {
				return jobs.Result{}, fmt.Errorf("the working calendar of %d is not here yet; when the State Council's notice is out, put it into the folder national of calendars: %w", year, jobs.ErrPermanent)
			}
			return jobs.Result{Message: fmt.Sprintf("the working calendar is published up to %d", slices.Max(n.calendar.Years()))}, nil
		})
	}}, nil
}
