package pipeline_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/sharing"
)

// What a department's own user reads follows the acts on the bus, whoever does them: from the delivery on, until the grant is
// suspended or revoked, or the acts cannot be told any more (I8).
func TestGrantsAreFollowed(t *testing.T) {
	r := newRig(t)
	r.loadThrough(r.contract(1), r.publish(row(change.Create, "1", "paper", "3"), row(change.Create, "2", "stone", "4")))
	address := engines.loader
	address.User, address.Password = clickhouse.DepartmentUser("tax"), "of-"+clickhouse.DepartmentUser("tax")
	tax, err := warehouse.Open(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tax.Close() })
	reads := func() string {
		var items []string
		if err := tax.QueryRow(t.Context(), "SELECT arraySort(groupArray(assumeNotNull(item_code))) FROM shared_tax."+r.dataset+"__cases").Scan(&items); err != nil {
			return "nothing"
		}
		return strings.Join(items, " ")
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	shared := clickhouse.Shared{Definer: clickhouse.Loader, Departments: []string{"tax"}, Contracts: r.contract(1)}
	go func() {
		ended <- pipeline.NewGranted(shared, r.loads.Conn(), pipeline.NewExchange(r.bus, nil), slog.New(slog.DiscardHandler)).Run(ctx)
	}()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	until := func(after, want string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); reads() != want; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s, the department still reads %q and not %q", after, reads(), want)
			}
		}
	}
	x := r.exchange()
	terms := r.terms()
	terms.Fields["card"] = sharing.Full
	terms.From, terms.Until = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	const granted = "paper stone"
	for i, step := range []struct {
		act  sharing.Act
		by   string
		want string
	}{
		{sharing.Submit, "tax", "nothing"}, {sharing.Approve, "hall", "nothing"}, {sharing.Deliver, "hall", granted}, {sharing.Suspend, "data_bureau", "nothing"},
		{sharing.Resume, "hall", granted}, {sharing.Revoke, "hall", "nothing"},
	} {
		e := sharing.Event{Request: "R1", Act: step.act, At: time.Now(), Department: step.by, Reason: "why"}
		if step.act == sharing.Submit {
			e.Terms = terms
		}
		if _, err := x.Do(t.Context(), e, "a"); err != nil {
			t.Fatal(i, err)
		}
		until(fmt.Sprintf("after %s", step.act), step.want)
	}
	var columns []string
	for _, act := range []sharing.Act{sharing.Submit, sharing.Approve, sharing.Deliver} {
		by := "hall"
		e := sharing.Event{Request: "R2", Act: act, At: time.Now()}
		if act == sharing.Submit {
			e.Terms, by = terms, "tax"
		}
		e.Department = by
		if _, err := x.Do(t.Context(), e, "a"); err != nil {
			t.Fatal(err)
		}
	}
	until("after another grant", granted)
	if err := tax.QueryRow(t.Context(), "SELECT arraySort(groupArray(name)) FROM system.columns WHERE database = 'shared_tax' AND comment != ''").Scan(&columns); err != nil || !slices.Equal(columns, []string{"item_code", "record"}) {
		t.Errorf("the department reads the columns %v, %v", columns, err)
	}
	b := change.NewBuilder("source", contract.OwnDepartment, contract.Acts, "u", []string{"request", "number", "act"})
	defer b.Release()
	b.Append(change.Change{Op: change.Create, Key: "R", Row: 1, Values: []string{"R", "9", "approve"}})
	data, err := b.Build().Encode()
	if err != nil {
		t.Fatal(err)
	}
	r.raw(r.bus.ChangesSubject(contract.OwnDepartment, contract.Acts), data)
	until("after somebody else has written among the acts", "nothing")
}
