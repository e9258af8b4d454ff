package main

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/shirecounty/shire/portal"
)

// lateFigures lets the portal be made before the warehouse is ready: nothing is served until it is.
type lateFigures struct{ portal.Figures }

// flowCollector shows the flow to Prometheus.
type flowCollector struct{ health *health }

var (
	loadedRows  = prometheus.NewDesc("shire_loaded_rows_total", "Canonical rows loaded since the process started.", nil, nil)
	takenRows   = prometheus.NewDesc("shire_changes_total", "Changes taken from the bus since the process started.", nil, nil)
	refusedRows = prometheus.NewDesc("shire_quarantined_total", "Changes put into quarantine since the process started.", nil, nil)
	lagMessages = prometheus.NewDesc("shire_lag_messages", "Messages on the bus that are not in the warehouse.", nil, nil)
	lastLoad    = prometheus.NewDesc("shire_last_load_timestamp_seconds", "When the last load was finished.", nil, nil)
	notedValues = prometheus.NewDesc("shire_noted_values_total", "Invalid values of lenient fields that were taken as absent.", []string{"field"}, nil)
	sourceSent  = prometheus.NewDesc("shire_source_changes_total", "Changes published by a source since the process started.", []string{"source"}, nil)
)

// Describe sends nothing: what there is depends on county.yaml.
func (c *flowCollector) Describe(chan<- *prometheus.Desc) {}

// Collect reads the flow's own counters.
func (c *flowCollector) Collect(out chan<- prometheus.Metric) {
	n := c.health.node
	if n == nil {
		return
	}
	st := n.flow.Status()
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	counter(loadedRows, st.Rows)
	counter(takenRows, st.Changes)
	counter(refusedRows, st.Quarantined)
	if !st.LastLoad.IsZero() {
		out <- prometheus.MustNewConstMetric(lastLoad, prometheus.GaugeValue, float64(st.LastLoad.UnixMilli())/1000)
	}
	if last, err := n.bus.LastSequence(context.Background()); err == nil && last >= st.Through {
		out <- prometheus.MustNewConstMetric(lagMessages, prometheus.GaugeValue, float64(last-st.Through))
	}
	for field, v := range st.Noted {
		counter(notedValues, v, field)
	}
	for _, s := range n.sources {
		counter(sourceSent, s.Status().Changes, s.Name())
	}
}
