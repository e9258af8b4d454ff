package portal

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/clickhouse"
)

// outage is the sharing interface over a desk that counts on a ClickHouse of the test's own.
type outage struct {
	*shareWorld
	engine     *embedded.Engines
	projection *audit.Projection
	loader     warehouse.Address
	person     string // whom they ask for
	unwatch    func() // nobody asks ClickHouse any more

	asked    atomic.Int64
	answered sync.Map // clerk of each call that was answered
	refused  sync.Map // clerk of each that was refused
	refusals atomic.Int64
}

func newOutage(t *testing.T) *outage {
	t.Helper()
	o := &outage{}
	var pulse atomic.Pointer[warehouse.Pulse]
	quiet := slog.New(slog.DiscardHandler)
	options := embedded.Options{Dir: t.TempDir(), Version: "1.0.0", Log: quiet, NATS: embedded.NATSOptions{Disabled: true}, OnChange: func(embedded.Component) {
		if p := pulse.Load(); p != nil {
			p.Doubt()
		}
	}}
	for _, u := range clickhouse.Access() {
		if u.Name == clickhouse.Loader {
			options.ClickHouse.Users = []embedded.User{{Name: u.Name, Password: "for-this-test", Settings: u.Settings, Grants: u.Grants}}
		}
	}
	if _, err := embedded.FindLibrary(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	var err error
	if o.engine, err = embedded.Start(t.Context(), options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		o.engine.SignalClickHouse(syscall.SIGCONT)
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		o.engine.Stop(ctx)
	})
	o.loader = warehouse.Address{Native: o.engine.ClickHouse().Native, User: clickhouse.Loader, Password: "for-this-test"}
	if err := warehouse.Migrate(t.Context(), o.loader); err != nil {
		t.Fatal(err)
	}
	conn, err := warehouse.Open(o.loader)
	if err != nil {
		t.Fatal(err)
	}
	p, err := warehouse.NewPulse(o.loader, 2*time.Second, quiet)
	if err != nil {
		t.Fatal(err)
	}
	pulse.Store(p)
	o.shareWorld = newShareWorld(t, wide, func(options *Options) {
		o.projection = audit.NewProjection(sharedNode.node.log, conn, quiet)
		with := sharedNode.node.deskOptions()
		with.Looks, with.Warehouse = o.projection, p.Err
		desk := disclosure.New(with)
		options.Sharing.Desk, options.Sharing.Prefill = desk, desk
	})
	o.asked.Store(time.Now().UnixMicro()) // no clerk is one of another run, whose entries are in the same log
	o.person = o.node.person(zhang).String()
	ctx, stop := context.WithCancel(context.Background())
	watching, unwatch := context.WithCancel(ctx)
	o.unwatch = unwatch
	var running sync.WaitGroup
	running.Go(func() { p.Run(watching) })
	running.Go(func() { o.projection.Run(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
		p.Close()
		conn.Close()
	})
	return o
}

// one asks in one of the ways in which something is shown, as a clerk of its own.
func (o *outage) one() answer {
	o.Helper()
	n := o.asked.Add(1)
	clerk, id := fmt.Sprint("窗口 ", n), o.person
	c := []call{
		asks("civil", http.MethodGet, "/api/v1/persons/"+id, ""),
		asks("civil", http.MethodPost, "/api/v1/persons/lookup", `{"number":"`+zhang.number+`"}`),
		asks("civil", http.MethodGet, "/api/v1/departments/social_security/datasets/insured_persons/records/S-1", ""),
		asks("civil", http.MethodPost, "/api/v1/cases/C-1/prefill", `{}`, caseHeader, ""),
	}[n%4]
	c.headers[clerkHeader] = "UTF-8''" + strings.ReplaceAll(clerk, " ", "%20")
	a := o.do(c)
	switch {
	case a.status == 200:
		o.answered.Store(clerk, true)
	case a.status == 503 && a.code == codeWarehouse && a.header.Get("Retry-After") != "" &&
		strings.Contains(a.text, "Nothing is shown while the warehouse (ClickHouse) does not answer") && strings.Contains(a.text, "仓库（ClickHouse）无应答期间不提供任何数据"):
		o.refused.Store(clerk, true)
		o.refusals.Add(1)
	default:
		o.Errorf("%s %s: %d %v %s", c.method, c.path, a.status, a.header, a.text)
	}
	return a
}

// until asks until it is answered so.
func (o *outage) until(status int) {
	o.Helper()
	for deadline := time.Now().Add(2 * time.Minute); o.one().status != status; time.Sleep(5 * time.Millisecond) {
		if o.Failed() || time.Now().After(deadline) {
			o.Fatalf("nothing was answered with %d", status)
		}
	}
}

// ClickHouse is killed and stopped under a desk that goes on being asked. Soon nothing is shown, whatever is asked and although the log
// takes entries; when it is back everything is, and all that was shown is in audit.accesses, and nothing that was not.
func TestNothingIsShownWhileClickHouseIsAway(t *testing.T) {
	o := newOutage(t)
	o.until(200)
	ctx, stop := context.WithCancel(t.Context())
	var askers sync.WaitGroup
	defer askers.Wait()
	defer stop()
	for range 2 {
		askers.Go(func() {
			for ctx.Err() == nil && !t.Failed() {
				o.one()
			}
		})
	}
	// Killed: its supervisor starts it anew, perhaps before anybody has asked.
	before := o.refusals.Load() // of before the first answer
	for kills := 1; o.refusals.Load() == before; kills++ {
		if kills > 20 {
			t.Fatal("it was killed twenty times, and everything was shown all the while")
		}
		if err := o.engine.KillClickHouse(); err != nil {
			t.Fatal(err)
		}
		killed := time.Now()
		for deadline := killed.Add(3 * time.Second); o.refusals.Load() == before && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		}
		t.Logf("%d refusals %v after kill %d", o.refusals.Load()-before, time.Since(killed).Round(time.Millisecond), kills)
	}
	o.until(200)
	// Stopped: it takes connections, and answers nothing.
	if err := o.engine.SignalClickHouse(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	o.until(503)
	id := o.person
	for range 3 {
		for _, c := range []call{
			asks("civil", http.MethodGet, "/api/v1/persons/"+id, ""), asks("civil", http.MethodGet, "/api/v1/persons/"+id+"/accesses", ""),
			asks("civil", http.MethodGet, "/api/v1/persons/"+id, "", caseHeader, "C-999"), // refusals say something too
			asks("civil", http.MethodPost, "/api/v1/cases/C-1/prefill/x/use", `{"material":"ID-CARD"}`, caseHeader, ""),
			asks("civil", http.MethodPost, "/api/v1/cases/C-1/prefill/x/decline", `{"material":"ID-CARD","reason":"wrong"}`, caseHeader, ""),
		} {
			if a := o.do(c); a.status != 503 || a.code != codeWarehouse {
				t.Errorf("%s %s: %d %s", c.method, c.path, a.status, a.text)
			}
		}
	}
	if err := o.engine.SignalClickHouse(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	o.until(200)
	// It is there, and who looked could not be read.
	conn, err := warehouse.Open(o.loader)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Exec(t.Context(), "RENAME TABLE audit.accesses TO audit.elsewhere"); err != nil {
		t.Fatal(err)
	}
	o.until(503)
	if err := conn.Exec(t.Context(), "RENAME TABLE audit.elsewhere TO audit.accesses"); err != nil {
		t.Fatal(err)
	}
	o.until(200)
	stop()
	askers.Wait()
	o.compare(conn)
	// Whether it answers is not known.
	o.unwatch()
	o.until(503)
}

// compare holds what was answered against what ClickHouse has of the log.
func (o *outage) compare(conn driver.Conn) {
	o.Helper()
	// The projection runs; it pauses for up to half a minute after it has failed again and again.
	end := o.entries()
	var there uint64
	for deadline := time.Now().Add(2 * time.Minute); there < end; time.Sleep(50 * time.Millisecond) {
		if err := conn.QueryRow(o.Context(), "SELECT max(sequence) FROM audit.accesses").Scan(&there); err != nil || time.Now().After(deadline) {
			o.Fatalf("audit.accesses is at entry %d of %d: %v", there, end, err)
		}
	}
	var clerks []struct {
		Clerk string `ch:"clerk"`
	}
	if err := conn.Select(o.Context(), &clerks, "SELECT clerk FROM audit.accesses WHERE decision = 'granted'"); err != nil {
		o.Fatal(err)
	}
	granted := map[string]int{}
	for _, c := range clerks {
		granted[c.Clerk]++
	}
	answers := 0
	hasher := o.node.hasher.Clone()
	o.answered.Range(func(clerk, _ any) bool {
		answers++
		if n := granted[hasher.Text("clerk", clerk.(string))]; n != 1 {
			o.Errorf("%v was answered and has %d entries", clerk, n)
		}
		return true
	})
	o.refused.Range(func(clerk, _ any) bool {
		if granted[hasher.Text("clerk", clerk.(string))] != 0 {
			o.Errorf("%v was refused, and the log says that something was shown", clerk)
		}
		return true
	})
	o.Logf("%d answers, each with its entry, and %d refusals", answers, o.refusals.Load())
}
