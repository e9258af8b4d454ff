package county

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/document"
)

// Load reads county.yaml, fills in the defaults and proves it, then reads the contracts that it points to.
// kinds are the kinds of connectors that exist. The error is document.Problems with every mistake.
func Load(file string, kinds []string) (*Config, contract.Set, error) {
	return load(file, kinds, os.LookupEnv)
}

func load(file string, kinds []string, env func(string) (string, bool)) (*Config, contract.Set, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, document.Problems{{File: file, Message: "cannot be read", Do: "give the path of your county.yaml with -c"}}
	}
	c := &Config{File: file}
	doc, err := document.ParseWithEnv(file, text, c, env)
	if err != nil {
		return nil, nil, err
	}
	c.doc = doc
	problems := plainSecrets(doc, text)
	fail := func(path, do, format string, args ...any) {
		problems = append(problems, doc.At(path, fmt.Sprintf(format, args...), do))
	}
	c.defaults()
	c.prove(fail, kinds)
	c.proveSchedules(fail)
	c.proveClocks(fail)
	c.proveSharing(fail)
	c.proveClients(fail)
	c.proveWarehouseUsers(fail)
	problems = append(problems, c.gatherJobs(env)...)
	problems = append(problems, c.proveJobs()...)
	c.markTimed()
	set, err := contract.LoadDir(c.Contracts, c.County.TimeZone)
	if err != nil {
		return nil, nil, append(problems, err.(document.Problems)...)
	}
	c.proveDatasets(fail, set)
	c.proveSignOn(fail, c.DepartmentCodes(set))
	c.proveSubscriptions(fail, set)
	if err := problems.OrNil(); err != nil {
		return nil, nil, err
	}
	return c, set, nil
}

func (c *Config) defaults() {
	orDefault(&c.County.TimeZone, "Asia/Shanghai")
	orDefault(&c.Contracts, "contracts")
	orDefault(&c.Portal.Listen, "127.0.0.1:8080")
	orDefault(&c.Engines.NATS.Replicas, 1)
	orDefault(&c.Engines.ClickHouse.MaxMemory, 2<<30)
	orDefault(&c.Engines.MinFree, 1<<30)
	orDefault(&c.Flow.PackRows, 4096)
	orDefault(&c.Flow.PackBytes, 1<<20)
	orDefault(&c.Flow.PackLinger, Duration(50*time.Millisecond))
	orDefault(&c.Flow.LoadRows, 40_000)
	orDefault(&c.Flow.LoadBytes, 16<<20)
	orDefault(&c.Flow.LoadAge, Duration(time.Second))
	orDefault(&c.Flow.Lease, Duration(15*time.Second))
	c.Contracts = c.Resolve(c.Contracts)
	if c.Calendars != "" {
		c.Calendars = c.Resolve(c.Calendars)
	}
	if c.Materials != "" {
		c.Materials = c.Resolve(c.Materials)
	}
	if c.Interventions != "" {
		c.Interventions = c.Resolve(c.Interventions)
	}
	for _, secret := range []*Secret{&c.Engines.NATS.Password, &c.Engines.ClickHouse.Password, &c.Engines.ClickHouse.AnalystPassword, &c.Engines.ClickHouse.JobsPassword, &c.Pseudonyms.Key} {
		if path, isFile := strings.CutPrefix(string(*secret), "file:"); isFile {
			*secret = Secret("file:" + c.Resolve(path))
		}
	}
	if o := c.Portal.OIDC; o != nil {
		if path, isFile := strings.CutPrefix(string(o.ClientSecret), "file:"); isFile {
			o.ClientSecret = Secret("file:" + c.Resolve(path))
		}
	}
	for i := range c.Sharing.WarehouseUsers {
		password := &c.Sharing.WarehouseUsers[i].Password
		if path, isFile := strings.CutPrefix(string(*password), "file:"); isFile {
			*password = Secret("file:" + c.Resolve(path))
		}
	}
	for i := range c.Sources {
		c.Sources[i].Path = fmt.Sprintf("$.sources[%d]", i)
	}
}

// Resolve makes a path of county.yaml relative to the folder county.yaml stands in.
func (c *Config) Resolve(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(c.File), path)
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

var (
	divisionShape = regexp.MustCompile(`^[0-9]{6}$`)
	sourceShape   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
)

func (c *Config) prove(fail func(path, do, format string, args ...any), kinds []string) {
	if !divisionShape.MatchString(c.County.Division) {
		fail("$.county.division", "write the six digits of GB/T 2260, in quotes", "%q is not a division code", c.County.Division)
	}
	if c.County.NameZh == "" {
		fail("$.county", "write name_zh:", "the county has no name")
	}
	if _, err := time.LoadLocation(c.County.TimeZone); err != nil || c.County.TimeZone == "Local" {
		fail("$.county.time_zone", "write a name such as Asia/Shanghai", "time zone %q is not known", c.County.TimeZone)
	}
	if c.Calendars != "" {
		if info, err := os.Stat(c.Calendars); err != nil || !info.IsDir() {
			fail("$.calendars", "make the folder, or leave calendars: out", "there is no folder %s", c.Calendars)
		}
	}
	if _, _, err := net.SplitHostPort(c.Portal.Listen); err != nil {
		fail("$.portal.listen", "write host:port, such as 127.0.0.1:8080", "%q is not an address to listen on", c.Portal.Listen)
	}
	if ch := c.Engines.ClickHouse; ch.Address != "" && (ch.User == "" || ch.AnalystPassword == "") {
		fail("$.engines.clickhouse", "give user and password of the loading user, and analyst_password; shire doctor --access prints the statements that make both",
			"an external ClickHouse needs the users that Shire works as")
	}
	if s := c.Engines.NATS.Sync; s != "" && s != "always" {
		if d, err := time.ParseDuration(s); err != nil || d <= 0 {
			fail("$.engines.nats.sync", "write always, or a duration such as 2m", "%q does not say how often to write through", s)
		}
	}
	for _, n := range []struct {
		path     string
		value    int
		min, max int
	}{
		{"$.flow.pack_rows", c.Flow.PackRows, 1, math.MaxInt},
		{"$.flow.load_rows", c.Flow.LoadRows, 1, math.MaxInt},
		{"$.engines.nats.replicas", c.Engines.NATS.Replicas, 1, 5},
		{"$.engines.nats.port", c.Engines.NATS.Port, 0, 65535},
		{"$.engines.clickhouse.native_port", c.Engines.ClickHouse.NativePort, 0, 65535},
		{"$.engines.clickhouse.http_port", c.Engines.ClickHouse.HTTPPort, 0, 65535},
	} {
		if n.value < n.min {
			fail(n.path, fmt.Sprintf("write at least %d, or leave it out", n.min), "%d is too small", n.value)
		}
		if n.value > n.max {
			fail(n.path, fmt.Sprintf("write at most %d, or leave it out", n.max), "%d is too large", n.value)
		}
	}
	if c.Flow.PackRows > 1<<16 {
		fail("$.flow.pack_rows", "write at most 65536", "%d changes do not fit in one message", c.Flow.PackRows)
	}
	if c.Flow.PackBytes > 4<<20 {
		fail("$.flow.pack_bytes", "write at most 4MiB", "a message is limited to 8 MiB, so packing stops at half of that")
	}
	names := map[string]bool{}
	for _, s := range c.Sources {
		if !sourceShape.MatchString(s.Name) {
			fail(s.Path+".name", "use lower-case letters, digits and _", "source %q is not a name", s.Name)
		}
		if names[s.Name] {
			fail(s.Path+".name", "rename one of them", "source %s stands twice", s.Name)
		}
		names[s.Name] = true
		if !slices.Contains(kinds, s.Kind) {
			fail(s.Path+".kind", document.DidYouMean(s.Kind, kinds), "source %s is of kind %q, which is not known", s.Name, s.Kind)
		}
		if len(s.Datasets) == 0 {
			fail(s.Path, "list them in datasets:", "source %s delivers no dataset", s.Name)
		}
	}
}

// proveSchedules reads the schedules of the sources that have one.
func (c *Config) proveSchedules(fail func(path, do, format string, args ...any)) {
	zone, err := time.LoadLocation(c.County.TimeZone)
	if err != nil {
		zone = time.UTC // the zone itself is told already
	}
	for i := range c.Sources {
		s := &c.Sources[i]
		if s.Schedule == "" {
			continue
		}
		times, err := ParseSchedule(s.Schedule, zone)
		var problem *ScheduleError
		if errors.As(err, &problem) {
			fail(s.Path+".schedule", problem.Do, "source %s: %s", s.Name, problem.Message)
			continue
		}
		s.Times = times
	}
}

// markTimed finds the sources that jobs read.
func (c *Config) markTimed() {
	for i := range c.Sources {
		s := &c.Sources[i]
		s.Timed = slices.ContainsFunc(c.Jobs, func(j Job) bool { return j.Do.Kind == "read" && j.Do.Text() == s.Name })
	}
}

// proveDatasets checks that each delivered dataset has a contract and one source: the position at which a
// connector resumes is the last message of the dataset's subject (I2), which two sources would mix.
func (c *Config) proveDatasets(fail func(path, do, format string, args ...any), set contract.Set) {
	owner := map[string]string{}
	for _, s := range c.Sources {
		for i, name := range s.Datasets {
			path := fmt.Sprintf("%s.datasets[%d]", s.Path, i)
			if _, ok := set[name]; !ok {
				fail(path, document.DidYouMean(name, slices.Collect(maps.Keys(set))), "dataset %q has no contract", name)
			}
			if other, twice := owner[name]; twice {
				fail(path, "deliver it by one of them", "dataset %s comes from source %s too", name, other)
			}
			owner[name] = s.Name
		}
	}
}

// SecretKeys are the names that settings of connectors give to passwords and keys.
var SecretKeys = []string{"password", "client_secret", "api_key", "secret", "previous_secret", "token"}

// secretShape is one environment variable and nothing else: a default, or text around it, would be in the clear.
var secretShape = regexp.MustCompile(`^\$\{[A-Za-z_][A-Za-z0-9_]*\}$`)

// plainSecrets finds secrets that stand in the file in the clear. doc is the file that was read, text what it was
// before the environment was filled in.
func plainSecrets(doc *document.Document, text []byte) document.Problems {
	var written struct {
		Engines struct {
			NATS       struct{ Password string }
			ClickHouse struct {
				Password string
				Analyst  string `yaml:"analyst_password"`
				Jobs     string `yaml:"jobs_password"`
			}
		}
		Pseudonyms struct{ Key string }
		Portal     struct {
			OIDC struct {
				Secret string `yaml:"client_secret"`
			}
		}
		Sharing struct {
			Subscriptions []struct{ Webhook struct{ Secret string } }
			Users         []struct{ Password string } `yaml:"warehouse_users"`
		}
		Sources []struct{ With map[string]any }
		Jobs    []struct{ Do any }
	}
	// The file was read strictly before, so what does not fit here is not a secret.
	_ = yaml.Unmarshal(text, &written)
	problems := append(document.Problems{},
		plainAt(doc, "$.engines.nats.password", written.Engines.NATS.Password)...)
	problems = append(problems, plainAt(doc, "$.engines.clickhouse.password", written.Engines.ClickHouse.Password)...)
	problems = append(problems, plainAt(doc, "$.engines.clickhouse.analyst_password", written.Engines.ClickHouse.Analyst)...)
	problems = append(problems, plainAt(doc, "$.engines.clickhouse.jobs_password", written.Engines.ClickHouse.Jobs)...)
	problems = append(problems, plainAt(doc, "$.pseudonyms.key", written.Pseudonyms.Key)...)
	problems = append(problems, plainAt(doc, "$.portal.oidc.client_secret", written.Portal.OIDC.Secret)...)
	for i, s := range written.Sharing.Subscriptions {
		problems = append(problems, plainAt(doc, fmt.Sprintf("$.sharing.subscriptions[%d].webhook.secret", i), s.Webhook.Secret)...)
	}
	for i, user := range written.Sharing.Users {
		problems = append(problems, plainAt(doc, fmt.Sprintf("$.sharing.warehouse_users[%d].password", i), user.Password)...)
	}
	for i, source := range written.Sources {
		problems = append(problems, plainWithin(doc, fmt.Sprintf("$.sources[%d].with", i), source.With)...)
	}
	for i, job := range written.Jobs {
		problems = append(problems, plainWithin(doc, fmt.Sprintf("$.jobs[%d].do", i), job.Do)...)
	}
	return problems
}

// plainWithin looks for secrets by the names that [SecretKeys] lists.
func plainWithin(doc *document.Document, path string, v any) (problems document.Problems) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if text, ok := v[k].(string); ok && slices.Contains(SecretKeys, k) {
				problems = append(problems, plainAt(doc, path+"."+k, text)...)
				continue
			}
			if named, ok := v[k].(map[string]any); ok && k == "secrets" { // each under a name of its own
				for _, name := range slices.Sorted(maps.Keys(named)) {
					if text, ok := named[name].(string); ok {
						problems = append(problems, plainAt(doc, path+"."+k+"."+name, text)...)
					}
				}
				continue
			}
			problems = append(problems, plainWithin(doc, path+"."+k, v[k])...)
		}
	case []any:
		for i, item := range v {
			problems = append(problems, plainWithin(doc, fmt.Sprintf("%s[%d]", path, i), item)...)
		}
	}
	return problems
}

func plainAt(doc *document.Document, path, text string) document.Problems {
	if text == "" || strings.HasPrefix(text, "file:") || secretShape.MatchString(text) {
		return nil
	}
	return document.Problems{doc.At(path, "a secret stands in the file in the clear", "write ${NAME} or file:PATH, and change the secret")}
}
