package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/schemas/clickhouse"
)

// identifiers finds the numbers, names and telephones of people anywhere in a text. The simulated county gives nobody a
// name that is a word of its open vocabulary (items, materials, places, contracts), so a name is looked for as a plain
// part of the text, as the numbers are.
type identifiers struct {
	byStart map[beginning][]string
	sieve   [1 << 22 / 64]uint64 // a bit for every start: most places of a text are passed over without a look into the map
	n       int
	one     string // any of them
}

type beginning [identifierStart]byte

// place is where it stands in the sieve.
func (s beginning) place() (word, bit uint64) {
	h := (uint64(binary.LittleEndian.Uint32(s[:])) | uint64(binary.LittleEndian.Uint16(s[4:]))<<32) * 0x9e3779b97f4a7c15 >> 42
	return h / 64, h % 64
}

// identifierStart is the length in bytes that every identifier has at least: two Chinese characters.
const identifierStart = 6

func readIdentifiers(t *testing.T, file string) *identifiers {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &identifiers{byStart: map[beginning][]string{}}
	for line := range strings.Lines(string(text)) {
		line = strings.Trim(line, "\"\r\n")
		if len(line) < identifierStart {
			t.Fatalf("an identifier of %d bytes is too short to be told from chance", len(line))
		}
		key := beginning([]byte(line[:identifierStart]))
		s.byStart[key] = append(s.byStart[key], line)
		word, bit := key.place()
		s.sieve[word] |= 1 << bit
		s.n++
		s.one = line
	}
	if s.n < 1000 {
		t.Fatalf("the truth has only %d identifiers", s.n)
	}
	return s
}

// in returns what of the identifiers stands in a text, at most ten, with what stands around it.
func (s *identifiers) in(text string) (found []string) {
	for i := 0; i+identifierStart <= len(text) && len(found) < 10; i++ {
		at := beginning([]byte(text[i : i+identifierStart]))
		if word, bit := at.place(); s.sieve[word]>>bit&1 == 0 {
			continue
		}
		for _, id := range s.byStart[at] {
			if strings.HasPrefix(text[i:], id) {
				found = append(found, fmt.Sprintf("%q in %q", id, strings.ToValidUTF8(text[max(0, i-40):min(len(text), i+len(id)+40)], "")))
				break
			}
		}
	}
	return found
}

// clean fails the test when a person can be recognised in a text.
func (s *identifiers) clean(t *testing.T, what, text string) {
	t.Helper()
	for _, f := range s.in(text) {
		t.Errorf("I7: %s shows %s", what, f)
	}
}

// privacy looks for everybody of the simulated county wherever an analyst or an operator may look (I7).
func (d *demoNode) privacy(t *testing.T) {
	ids := readIdentifiers(t, filepath.Join(d.county, "truth", "identifiers.txt"))
	// What finds nothing has to be able to find: the departments' own files are full of people.
	if text, err := os.ReadFile(filepath.Join(d.county, "departments", "civil_affairs", "婚姻登记.csv")); err != nil || len(ids.in(string(text))) == 0 {
		t.Fatalf("nobody was found in the register of marriages, so the search is of no use: %v", err)
	}
	t.Run("warehouse", func(t *testing.T) {
		tables := d.answer(t, "SELECT database, name, create_table_query FROM system.tables ORDER BY ALL")
		seen, rows := map[string]int{}, map[string]int{}
		for _, row := range tables.rows {
			f := tables.of(t, row, "database", "name", "create_table_query")
			seen[f[0]]++
			view := f[0] + ".`" + f[1] + "`"
			all := "SELECT * FROM " + view
			if strings.Contains(f[2], "{at:") { // as of a time: what was known at the end of time, and what has come since its beginning
				all += "(at = '2100-01-01') UNION ALL " + all + "(at = '2000-01-01')"
			}
			said := d.asAnalyst(t, all)
			rows[f[0]] += strings.Count(said, "\n") - 1
			ids.clean(t, view, said)
			ids.clean(t, "the definition of "+view, f[2])
		}
		for _, database := range []string{"mart", "known", "metrics", "ops", "audit"} {
			if seen[database] == 0 || rows[database] == 0 && database != "audit" {
				t.Errorf("the analyst sees nothing of %s: %d views and %d rows", database, seen[database], rows[database])
			}
		}
		for _, database := range []string{"restricted", "store"} {
			if r := shire(t, "sql", "--data", d.data, "SELECT * FROM "+database+".person_records"); r.Code == exitOK || seen[database] > 0 {
				t.Errorf("the analyst may read %s: %v", database, r)
			}
		}
		t.Logf("%d identifiers, %v views, %v rows", ids.n, seen, rows)
	})
	t.Run("commands", func(t *testing.T) {
		for _, args := range [][]string{
			{"status"}, {"status", "--json"}, {"quarantine", "list", "--limit", "0"}, {"quarantine", "list", "--limit", "0", "--json"},
			{"quarantine", "retry"}, {"load"}, {"check"}, {"doctor"},
			{"sql", "SELECT name FROM mart.persons"}, {"sql", "SELECT throwIf(1, toString(person_id)) FROM mart.persons"},
			{"sql", "SELECT toDate(case_number) FROM mart.cases"}, // the engine's messages quote values
		} {
			r := shire(t, append(args, "-v", "--data", d.data)...)
			ids.clean(t, "shire "+strings.Join(args, " "), r.String())
			if args[0] == "check" && (r.Code != exitOK || !strings.Contains(r.Stdout, " is right: ") || strings.Contains(r.Stdout, "and not computed")) {
				t.Errorf("the demo's county is not proven, metrics included: %v", r)
			}
		}
	})
	t.Run("portal", func(t *testing.T) { d.crawl(t, ids) })
	t.Run("files", func(t *testing.T) { d.beside(t, ids) })
	t.Run("sealed", func(t *testing.T) { d.sealed(t, ids) })
	t.Run("identity", func(t *testing.T) { d.privateIdentities(t, ids) })
	t.Run("logs", func(t *testing.T) {
		ids.clean(t, "what the demo printed", d.Output())
		if !strings.Contains(d.Output(), "level=DEBUG") {
			t.Error("the demo was asked for its whole log and printed none")
		}
	})
}

// asAnalyst is what the warehouse itself answers an analyst, as CSV: a shire sql for each view would take longer than all answers.
func (d *demoNode) asAnalyst(t *testing.T, sql string) string {
	t.Helper()
	runtime, err := embedded.ReadRuntime(d.data)
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := embedded.LoadOrCreateSecrets(d.data, clickhouse.Analyst)
	if err != nil {
		t.Fatal(err)
	}
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+runtime.ClickHouseHTTP+"/", strings.NewReader(sql+" FORMAT CSVWithNames"))
	if err != nil {
		t.Fatal(err)
	}
	q.SetBasicAuth(clickhouse.Analyst, secrets[clickhouse.Analyst])
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK || r.Header.Get("X-ClickHouse-Exception-Code") != "" {
		t.Fatalf("%s: %s %s %v", sql, r.Status, text, err)
	}
	return string(text)
}

// atLeast are the identifiers of so many bytes, which chance does not write.
func (s *identifiers) atLeast(bytes int) *identifiers {
	long := &identifiers{byStart: map[beginning][]string{}}
	for start, all := range s.byStart {
		for _, id := range all {
			if len(id) >= bytes {
				long.byStart[start] = append(long.byStart[start], id)
				word, bit := start.place()
				long.sieve[word] |= 1 << bit
				long.n++
			}
		}
	}
	return long
}

// sealed looks into ClickHouse's own files, the restricted tables' included.
func (d *demoNode) sealed(t *testing.T, ids *identifiers) {
	long := ids.atLeast(9)
	// A model says how often names occur among all people: it is about none, and no analyst may read its text.
	found, err := filepath.Glob(filepath.Join(d.data, "clickhouse", "store", "*", "*", "models.sql"))
	if err != nil || len(found) == 0 {
		t.Fatalf("the table of models is %v, %v", found, err)
	}
	models := ""
	for _, file := range found {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		models += string(text) // with the table's UUID
	}
	files, bytes := 0, 0
	err = filepath.WalkDir(filepath.Join(d.data, "clickhouse"), func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the node works on
		}
		if err != nil || !e.Type().IsRegular() || strings.Contains(models, "'"+filepath.Base(filepath.Dir(filepath.Dir(path)))+"'") {
			return err
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		files, bytes = files+1, bytes+len(text)
		long.clean(t, path, string(text))
		return err
	})
	if err != nil || files < 100 || long.n < 1000 {
		t.Errorf("%d files, %d identifiers, %v", files, long.n, err)
	}
	t.Logf("%d identifiers, %d files of %d bytes", long.n, files, bytes)
	if use := shire(t, "keys", "status", "--data", d.data); use.Code != exitOK || !strings.Contains(use.Stdout, "seals new values") || strings.Contains(use.Stdout, "none") {
		t.Errorf("the keys: %v", use)
	}
}

// beside looks into the files that stand beside the engines' own stores: logs, settings, addresses.
func (d *demoNode) beside(t *testing.T, ids *identifiers) {
	// These hold the changes, the restricted tables and the departments' files themselves.
	stores := map[string]bool{"nats": true, "clickhouse": true, "sources": true, "county": true, "identity": true}
	n := 0
	err := fs.WalkDir(os.DirFS(d.data), ".", func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && stores[path]:
			return fs.SkipDir
		case !e.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(filepath.Join(d.data, path))
		if err != nil {
			return err
		}
		n++
		ids.clean(t, path, path+"\n"+string(text))
		return nil
	})
	if err != nil || n < 3 {
		t.Errorf("%d files of the data directory, %v", n, err)
	}
}

// privateIdentities looks at what identity keeps and tells: its state holds what records say, and is closed to everybody but
// the node; its events go to whoever subscribes, and hold nothing of that.
func (d *demoNode) privateIdentities(t *testing.T, ids *identifiers) {
	files, folders := 0, 0
	err := filepath.WalkDir(filepath.Join(d.data, "identity"), func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the node writes on
		}
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if e.IsDir() {
			want = 0o700
			folders++
		} else {
			files++
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has the mode %v and should have %v", path, got, want)
		}
		return nil
	})
	if err != nil || files < 4 || folders < 4 {
		t.Errorf("%d files in %d folders of the state of identities, %v", files, folders, err)
	}
	told, err := filepath.Glob(filepath.Join(d.data, "nats", "jetstream", "*", "streams", "IDENTITY", "msgs", "*.blk"))
	if err != nil || len(told) == 0 {
		t.Fatalf("the stream of merges and splits is not there: %v", err)
	}
	events := 0
	for _, path := range told {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		events += strings.Count(string(text), "shire.identity.")
		ids.clean(t, "the stream of merges and splits", string(text))
	}
	if events == 0 {
		t.Error("nothing was told of merges and splits: this proved nothing")
	}
	t.Logf("%d files of the state, %d events", files, events)
}

// crawl asks the portal for everything that its OpenAPI document offers, and for what it does not.
func (d *demoNode) crawl(t *testing.T, ids *identifiers) {
	var document struct {
		Paths map[string]map[string]operation
	}
	if err := json.Unmarshal([]byte(d.get(t, ids, "/openapi.json")), &document); err != nil {
		t.Fatal(err)
	}
	extent := struct{ First_month, Last_month string }{}
	if err := json.Unmarshal([]byte(d.get(t, ids, "/api/v1/county")), &extent); err != nil || extent.First_month == "" {
		t.Fatalf("the county's extent: %+v, %v", extent, err)
	}
	var labels map[string][]struct{ Key string }
	if err := json.Unmarshal([]byte(d.get(t, ids, "/api/v1/labels")), &labels); err != nil || len(labels["departments"]) == 0 || len(labels["items"]) == 0 {
		t.Fatalf("the labels: %v, %v", labels, err)
	}
	// Two records of one person whom many records are about: whoever may look at the review sees them side by side.
	pair := d.answer(t, "SELECT min(record) AS a, max(record) AS b FROM mart.links WHERE current GROUP BY person_id ORDER BY count() DESC, person_id LIMIT 1").rows[0]
	asked := 0
	for path, methods := range document.Paths {
		for method, o := range methods {
			if method != "get" || len(o.Security) > 0 || strings.HasPrefix(path, reviewAPI) {
				d.refused(t, ids, method, path, o, pair)
				asked++
				continue
			}
			enum := o.enums()
			if strings.Contains(path, "{") && len(enum["name"]) == 0 { // of a job or a run
				path = filled(t, path, pair)
			}
			if !strings.Contains(path, "{") {
				d.get(t, ids, path)
				asked++
				continue
			}
			for i, name := range enum["name"] {
				at := strings.ReplaceAll(path, "{name}", name)
				for _, by := range enum["by"] {
					for _, format := range enum["format"] {
						q := url.Values{"by": {by}, "format": {format}, "from": {extent.First_month}, "to": {extent.Last_month}}
						d.get(t, ids, at+"?"+q.Encode())
						asked++
					}
				}
				for dimension, plural := range map[string]string{"department": "departments", "item": "items"} {
					// Each value of a dimension is asked for once, and each metric asks for one at least: all pairs take minutes.
					for k := i % len(labels[plural]); k < len(labels[plural]); k += len(enum["name"]) {
						d.get(t, ids, at+"?"+url.Values{dimension: {labels[plural][k].Key}}.Encode())
						asked++
					}
				}
			}
		}
	}
	if asked < 100 {
		t.Errorf("the crawl asked only %d addresses", asked)
	}
	for _, path := range []string{"/", "/nothing", "/api/v1/metrics/nothing", "/api/v1/metrics/citizen_time?from=x", "/api/v1/metrics/citizen_time?department=nobody",
		"/api/v1/interventions/household_data_link", "/api/v1/interventions/household_data_link/evaluation"} {
		d.get(t, ids, path)
	}
	for _, asset := range regexp.MustCompile(`"(/?\.?/?assets/[^"]+)"`).FindAllStringSubmatch(d.get(t, ids, "/"), -1) {
		d.get(t, ids, "/"+strings.TrimLeft(asset[1], "./"))
	}
	t.Logf("%d addresses", asked)
}

const reviewAPI = "/api/v1/review/"

// operation is what the OpenAPI document says of a method of an address.
type operation struct {
	Parameters []struct {
		Name, In string
		Schema   struct{ Enum []string }
	}
	Security []map[string][]string // empty: for everybody
}

// enums are the values that parameters may have, where they are listed.
func (o operation) enums() map[string][]string {
	enums := map[string][]string{}
	for _, p := range o.Parameters {
		enums[p.Name] = p.Schema.Enum
	}
	return enums
}

// filled is an address for a pattern of addresses.
func filled(t *testing.T, path string, pair []string) string {
	t.Helper()
	at := strings.NewReplacer("{source}", "civil_affairs", "{about}", "person", "{a}", pair[0], "{b}", pair[1],
		"{name}", "nightly", "{id}", "nightly@2026-03-02T02:30:00+08:00", "{backfill}", "b1", "{do}", "pause", "{case}", "A1", "{prefill}", "p1", "{department}", "civil_affairs", "{dataset}", "marriages", "{key}", "1").Replace(path)
	if strings.Contains(at, "{") {
		t.Errorf("the portal offers %s, which this test cannot fill in and so does not try", path)
	}
	return at
}

// refused asks for what is for named people without having signed in, or sends without a signature: nothing is said of the records that it is
// asked for, and nothing is done. It asks as another site's page can make a browser ask, and then as the portal's own page does. Whom what is
// shown is a matter of its own tests.
func (d *demoNode) refused(t *testing.T, ids *identifiers, method, path string, o operation, pair []string) {
	t.Helper()
	at := filled(t, path, pair)
	// What was tried may be anything, so it is to be found nowhere afterwards: not in the answer, nor in the log.
	body := fmt.Sprintf(`{"about":"person","a":%q,"b":%q,"decision":"same","reason":%q}`, pair[0], pair[1], ids.one)
	session := strings.HasSuffix(path, "/session")
	if session {
		body = fmt.Sprintf(`{"name":%q,"password":"none"}`, ids.one)
	}
	own := http.Header{"Sec-Fetch-Site": {"same-origin"}}
	for _, p := range o.Parameters {
		if p.In == "header" && len(p.Schema.Enum) > 0 {
			own.Set(p.Name, p.Schema.Enum[0])
		}
	}
	for _, mark := range []http.Header{{}, own} {
		q, err := http.NewRequestWithContext(t.Context(), strings.ToUpper(method), d.portal+at, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(q.Header, mark)
		q.Header.Set("Content-Type", "application/json")
		r, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		ids.clean(t, method+" "+path, fmt.Sprint(r.Header, string(text)))
		// Whoever has not signed in may sign out.
		if harmless := session && method == "delete"; r.StatusCode < 400 && !harmless {
			t.Errorf("%s %s is answered to somebody who has not signed in: %s", method, path, r.Status)
		}
		if len(mark) > 1 && !session && r.StatusCode != http.StatusUnauthorized { // else the second lock would hide that the first is open
			t.Errorf("%s %s does not ask for somebody who has signed in: %s", method, path, r.Status)
		}
	}
}

// get asks the portal and looks for people in the address, the answer and its headers.
func (d *demoNode) get(t *testing.T, ids *identifiers, path string) string {
	t.Helper()
	r, err := http.Get(d.portal + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !utf8.Valid(body) {
		t.Errorf("%s is not text", path)
	}
	at, err := url.PathUnescape(r.Request.URL.String())
	if err != nil {
		t.Fatal(err)
	}
	ids.clean(t, path, fmt.Sprint(at, r.Header, string(body)))
	return string(body)
}
