package portal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/pipeline/identity/partition"
	"github.com/shirecounty/shire/pipeline/seal"
	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/portal/accounts"
	"github.com/shirecounty/shire/portal/callers"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/identity"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/semantic"
	"github.com/shirecounty/shire/schemas/sharing"
)

func TestMain(m *testing.M) {
	embedded.RunChildIfAsked()
	runShareNodeIfAsked()
	code := m.Run()
	if n := sharedNode.node; n != nil {
		if err := errors.Join(n.close(), os.RemoveAll(sharedNode.dir)); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}

// shareNode is what stands behind the sharing interface, all of it real: bus, access log, store, identities, grants, desk.
type shareNode struct {
	own      *embedded.Engines
	nc       *nats.Conn
	bus      *bus.Bus
	log      *audit.Log
	store    *serving.Store
	people   *partition.Partition
	exchange *pipeline.Exchange
	desk     *disclosure.Desk
	hasher   *pseudonym.Hasher
	keys     *accounts.Keys
	set      contract.Set
}

// citizen is somebody of the test's county. Nothing of them may appear in an error, a log or an address.
type citizen struct{ name, number, birth, phone, otherPhone, address, household string }

var (
	zhang = citizen{"张晓梅", withDigit("33012719850307244"), "1985-03-07", "13812345678", "13900001111", "浙江省淳安县千岛湖镇梦姑路12号", "H-70001"}
	li    = citizen{"李建国", withDigit("33012719700615123"), "1970-06-15", "13687654321", "", "浙江省淳安县汾口镇武强路8号", "H-70002"}
)

// withDigit adds the check digit.
func withDigit(first string) string {
	digit, ok := semantic.CheckDigit(first)
	if !ok {
		panic("no check digit")
	}
	return first + string(digit)
}

// secrets are the texts that must not be seen where nothing personal may be.
func (c citizen) secrets() []string {
	return []string{c.name, c.number, c.phone, c.address, c.household, strings.ReplaceAll(c.birth, "-", "")}
}

const (
	shareCounty  = "339921"
	sharePurpose = "eligibility"
	shareItem    = "11330127MB1A00001"
	otherItem    = "11330127MB1A00002"
	shareClerk   = "王芳"
)

var columnsOfPeople = []string{"name", "id_number", "sex", "birth_date", "phone", "address", "household", "division"}

// openShareNode opens a node in a directory; fresh says that nothing is in it yet.
func openShareNode(ctx context.Context, dir string, fresh bool) (n *shareNode, err error) {
	n = &shareNode{}
	if n.set, err = contract.LoadDir(filepath.Join("..", "connectors", "simulate", "county", "contracts"), "Asia/Shanghai"); err != nil {
		return nil, err
	}
	if n.hasher, err = pseudonym.New([]byte(strings.Repeat("k", pseudonym.MinKey))); err != nil {
		return nil, err
	}
	n.own, err = embedded.Start(ctx, embedded.Options{Dir: filepath.Join(dir, "engines"), Version: "1.0.0", Log: slog.New(slog.DiscardHandler), ClickHouse: embedded.ClickHouseOptions{Disabled: true}})
	if err != nil {
		return nil, err
	}
	if n.nc, err = nats.Connect(n.own.NATS().URL, n.own.NATS().InProcess()...); err != nil {
		return nil, err
	}
	if n.bus, err = bus.Open(ctx, n.nc, bus.Options{County: shareCounty, Replicas: 1}); err != nil {
		return nil, err
	}
	n.exchange = pipeline.NewExchange(n.bus, func() sharing.World {
		return sharing.World{Contracts: n.set, Purposes: []string{sharePurpose, "other"}, Lead: "data_bureau"}
	})
	key, err := audit.LoadOrCreateKey(dir, audit.Ed25519)
	if err != nil {
		return nil, err
	}
	if n.log, err = audit.Open(ctx, n.nc, audit.Options{County: shareCounty, Hasher: n.hasher.Clone(), Key: key, Log: slog.New(slog.DiscardHandler)}); err != nil {
		return nil, err
	}
	ring, err := seal.NewKeyring(seal.Key{ID: 1, Cipher: seal.AES256GCM, Secret: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		return nil, err
	}
	if n.store, err = serving.Open(filepath.Join(dir, "serving"), serving.Options{Keys: ring}); err != nil {
		return nil, err
	}
	if n.people, err = partition.Open(partition.Options{About: "person", Columns: columnsOfPeople, Dir: filepath.Join(dir, "people"), Hasher: n.hasher.Clone()}); err != nil {
		return nil, err
	}
	n.keys = accounts.Clients(dir)
	if fresh {
		if err := n.fill(ctx); err != nil {
			return nil, err
		}
	}
	n.desk = disclosure.New(n.deskOptions())
	return n, nil
}

// deskOptions are the desk's, for a warehouse that is always there.
func (n *shareNode) deskOptions() disclosure.Options {
	return disclosure.Options{
		Store: n.store, Persons: func() disclosure.Persons { return n.people }, Exchange: n.exchange, Log: n.log,
		Fresh: func() error { return nil }, Warehouse: func() error { return nil },
		Contracts: n.set, Purposes: []string{sharePurpose, "other"}, Hasher: n.hasher, Zone: time.UTC,
		Items: sharing.Items{shareItem: {Code: shareItem, Materials: []string{"HOUSEHOLD-REGISTER", "ID-CARD"}}},
		Taken: pipeline.NewMaterials(n.bus), Looks: noLooks{},
	}
}

// noLooks stands for ClickHouse, which these tests run without.
type noLooks struct{}

func (noLooks) Written(context.Context) (uint64, error) {
	return 0, errors.New("there is no warehouse")
}
func (noLooks) On(context.Context, []pseudonym.ID, uint64, int) ([]audit.Entry, error) {
	return nil, errors.New("there is no warehouse")
}

func (n *shareNode) close() error {
	n.nc.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return errors.Join(n.people.Close(), n.store.Close(), n.own.Stop(ctx))
}

// mention of a record in a role.
func (n *shareNode) mention(dataset, key, role string) pseudonym.ID {
	return n.hasher.ID("mention/"+dataset+"/"+role, key)
}

// fill puts the county's records, cases and grants in.
func (n *shareNode) fill(ctx context.Context) error {
	spec, err := identity.Shipped("person")
	if err != nil {
		return err
	}
	matched := []partition.Change{{At: change.Version(1, 0), Version: 1, Model: spec}}
	var served []serving.Change
	row := 0
	add := func(dataset, key, role string, c citizen, r serving.Record) {
		row++
		mention := n.mention(dataset, key, role)
		at := change.Version(2, row)
		matched = append(matched, partition.Change{At: at, Version: at, Time: time.Now(), Record: mention, Dataset: dataset, Role: role, Values: []string{c.name, c.number, "", c.birth, "", "", "", ""}})
		r.ID, r.Version, r.Dataset, r.Source, r.Received, r.Contract = serving.RecordID(n.hasher, dataset, key), at, dataset, "test", time.Now().UTC().Truncate(time.Microsecond), n.set[dataset].Hash
		r.Mentions = []serving.Mention{{Person: true, Role: role, Record: mention, Number: serving.NumberID(n.hasher, true, c.number)}}
		served = append(served, serving.Change{Record: &r})
	}
	resident := func(c citizen, division string) serving.Record {
		return serving.Record{Division: division, Fields: []serving.Field{{Name: "citizen_number", Value: c.number}, {Name: "name", Value: c.name}, {Name: "birth_date", Value: c.birth},
			{Name: "household_number", Value: c.household}, {Name: "register_number", Value: "R" + c.household}, {Name: "address", Value: c.address}, {Name: "division", Value: division}, {Name: "phone", Value: c.phone}},
			Holdings: []serving.Holding{{Material: "HOUSEHOLD-REGISTER", Issuer: "public_security", Status: "valid", Role: "resident"}}}
	}
	add("residents", zhang.number, "resident", zhang, resident(zhang, "330127100"))
	add("residents", li.number, "resident", li, resident(li, "330127101"))
	add("insured_persons", "S-1", "insured", zhang, serving.Record{Fields: []serving.Field{{Name: "insurance_number", Value: "S-1"}, {Name: "name", Value: zhang.name},
		{Name: "citizen_number", Value: zhang.number}, {Name: "phone", Value: zhang.otherPhone}, {Name: "status", Value: "正常参保"}}})
	add("insured_persons", "S-2", "insured", li, serving.Record{Fields: []serving.Field{{Name: "insurance_number", Value: "S-2"}, {Name: "name", Value: li.name},
		{Name: "citizen_number", Value: li.number}, {Name: "status", Value: "中断"}}})
	opened := time.Now().Add(-48 * time.Hour).UTC()
	for _, c := range []struct {
		number, department, item string
		who                      citizen
		closed                   bool
	}{
		{"C-1", "civil_affairs", shareItem, zhang, false}, {"C-2", "civil_affairs", shareItem, zhang, true}, {"C-3", "civil_affairs", shareItem, li, false},
		{"C-4", "civil_affairs", otherItem, zhang, false}, {"P-1", "public_security", otherItem, zhang, false}, {"E-1", "education", shareItem, zhang, false},
	} {
		state := &serving.Case{Number: c.number, Department: c.department, Item: c.item, Opened: opened}
		if c.closed {
			state.Closed = opened.Add(time.Hour)
		}
		add("hall_cases", c.number, "applicant", c.who, serving.Record{Case: state, Fields: []serving.Field{{Name: "case_number", Value: c.number}, {Name: "applicant_name", Value: c.who.name}, {Name: "applicant_number", Value: c.who.number}}})
	}
	if err := n.store.Apply(2, served); err != nil {
		return err
	}
	if _, _, err := n.people.Apply(ctx, matched); err != nil {
		return err
	}
	if err := n.people.Keep(2); err != nil {
		return err
	}
	from := time.Now().Add(-24 * time.Hour).UTC()
	terms := func(dataset string, fields map[string]sharing.Mask, from, until time.Time) *sharing.Terms {
		return &sharing.Terms{Dataset: dataset, Fields: fields, Purpose: sharePurpose, Items: []string{shareItem}, From: from, Until: until}
	}
	residents := map[string]sharing.Mask{"name": sharing.Full, "citizen_number": sharing.Partial, "birth_date": sharing.Full, "phone": sharing.Full, "address": sharing.Exists,
		"register_number": sharing.Full, "register_issued": sharing.Exists}
	for _, g := range []struct {
		id, from, owner string
		terms           *sharing.Terms
		last            sharing.Act
	}{
		{"G-1", "civil_affairs", "public_security", terms("residents", residents, from, from.AddDate(1, 0, 0)), sharing.Deliver},
		{"G-2", "civil_affairs", "social_security", terms("insured_persons", map[string]sharing.Mask{"name": sharing.Full, "phone": sharing.Full, "status": sharing.Full, "proof_number": sharing.Exists}, from, from.AddDate(1, 0, 0)), sharing.Deliver},
		{"G-3", "education", "social_security", terms("insured_persons", map[string]sharing.Mask{"status": sharing.Full}, from.AddDate(-1, 0, 0), from), sharing.Deliver}, // ended
		{"G-4", "education", "public_security", terms("residents", map[string]sharing.Mask{"name": sharing.Full}, from, from.AddDate(1, 0, 0)), sharing.Revoke},
	} {
		for _, act := range []sharing.Act{sharing.Submit, sharing.Approve, sharing.Deliver, sharing.Revoke} {
			e := sharing.Event{Request: g.id, Act: act, At: time.Now().UTC(), Department: g.owner, Reason: "test"}
			if act == sharing.Submit {
				e.Department, e.Terms = g.from, g.terms
			}
			if _, err := n.exchange.Do(ctx, e, "某人"); err != nil {
				return fmt.Errorf("%s %s: %w", g.id, act, err)
			}
			if act == g.last {
				break
			}
		}
	}
	return nil
}

// person is somebody's id today.
func (n *shareNode) person(c citizen) pseudonym.ID {
	return n.people.Whom([]pseudonym.ID{n.mention("residents", c.number, "resident")})[0]
}

// accessLog is the access log in the portal's words.
type accessLog struct{ log *audit.Log }

func (l accessLog) Record(ctx context.Context, a Access) error {
	return l.log.Record(ctx, audit.Access{At: a.At, Caller: a.Caller, Clerk: a.Clerk, Purpose: a.Purpose, Persons: a.Persons, Fields: a.Fields, Decision: a.Decision, Reason: a.Reason})
}

var testClients = []county.Client{
	{Name: "civil", Department: "civil_affairs", APIKey: true}, {Name: "police", Department: "public_security", APIKey: true}, {Name: "school", Department: "education", APIKey: true},
	{Name: "mad", Department: "civil_affairs", APIKey: true},
}

// shareWorld is a portal over the node, on a socket.
type shareWorld struct {
	*testing.T
	*world
	node   *shareNode
	url    string
	key    map[string]string
	logged *lockedBuffer
}

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var sharedNode struct {
	once sync.Once
	node *shareNode
	dir  string
	keys map[string]string
	err  error
}

// newShareWorld serves the node that the package's tests share. Each has a portal of its own.
func newShareWorld(t *testing.T, limits county.SharingLimits, change ...func(*Options)) *shareWorld {
	t.Helper()
	sharedNode.once.Do(func() {
		dir, err := os.MkdirTemp("", "share-")
		if sharedNode.dir, sharedNode.err = dir, err; err != nil {
			return
		}
		sharedNode.keys = map[string]string{}
		if sharedNode.node, sharedNode.err = openShareNode(context.Background(), dir, true); sharedNode.err != nil {
			return
		}
		for _, c := range testClients {
			if sharedNode.keys[c.Name], sharedNode.err = sharedNode.node.keys.Add(c.Name); sharedNode.err != nil {
				return
			}
		}
	})
	if sharedNode.err != nil {
		t.Fatal(sharedNode.err)
	}
	w := &shareWorld{T: t, node: sharedNode.node, key: sharedNode.keys, logged: &lockedBuffer{}}
	who, err := callers.New(callers.Options{Clients: testClients, Keys: w.node.keys})
	if err != nil {
		t.Fatal(err)
	}
	w.world = newWorld(t, append([]func(*Options){func(o *Options) {
		o.Listen, o.Log, o.Registry = "127.0.0.1:0", slog.New(slog.NewTextHandler(w.logged, nil)), prometheus.NewRegistry()
		o.Sharing = &SharingOptions{Desk: w.node.desk, Prefill: w.node.desk, Callers: who, Accesses: accessLog{w.node.log}, Contracts: w.node.set, Limits: limits}
	}}, change...)...)
	address, err := w.Listen()
	if err != nil {
		t.Fatal(err)
	}
	w.url = "http://" + address.String()
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- w.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		// I7: whatever was sent, nothing personal is in the log.
		for _, secret := range append(zhang.secrets(), li.secrets()...) {
			if strings.Contains(w.logged.String(), secret) {
				t.Errorf("the log holds %q", secret)
			}
		}
	})
	return w
}

// wide are limits that no test reaches by accident.
var wide = county.SharingLimits{Rate: 1e5, Burst: 1e5, Window: county.Duration(10 * time.Minute), Persons: 100_000, Misses: 100_000}

// call is a request and what is said with it.
type call struct {
	method, path, client string
	body                 string
	headers              map[string]string
}

// asks is a call of a client with a sound reason.
func asks(client, method, path, body string, headers ...string) call {
	c := call{method, path, client, body, map[string]string{clerkHeader: shareClerk, purposeHeader: sharePurpose, itemHeader: shareItem, caseHeader: "C-1"}}
	if body != "" {
		c.headers["Content-Type"] = "application/json"
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if c.headers[headers[i]] = headers[i+1]; headers[i+1] == "" {
			delete(c.headers, headers[i])
		}
	}
	return c
}

// answer is what came back.
type answer struct {
	status int
	code   string // of a problem
	text   string
	header http.Header
}

// client does not follow redirects, and keeps no cookies.
var plainClient = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Timeout: 30 * time.Second}

func (w *shareWorld) do(c call) answer {
	w.Helper()
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	r, err := http.NewRequest(c.method, w.url+c.path, body)
	if err != nil {
		w.Fatal(err)
	}
	for name, value := range c.headers {
		r.Header.Set(name, value)
	}
	if c.client != "" {
		r.Header.Set("Authorization", "Shire-Key "+c.client+"."+w.key[c.client])
	}
	return w.send(r)
}

func (w *shareWorld) send(r *http.Request) answer {
	w.Helper()
	response, err := plainClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatal(err)
	}
	a := answer{status: response.StatusCode, text: string(text), header: response.Header}
	if a.status >= 400 && strings.HasPrefix(r.URL.Path, "/api/v1/") {
		a.code = w.proveProblem(a)
	}
	return a
}

// proveProblem proves what holds of every refusal: RFC 9457, a code, both languages, nothing personal, kept by nobody.
func (w *shareWorld) proveProblem(a answer) string {
	w.Helper()
	var p Problem
	if err := json.Unmarshal([]byte(a.text), &p); err != nil || p.Status != a.status || p.Code == "" || p.Detail == "" || p.Type == "" || a.header.Get("Content-Type") != "application/problem+json" {
		w.Errorf("%d is no problem of RFC 9457: %v %s", a.status, err, a.text)
	}
	if p.DetailZh == "" && a.status != http.StatusMethodNotAllowed && a.status != http.StatusNotFound && a.status != http.StatusMisdirectedRequest {
		w.Errorf("%s says nothing in Chinese", p.Code)
	}
	if a.header.Get("Cache-Control") != "no-store" {
		w.Errorf("%s may be kept", p.Code)
	}
	for _, secret := range append(append(zhang.secrets(), li.secrets()...), shareClerk) {
		if strings.Contains(a.text, secret) {
			w.Errorf("%s holds %q", p.Code, secret)
		}
	}
	return p.Code
}

// dial is a connection of the test's own, for what no HTTP library would send.
func (w *shareWorld) dial() net.Conn {
	w.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return c
}

// entries is how many entries the access log has.
func (w *shareWorld) entries() uint64 {
	w.Helper()
	end, err := w.node.log.End(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return end.Sequence
}
