package main

import (
	"context"
	"errors"
	"time"

	"github.com/shirecounty/shire/connectors/simulate"
)

// liveInterval is how often the live county drops new files.
const liveInterval = 5 * time.Second

func (d demo) options(dir string) simulate.Options {
	return simulate.Options{Dir: dir, People: d.people, Days: d.days, Seed: d.seed, Defects: simulate.DefaultDefects()}
}

func (a *app) simulate(ctx context.Context, dir string, d demo) error {
	o := d.options(dir)
	bar := a.progress("simulating the county")
	o.Progress = func(done, total int, _ string) { bar.set(int64(done), int64(total)) }
	sum, err := simulate.Write(ctx, o)
	bar.done()
	if errors.Is(err, simulate.ErrOther) {
		return inputf("%v; with shire demo: --data names another folder", err)
	}
	if err != nil {
		return err
	}
	if !sum.Unchanged {
		a.say("The simulated county has %d people, %d cases (%d open) and %d papers; a data link was launched on %s.",
			sum.People, sum.Cases, sum.OpenCases, sum.Papers, sum.Launch)
	}
	return nil
}

func (a *app) simulateLive(ctx context.Context, dir string, d demo) error {
	a.say("The county goes on changing: new files every %s.", liveInterval)
	return simulate.Live(ctx, d.options(dir), liveInterval)
}
