package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/clickhouse"
)

// smallLoads makes a load of many small messages and ranges, so that there is much between which it can be killed.
func smallLoads(settings map[string]any) {
	// A message is closed by its rows and by the end of a file, and not by the clock: the id of a person is made of the place
	// on the bus at which they first came, so that ids are equal where the messages are.
	settings["flow"] = map[string]any{"pack_rows": 100, "load_rows": 400, "pack_linger": "10m"}
}

// undisturbed is a county whose sources were loaded without trouble, once for all tests: its data directory may be copied,
// and nothing may run on it. Copy its county to change it.
type undisturbed struct {
	once   sync.Once
	county string // the folder of its sources
	file   string // county.yaml
	data   string
	marts  map[string]string // see dump
	people map[string]string // see peopleOf
	load   loadCounts
	took   time.Duration
}

var undisturbedLoads sync.Map // *undisturbed by people, days and packing

// packing is how messages and loads are cut.
type packing string

const (
	usual packing = "usual" // by the clock
	small packing = "small" // see smallLoads
)

func loadUndisturbed(t *testing.T, people, days int, packed packing) *undisturbed {
	t.Helper()
	name := fmt.Sprintf("undisturbed-%d-%d-%s", people, days, packed)
	shared, _ := undisturbedLoads.LoadOrStore(name, &undisturbed{})
	u := shared.(*undisturbed)
	u.once.Do(func() {
		dir := filepath.Join(counties.dir, name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		change := map[packing]func(map[string]any){small: smallLoads}[packed]
		u.county = demoCounty(t, people, days)
		u.file, u.data = countyYAMLIn(t, dir, u.county, change), filepath.Join(dir, "node")
		began := time.Now()
		u.load = counts(t, shire(t, "load", "-c", u.file, "--data", u.data))
		u.took = time.Since(began)
		u.marts = dump(t, u.data)
		u.people = peopleOf(t, u.data)
	})
	if u.people == nil || u.load.changes == 0 || u.load.rows == 0 {
		t.Fatal("the undisturbed load read nothing: this test would prove nothing")
	}
	return u
}

// loadCounts is what a load says that it did.
type loadCounts struct{ changes, rows int }

var loadLine = regexp.MustCompile(`(\d+) changes read, (\d+) rows loaded`)

func counts(t *testing.T, r result) loadCounts {
	t.Helper()
	m := loadLine.FindStringSubmatch(r.ok(t).Stdout)
	if m == nil {
		t.Fatalf("a load did not say what it did: %v", r)
	}
	changes, _ := strconv.Atoi(m[1])
	rows, _ := strconv.Atoi(m[2])
	return loadCounts{changes, rows}
}

// newRandom makes a random source and prints its seed; SHIRE_TEST_SEED repeats a run.
func newRandom(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("SHIRE_TEST_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d (SHIRE_TEST_SEED repeats it)", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// The whole process dies 20 times by kill -9, at instants spread over a load; what was killed is started again, and may
// be killed again (killsPerChain times at most), until a run comes to its end. Then the marts are those of an undisturbed
// run, and it begins anew in an empty data directory until all kills are done. With SHIRE_LONG=1 each kill has a data
// directory of its own.
func TestKillWholeProcess(t *testing.T) {
	t.Parallel()
	needEngine(t)
	random := newRandom(t)
	u := loadUndisturbed(t, 2000, 180, small)
	t.Logf("undisturbed: %d changes, %d rows, %v", u.load.changes, u.load.rows, u.took)
	const kills = 20
	killsPerChain := 3
	if os.Getenv("SHIRE_LONG") == "1" {
		killsPerChain = 1
	}
	mid, chains, done, took := 0, 0, 0, u.took
	for done < kills {
		chains++
		data := filepath.Join(t.TempDir(), "killed")
		killed, here := 0, 0 // kills of this chain, and those that hit a process which had moved something
		for runs := 1; ; runs++ {
			before := moved(t, data)
			began := time.Now()
			p := start(t, "load", "-c", u.file, "--data", data)
			if done < kills && runs <= killsPerChain {
				instant := time.Duration(random.Float64() * float64(took))
				select {
				case <-p.done:
				case <-time.After(instant):
					p.Kill()
				}
				if p.Wait().Code == -1 {
					done, killed = done+1, killed+1
					after := moved(t, data)
					if after != before {
						here++
					}
					t.Logf("chain %d: kill %d after %v: bytes of changes and ledger %v before, %v after", chains, done, instant.Round(time.Millisecond), before, after)
					continue
				}
				if killed == 0 { // a whole load was quicker than the kill: the instants have to lie closer together
					took = min(took, time.Since(began))
				}
			}
			left := counts(t, p.Wait())
			t.Logf("chain %d: the run that came to its end had %d of %d changes and %d of %d rows to do", chains, left.changes, u.load.changes, left.rows, u.load.rows)
			if left.rows > 0 {
				mid += here // else the last of them came when all was done
			} else {
				mid += max(here-1, 0)
			}
			break
		}
		if killed == 0 {
			chains--
			continue
		}
		sameMarts(t, u.marts, u.data, data)
		noRowTwice(t, data)
		if t.Failed() {
			t.FailNow()
		}
	}
	t.Logf("%d kills in %d chains, %d of them in the middle of the load", kills, chains, mid)
	if mid == 0 {
		t.Error("no kill hit a load that was under way")
	}
}

// moved is how much a data directory has of changes and of the ledger of loads.
func moved(t *testing.T, data string) [2]int64 {
	t.Helper()
	return [2]int64{streamBytes(t, data, "CHANGES"), streamBytes(t, data, "LEDGER")}
}

// streamBytes is the size of a stream's message files. They are looked at from outside: to start the engines would mend
// what a test wants to find broken.
func streamBytes(t *testing.T, data, stream string) (n int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(data, "nats", "jetstream", "*", "streams", stream, "msgs", "*.blk"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			n += info.Size()
		}
	}
	return n
}

// noRowTwice looks below the marts, which show one row per record anyway: no base table holds the same version of a
// record twice, so no range was taken in twice (I3). Nothing else may run on the data directory.
func noRowTwice(t *testing.T, data string) {
	t.Helper()
	asLoader(t, data, func(conn driver.Conn) {
		held := false
		for _, table := range canonical.Tables {
			var rows, distinct uint64
			name := table.Database + "." + table.Name
			if err := conn.QueryRow(t.Context(), "SELECT count(), uniqExact(dataset, record_id, version) FROM "+name).Scan(&rows, &distinct); err != nil {
				t.Fatal(err)
			}
			held = held || rows > 0
			if rows != distinct {
				t.Errorf("%s holds %d rows, of which %d are copies", name, rows, rows-distinct)
			}
		}
		if !held {
			t.Error("the base tables are empty: this proved nothing")
		}
	})
}

// asLoader runs fn with a connection of the loading user to the ClickHouse of a data directory that nothing else uses.
func asLoader(t *testing.T, data string, fn func(driver.Conn)) {
	t.Helper()
	o := embedded.Options{Dir: data, Version: layoutVersion, NATS: embedded.NATSOptions{Disabled: true}}
	for _, u := range clickhouse.Access() {
		if u.Name == clickhouse.Loader {
			o.ClickHouse.Users = []embedded.User{{Name: u.Name, Password: "for-this-test", Settings: u.Settings, Grants: u.Grants}}
		}
	}
	e, err := embedded.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop(t.Context())
	conn, err := warehouse.Open(warehouse.Address{Native: e.ClickHouse().Native, User: clickhouse.Loader, Password: "for-this-test"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fn(conn)
}

// Only the ClickHouse child dies, again and again; the load goes on and ends well.
func TestKillClickHouseChild(t *testing.T) {
	t.Parallel()
	needEngine(t)
	random := newRandom(t)
	u := loadUndisturbed(t, 2000, 180, small)
	data := filepath.Join(t.TempDir(), "killed")
	p := start(t, "load", "-c", u.file, "--data", data)
	killed := map[int]bool{}
	mid, ledger := 0, int64(0)
	for len(killed) < 4 {
		var child int
		// The first kill comes as soon as there is a ClickHouse, the others when something was loaded since the last.
		p.waitUntil("its ClickHouse answers", func() bool {
			child = clickHouseChild(p.cmd.Process.Pid)
			return p.Ended() || child != 0 && !killed[child] && listens(data) && (len(killed) == 0 || streamBytes(t, data, "LEDGER") > ledger)
		})
		if p.Ended() {
			break
		}
		time.Sleep(time.Duration(random.Float64() * float64(100*time.Millisecond)))
		if now := streamBytes(t, data, "LEDGER"); now > ledger {
			mid, ledger = mid+1, now
		}
		if err := syscall.Kill(child, syscall.SIGKILL); err != nil {
			t.Logf("the child %d was gone already: %v", child, err)
		}
		killed[child] = true
	}
	got := counts(t, p.Wait())
	t.Logf("%d kills of the child, %d of them in the middle of the load; %d changes, %d rows", len(killed), mid, got.changes, got.rows)
	if mid == 0 {
		t.Error("no kill hit a load that was under way")
	}
	if got != u.load {
		t.Errorf("the load did %+v, undisturbed %+v", got, u.load)
	}
	sameMarts(t, u.marts, u.data, data)
	noRowTwice(t, data)
}

// clickHouseChild is the process id of shire's child, 0 when it has none.
func clickHouseChild(parent int) int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue
		}
		// The name, in parentheses, may hold anything; the state and the parent follow it.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) > 1 && fields[0] != "Z" && fields[1] == strconv.Itoa(parent) {
			return pid
		}
	}
	return 0
}

// listens tells whether the embedded ClickHouse of a data directory takes connections.
func listens(data string) bool {
	runtime, err := embedded.ReadRuntime(data)
	if err != nil {
		return false
	}
	conn, err := net.DialTimeout("tcp", runtime.ClickHouseNative, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
