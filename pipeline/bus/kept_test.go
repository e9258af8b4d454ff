package bus_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/pipeline/bus"
)

// A time finds its message, also when messages are missing in between and at the beginning.
func TestSequenceAt(t *testing.T) {
	b := open(t)
	w := writer(t, b, "a")
	var sequences []uint64
	var times []time.Time
	for range 9 {
		sequence := publish(t, w, "p")
		msg, err := b.Get(t.Context(), sequence)
		if err != nil {
			t.Fatal(err)
		}
		sequences, times = append(sequences, sequence), append(times, msg.Time)
	}
	js, err := jetstream.New(connect(t))
	if err != nil {
		t.Fatal(err)
	}
	changes, err := js.Stream(t.Context(), bus.Changes)
	if err != nil {
		t.Fatal(err)
	}
	check := func(at time.Time, want uint64) {
		t.Helper()
		if got, err := b.SequenceAt(t.Context(), at); err != nil || got != want {
			t.Errorf("at %v message %d, %v; not %d", at, got, err, want)
		}
	}
	for i, at := range times {
		check(at, sequences[i])
		check(at.Add(-time.Nanosecond), sequences[i])
	}
	check(times[8].Add(time.Hour), sequences[8]+1)
	for _, i := range []int{3, 4} {
		if err := changes.DeleteMsg(t.Context(), sequences[i]); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range []int{3, 4, 5} { // what is left from here on begins right after the gap, or with it
		got, err := b.SequenceAt(t.Context(), times[i])
		if err != nil || got < sequences[3] || got > sequences[5] {
			t.Errorf("in a gap: %d, %v", got, err)
		}
	}
	check(times[6], sequences[6])
	kept, err := b.Kept(t.Context())
	if err != nil || kept.Last != sequences[8] || kept.Since.IsZero() {
		t.Errorf("%+v, %v", kept, err)
	}
}
