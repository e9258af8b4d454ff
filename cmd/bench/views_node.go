package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/pipeline/identity/partition"
	"github.com/shirecounty/shire/pipeline/seal"
	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/portal"
	"github.com/shirecounty/shire/portal/accounts"
	"github.com/shirecounty/shire/portal/callers"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/identity"
	"github.com/shirecounty/shire/schemas/metrics"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/semantic"
	"github.com/shirecounty/shire/schemas/sharing"
)

// viewsTask is what the process that serves the views is started with, and viewsReady what it says when it serves.
type viewsTask struct {
	Dir, Contracts string
	People, Cases  int
}

type viewsReady struct {
	URL, Key string
	Persons  []string // of the cases, in their order
	Made     float64  // seconds
}

const (
	viewsCounty  = "339921"
	viewsPurpose = "eligibility"
	viewsItem    = "11330127MB1A00001"
)

// viewsNode is what stands behind a view: bus, access log, store, identities, grants, desk, portal.
type viewsNode struct {
	hasher *pseudonym.Hasher
	store  *serving.Store
	people *partition.Partition
	set    contract.Set
}

// runViews makes the county, serves its sharing interface, and ends when its standard input does.
func runViews(ctx context.Context, text string) error {
	var t viewsTask
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return err
	}
	debug.SetMemoryLimit(nodeMemory)
	debug.SetGCPercent(nodeGCPercent)
	began := time.Now()
	n := &viewsNode{}
	var err error
	if n.set, err = contract.LoadDir(t.Contracts, "Asia/Shanghai"); err != nil {
		return err
	}
	if n.hasher, err = pseudonym.New(bytes.Repeat([]byte("b"), pseudonym.MinKey)); err != nil {
		return err
	}
	engines, err := embedded.Start(ctx, embedded.Options{Dir: filepath.Join(t.Dir, "engines"), Version: "1.0.0", Log: slog.New(slog.DiscardHandler), ClickHouse: embedded.ClickHouseOptions{Disabled: true}})
	if err != nil {
		return err
	}
	defer func() {
		late, done := context.WithTimeout(context.Background(), 10*time.Second)
		defer done()
		engines.Stop(late)
	}()
	nc, err := nats.Connect(engines.NATS().URL, engines.NATS().InProcess()...)
	if err != nil {
		return err
	}
	defer nc.Close()
	b, err := bus.Open(ctx, nc, bus.Options{County: viewsCounty, Replicas: 1})
	if err != nil {
		return err
	}
	key, err := audit.LoadOrCreateKey(t.Dir, audit.Ed25519)
	if err != nil {
		return err
	}
	log, err := audit.Open(ctx, nc, audit.Options{County: viewsCounty, Hasher: n.hasher.Clone(), Key: key, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	ring, err := seal.NewKeyring(seal.Key{ID: 1, Cipher: seal.AES256GCM, Secret: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		return err
	}
	if n.store, err = serving.Open(filepath.Join(t.Dir, "records"), serving.Options{Keys: ring}); err != nil {
		return err
	}
	defer n.store.Close()
	columns := []string{"name", "id_number", "sex", "birth_date", "phone", "address", "household", "division"}
	if n.people, err = partition.Open(partition.Options{About: "person", Columns: columns, Dir: filepath.Join(t.Dir, "people"), Hasher: n.hasher.Clone()}); err != nil {
		return err
	}
	defer n.people.Close()
	applicants, err := n.fill(ctx, t)
	if err != nil {
		return err
	}
	exchange := pipeline.NewExchange(b, func() sharing.World { return sharing.World{Contracts: n.set, Purposes: []string{viewsPurpose}} })
	if err := grantViews(ctx, exchange); err != nil {
		return err
	}
	keys := accounts.Clients(t.Dir)
	secret, err := keys.Add("bench")
	if err != nil {
		return err
	}
	who, err := callers.New(callers.Options{Clients: []county.Client{{Name: "bench", Department: "civil_affairs", APIKey: true}}, Keys: keys})
	if err != nil {
		return err
	}
	desk := disclosure.New(disclosure.Options{
		Store: n.store, Persons: func() disclosure.Persons { return n.people }, Exchange: exchange, Log: log, Fresh: func() error { return nil }, Warehouse: func() error { return nil },
		Contracts: n.set, Purposes: []string{viewsPurpose}, Hasher: n.hasher, Zone: time.UTC,
	})
	definitions, err := metrics.Load()
	if err != nil {
		return err
	}
	p, err := portal.New(portal.Options{
		County: county.County{Division: viewsCounty, NameZh: "基准县", TimeZone: "Asia/Shanghai"}, Figures: noFigures{}, Flow: noFlow{}, Definitions: definitions,
		Log: slog.New(slog.DiscardHandler), Listen: "127.0.0.1:0",
		Sharing: &portal.SharingOptions{Desk: desk, Prefill: desk, Callers: who, Accesses: noStops{}, Contracts: n.set,
			Limits: county.SharingLimits{Rate: 1e6, Burst: 1e6, Window: county.Duration(time.Minute), Persons: 1_000_000, Misses: 1}},
	})
	if err != nil {
		return err
	}
	address, err := p.Listen()
	if err != nil {
		return err
	}
	ready := viewsReady{URL: "http://" + address.String(), Key: "bench." + secret, Made: time.Since(began).Seconds()}
	for _, id := range n.people.Whom(applicants) {
		ready.Persons = append(ready.Persons, id.String())
	}
	if err := json.NewEncoder(os.Stdout).Encode(ready); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	go func() {
		io.Copy(io.Discard, os.Stdin) // ends with the bench
		stop()
	}()
	return p.Serve(ctx)
}

// fill makes the county: each person is in two registers, and some have an open case.
func (n *viewsNode) fill(ctx context.Context, t viewsTask) (applicants []pseudonym.ID, err error) {
	spec, err := identity.Shipped("person")
	if err != nil {
		return nil, err
	}
	sequence := uint64(1)
	matched := []partition.Change{{At: change.Version(sequence, 0), Version: 1, Model: spec}}
	var served []serving.Change
	flush := func() error {
		if err := n.store.Apply(sequence, served); err != nil {
			return err
		}
		if _, _, err := n.people.Apply(ctx, matched); err != nil {
			return err
		}
		served, matched = served[:0], matched[:0]
		sequence++
		return n.people.Keep(sequence - 1)
	}
	sequence++
	add := func(dataset, key, role string, values []string, r serving.Record) pseudonym.ID {
		at := change.Version(sequence, len(served))
		mention := n.hasher.ID("mention/"+dataset+"/"+role, key)
		matched = append(matched, partition.Change{At: at, Version: at, Time: time.Now(), Record: mention, Dataset: dataset, Role: role, Values: values})
		r.ID, r.Version, r.Dataset, r.Source, r.Received, r.Contract = serving.RecordID(n.hasher, dataset, key), at, dataset, "bench", time.Now(), n.set[dataset].Hash
		r.Mentions = []serving.Mention{{Person: true, Role: role, Record: mention, Number: serving.NumberID(n.hasher, true, values[1])}}
		served = append(served, serving.Change{Record: &r})
		return mention
	}
	every := max(t.People/t.Cases, 1)
	for i := range t.People {
		number, birth, err := viewsNumber(i)
		if err != nil {
			return nil, err
		}
		name := string([]rune{surnames[i%len(surnames)], given[i/len(surnames)%len(given)], given[i/7%len(given)]})
		phone := fmt.Sprintf("138%08d", i)
		values := []string{name, number, "", birth, phone, "", "", ""}
		add("residents", number, "resident", values, serving.Record{Division: "330127100", Fields: []serving.Field{{Name: "citizen_number", Value: number}, {Name: "name", Value: name},
			{Name: "birth_date", Value: birth}, {Name: "household_number", Value: fmt.Sprint("H", i/3)}, {Name: "address", Value: "浙江省淳安县千岛湖镇"}, {Name: "phone", Value: phone}, {Name: "status", Value: "normal"}}})
		add("insured_persons", fmt.Sprint("S", i), "insured", values, serving.Record{Fields: []serving.Field{{Name: "insurance_number", Value: fmt.Sprint("S", i)}, {Name: "name", Value: name},
			{Name: "citizen_number", Value: number}, {Name: "phone", Value: phone}, {Name: "status", Value: "正常参保"}}})
		if i%every == 0 && len(applicants) < t.Cases {
			opened := serving.Case{Number: fmt.Sprintf("C-%d", len(applicants)), Department: "civil_affairs", Item: viewsItem, Opened: time.Now().Add(-time.Hour)}
			applicants = append(applicants, add("hall_cases", opened.Number, "applicant", values, serving.Record{Case: &opened, Fields: []serving.Field{{Name: "case_number", Value: opened.Number}, {Name: "applicant_name", Value: name}}}))
		}
		if len(served) >= 20_000 {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	return applicants, flush()
}

// viewsNumber is the number of the i-th person, all of them different.
func viewsNumber(i int) (number, birth string, err error) {
	day := time.Date(1940, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, i/50)
	first := fmt.Sprintf("330127%s%03d", day.Format("20060102"), i%50*20)
	digit, ok := semantic.CheckDigit(first)
	if !ok {
		return "", "", errors.New("no check digit for a generated number")
	}
	return first + string(digit), day.Format(time.DateOnly), nil
}

// grantViews grants what the views show: five fields of two registers.
func grantViews(ctx context.Context, x *pipeline.Exchange) error {
	from := time.Now().Add(-time.Hour).UTC()
	for dataset, g := range map[string]struct {
		owner  string
		fields string
	}{"residents": {"public_security", "name birth_date phone"}, "insured_persons": {"social_security", "status phone"}} {
		terms := sharing.Terms{Dataset: dataset, Fields: map[string]sharing.Mask{}, Purpose: viewsPurpose, Items: []string{viewsItem}, From: from, Until: from.AddDate(1, 0, 0)}
		for f := range strings.FieldsSeq(g.fields) {
			terms.Fields[f] = sharing.Full
		}
		for _, act := range []sharing.Act{sharing.Submit, sharing.Approve, sharing.Deliver} {
			e := sharing.Event{Request: "G-" + dataset, Act: act, At: time.Now().UTC(), Department: g.owner}
			if act == sharing.Submit {
				e.Department, e.Terms = "civil_affairs", &terms
			}
			if _, err := x.Do(ctx, e, "bench"); err != nil {
				return err
			}
		}
	}
	return nil
}

// What the portal has beside the views is not asked for here.
type (
	noFigures struct{ portal.Figures }
	noStops   struct{}
	noFlow    struct{}
)

func (noStops) Record(context.Context, portal.Access) error {
	return errors.New("a client was stopped, which no view may come to")
}
func (noFlow) Status(context.Context) (portal.Status, error) { return portal.Status{}, nil }
func (noFlow) Generation() uint64                            { return 1 }
func (noFlow) Ready(context.Context) error                   { return nil }
