package main

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/pipeline/identity/review"
	"github.com/shirecounty/shire/portal"
	schema "github.com/shirecounty/shire/schemas/identity"
)

// lateFigures lets the portal be made before the warehouse is ready: nothing is served until it is.
type lateFigures struct{ portal.Figures }

// lateDesk is lateFigures for the review of identities.
type lateDesk struct{ review.Desk }

// lateAccesses is lateFigures for the access log, in the portal's words.
type lateAccesses struct{ log *auditLog }

// Record writes an access down.
func (l *lateAccesses) Record(ctx context.Context, a portal.Access) error {
	return l.log.Record(ctx, audit.Access{At: a.At, Caller: a.Caller, Clerk: a.Clerk, Purpose: a.Purpose, Persons: a.Persons, Fields: a.Fields, Decision: a.Decision, Reason: a.Reason})
}

// models are those in whose words the review speaks.
func (h *health) models(about string) *schema.Model {
	m, err := h.node.identities.InUse(about)
	if err != nil {
		return nil
	}
	return m
}

// flowCollector shows the flow to Prometheus.
type flowCollector struct{ health *health }

var (
	loadedRows  = prometheus.NewDesc("shire_loaded_rows_total", "Canonical rows loaded since the process started.", nil, nil)
	takenRows   = prometheus.NewDesc("shire_changes_total", "Changes taken from the bus since the process started.", nil, nil)
	refusedRows = prometheus.NewDesc("shire_quarantined_total", "Changes put into quarantine since the process started.", nil, nil)
	lagMessages = prometheus.NewDesc("shire_lag_messages", "Messages on the bus that are not in the warehouse.", nil, nil)
	lastLoad    = prometheus.NewDesc("shire_last_load_timestamp_seconds", "When the last load was finished.", nil, nil)
	notedValues = prometheus.NewDesc("shire_noted_values_total", "Invalid values of lenient fields that were taken as absent.", []string{"field"}, nil)
	records     = prometheus.NewDesc("shire_identity_records", "Records about persons or organisations.", []string{"about"}, nil)
	parties     = prometheus.NewDesc("shire_identity_parties", "Persons or organisations that the records are about.", []string{"about"}, nil)
	reviewPairs = prometheus.NewDesc("shire_identity_review_pairs", "Pairs of records that wait for a person.", []string{"about"}, nil)
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
	for _, c := range n.counts.Counts() {
		for d, v := range map[*prometheus.Desc]int{records: c.Records, parties: c.Parties, reviewPairs: c.Waiting} {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), c.About)
		}
	}
	for field, v := range st.Noted {
		counter(notedValues, v, field)
	}
	for _, s := range n.sources {
		counter(sourceSent, s.Status().Changes, s.Name())
	}
}
