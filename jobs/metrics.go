package jobs

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// stats is what Prometheus is shown of the runs of this process.
type stats struct {
	runs   *prometheus.CounterVec
	delay  prometheus.Histogram
	took   *prometheus.HistogramVec
	going  *prometheus.GaugeVec
	alerts *prometheus.CounterVec
}

var (
	lastOK    = prometheus.NewDesc("shire_job_last_success_timestamp_seconds", "When a run of the job ended well last.", []string{"job"}, nil)
	waitingTo = prometheus.NewDesc("shire_job_waiting_runs", "Runs that wait for their turn, or for another attempt.", []string{"job"}, nil)
	pausedJob = prometheus.NewDesc("shire_job_paused", "1 while the job is paused.", []string{"job"}, nil)
)

func (t *stats) begin() {
	t.runs = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "shire_job_runs_total", Help: "Runs whose end this process has told, by outcome."}, []string{"job", "outcome"})
	t.delay = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "shire_job_start_delay_seconds", Help: "From the due time to the start, of runs that were due by a schedule and met no other.",
		Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60}})
	t.took = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "shire_job_duration_seconds", Help: "How long the last attempts of runs took.",
		Buckets: []float64{.1, 1, 10, 60, 600, 3600, 6 * 3600}}, []string{"job"})
	t.going = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "shire_job_running", Help: "Attempts that go on in this process."}, []string{"job"})
	t.alerts = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "shire_job_alerts_total", Help: "Attempts to send an alert."}, []string{"result"})
}

func (t *stats) started(r *Run) {
	t.going.WithLabelValues(r.Job).Inc()
	if r.Cause == CauseSchedule && r.Attempt == 1 {
		t.delay.Observe(r.Started.Sub(r.Due).Seconds())
	}
}

func (t *stats) ended(r *Run) { t.going.WithLabelValues(r.Job).Dec() }

func (t *stats) alerted(ok bool) {
	result := "sent"
	if !ok {
		result = "failed"
	}
	t.alerts.WithLabelValues(result).Inc()
}

// count counts a run that is over.
func (s *Scheduler) count(r *Run) {
	s.stats.runs.WithLabelValues(r.Job, r.Outcome).Inc()
	if !r.Started.IsZero() && r.Outcome != Skipped {
		s.stats.took.WithLabelValues(r.Job).Observe(max(r.Finished.Sub(r.Started), 0).Seconds())
	}
}

var _ prometheus.Collector = (*Scheduler)(nil)

// Describe sends nothing: what there is depends on the jobs.
func (s *Scheduler) Describe(chan<- *prometheus.Desc) {}

// Collect shows the runs of this process, and how the jobs stand.
func (s *Scheduler) Collect(out chan<- prometheus.Metric) {
	s.stats.runs.Collect(out)
	s.stats.delay.Collect(out)
	s.stats.took.Collect(out)
	s.stats.going.Collect(out)
	s.stats.alerts.Collect(out)
	s.mu.Lock()
	states := make(map[string]*State, len(s.jobs))
	for name, e := range s.jobs {
		states[name] = e.state
	}
	s.mu.Unlock()
	gauge := func(d *prometheus.Desc, v float64, job string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, job)
	}
	for name, state := range states {
		if !state.LastOK.IsZero() {
			gauge(lastOK, float64(state.LastOK.UnixMilli())/float64(time.Second/time.Millisecond), name)
		}
		waiting := 0
		for _, r := range state.Active {
			if r.Outcome == Waiting {
				waiting++
			}
		}
		if waiting > 0 {
			gauge(waitingTo, float64(waiting), name)
		}
		if state.Paused != nil {
			gauge(pausedJob, 1, name)
		}
	}
}
