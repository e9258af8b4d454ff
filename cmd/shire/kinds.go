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
	check  func() document.Problems // looks at the files that the work needs, for shire check: what is absent fails a run, not the platform
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

// checkJobs looks at the files that the jobs need.
func (s *setup) checkJobs() error {
	var problems document.Problems
	for i := range s.config.Jobs {
		j := &s.config.Jobs[i]
		if check := s.works[j.Name].check; check != nil {
			for _, p := range check() {
				problems = append(problems, placed(j, p))
			}
		}
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
