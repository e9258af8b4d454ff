package county

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/shirecounty/shire/schemas/calendar/clock"
	"github.com/shirecounty/shire/schemas/document"
)

const good = `county: {division: "350100", name_zh: 某县, name_en: A county}
contracts: contracts
engines:
  nats: {replicas: 1, password: "${NATS_PASSWORD}"}
  clickhouse: {password: "file:secrets/ch"}
sources:
  - name: hall
    kind: file
    datasets: [hall_cases]
    with: {directory: "${DROP:-/srv/drop}"}
flow:
  pack_rows: 100
  pack_linger: ${LINGER:-20ms}
  load_bytes: ${LOAD}
pseudonyms:
  key: ${KEY}
`

const dataset = `dataset: %s
department: hall
owner: {zh: 甲, en: A}
title: {zh: 甲, en: A}
version: 1
key: [number]
sharing: {type: conditional}
fields:
  - {name: number, type: case_number, required: true, sensitivity: internal}
emits:
  - table: cases
    columns: {case_number: number, department: {value: hall}, item_code: {value: x}}
`

var variables = map[string]string{"NATS_PASSWORD": "hunter2-nats", "KEY": strings.Repeat("k", 32), "LOAD": "4MiB"}

// write puts county.yaml and two contracts into a folder.
func write(t testing.TB, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "contracts"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"county.yaml": text, "contracts/a.yaml": fmt.Sprintf(dataset, "hall_cases"), "contracts/b.yaml": fmt.Sprintf(dataset, "hall_calls"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "county.yaml")
}

func lookup(name string) (string, bool) { v, ok := variables[name]; return v, ok }

var kinds = []string{"file", "simulate"}

func TestGoodCounty(t *testing.T) {
	file := write(t, good)
	c, set, err := load(file, kinds, lookup)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(set.Names(), []string{"hall_calls", "hall_cases"}) {
		t.Errorf("contracts %q", set.Names())
	}
	dir := filepath.Dir(file)
	if c.County.TimeZone != "Asia/Shanghai" || c.Portal.Listen != "127.0.0.1:8080" || c.Contracts != filepath.Join(dir, "contracts") ||
		c.Flow.PackRows != 100 || c.Flow.LoadRows != 40_000 || time.Duration(c.Flow.PackLinger) != 20*time.Millisecond || c.Flow.LoadBytes != 4<<20 {
		t.Errorf("defaults and values: %+v", c)
	}
	if c.Engines.NATS.Password != "hunter2-nats" || string(c.Engines.ClickHouse.Password) != "file:"+filepath.Join(dir, "secrets/ch") {
		t.Error("the secrets are not what was written")
	}
	if c.Sources[0].With["directory"] != "/srv/drop" || c.Resolve("x") != filepath.Join(dir, "x") || c.Resolve("/x") != "/x" {
		t.Errorf("paths: %v", c.Sources[0].With)
	}
}

func TestClocks(t *testing.T) {
	for text, want := range map[string]clock.Rules{
		"": {}, "clocks: {unit: day}": {},
		"clocks: {unit: half_day}":                  {HalfDays: true, Noon: 12 * time.Hour},
		"clocks: {unit: half_day, noon: \"13:30\"}": {HalfDays: true, Noon: 13*time.Hour + 30*time.Minute},
	} {
		c, _, err := load(write(t, good+text+"\n"), kinds, lookup)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Clocks.Rules(); got != want {
			t.Errorf("%q: have %+v, want %+v", text, got, want)
		}
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct{ name, right, wrong, want string }{
		{"typo in a key", "contracts: contracts", "contracs: contracts", `county.yaml:2: "contracs" is not a key here; did you mean "contracts"?`},
		{"division", `"350100"`, `"3501"`, `county.yaml:1: "3501" is not a division code; write the six digits of GB/T 2260, in quotes`},
		{"no name", "name_zh: 某县, ", "", "county.yaml:1: the county has no name; write name_zh:"},
		{"zone", "name_en: A county", "time_zone: Asia/Shangai", `county.yaml:1: time zone "Asia/Shangai" is not known; write a name such as Asia/Shanghai`},
		{"no such folder", "contracts: contracts", "contracts: contracts\ncalendars: calendras", "county.yaml:3: there is no folder "},
		{"unit of clocks", "contracts: contracts", "contracts: contracts\nclocks: {unit: half-day}", `county.yaml:3: legal time is not counted in "half-day"; write day or half_day`},
		{"noon", "contracts: contracts", "contracts: contracts\nclocks: {unit: half_day, noon: twelve}", `county.yaml:3: "twelve" is not a time of day that has a morning; write hours and minutes in quotes, such as "12:00"`},
		{"noon at midnight", "contracts: contracts", "contracts: contracts\nclocks: {unit: half_day, noon: \"00:00\"}", `county.yaml:3: "00:00" is not a time of day`},
		{"noon at nine", "contracts: contracts", "contracts: contracts\nclocks: {unit: half_day, noon: \"9:00\"}", `county.yaml:3: "9:00" is not a time of day`},
		{"noon of whole days", "contracts: contracts", "contracts: contracts\nclocks: {noon: \"12:30\"}", `county.yaml:3: noon parts the halves of a day, and whole days are counted; write unit: half_day beside it, or leave noon out`},
		{"hash of the audit log", "contracts: contracts", "contracts: contracts\nsharing: {audit: {hash: md5}}", `county.yaml:3: the audit log is not hashed with "md5"; write sha256 or sm3`},
		{"signature of the audit log", "contracts: contracts", "contracts: contracts\nsharing: {audit: {signature: rsa}}", `county.yaml:3: checkpoints are not signed with "rsa"; write ed25519 or sm2`},
		{"a user of the warehouse for nobody", "contracts: contracts", "contracts: contracts\nsharing: {warehouse_users: [{department: Tax-Office}]}", `county.yaml:3: "Tax-Office" is not the code of a department`},
		{"two users of the warehouse", "contracts: contracts", "contracts: contracts\nsharing: {warehouse_users: [{department: tax}, {department: tax}]}", `county.yaml:3: the department tax stands there twice`},
		{"a password in the clear", "contracts: contracts", "contracts: contracts\nsharing: {warehouse_users: [{department: tax, password: hunter2}]}", `county.yaml:3: `},
		{"checkpoints of the audit log", "contracts: contracts", "contracts: contracts\nsharing: {audit: {checkpoint_entries: -1}}", `county.yaml:3: -1 is too small`},
		{"a client without a proof", "contracts: contracts", "contracts: contracts\nsharing: {clients: [{name: a, department: d}]}", `county.yaml:3: client a has nothing to prove itself with, so that nobody could be it`},
		{"a client twice", "contracts: contracts", "contracts: contracts\nsharing: {clients: [{name: a, department: d, api_key: true}, {name: a, department: d, api_key: true}]}", `county.yaml:3: client a stands twice`},
		{"a client of nobody", "contracts: contracts", "contracts: contracts\nsharing: {clients: [{name: a, api_key: true, department: \"\"}]}", `county.yaml:3: client a belongs to no department`},
		{"a certificate that nobody asks for", "contracts: contracts", "contracts: contracts\nsharing: {clients: [{name: a, department: d, certificate: {dns: x}}]}", `county.yaml:3: client a shows a certificate, and the portal asks for none`},
		{"any certificate", "contracts: contracts", "contracts: contracts\nportal: {tls: {cert: c, key: k, client_ca: a}}\nsharing: {clients: [{name: a, department: d, certificate: {}}]}", `county.yaml:4: any certificate would be client a`},
		{"a fingerprint", "contracts: contracts", "contracts: contracts\nportal: {tls: {cert: c, key: k, client_ca: a}}\nsharing: {clients: [{name: a, department: d, certificate: {fingerprint: AB}}]}", `county.yaml:4: a SHA-256 fingerprint has 64 hexadecimal digits`},
		{"an unknown issuer", "contracts: contracts", "contracts: contracts\nsharing: {clients: [{name: a, department: d, token: {issuer: i, subject: s}}]}", `county.yaml:3: client a has tokens of "i", which is not among sharing.issuers`},
		{"keys over an open wire", "contracts: contracts", "contracts: contracts\nsharing: {issuers: [{issuer: i, audience: a, keys: \"http://id.example/jwks\"}]}", `county.yaml:3: the issuer's keys would come over a wire that others can write to`},
		{"a symmetric algorithm", "contracts: contracts", "contracts: contracts\nsharing: {issuers: [{issuer: i, audience: a, keys: \"https://id.example/jwks\", algorithms: [HS256]}]}", `county.yaml:3: tokens that are signed with "HS256" are not taken`},
		{"too much leeway", "contracts: contracts", "contracts: contracts\nsharing: {issuers: [{issuer: i, audience: a, keys: \"https://id.example/jwks\", leeway: 5m}]}", `county.yaml:3: 5m0s is too much; write at most 2m`},
		{"limits of clients", "contracts: contracts", "contracts: contracts\nsharing: {limits: {persons: -1}}", `county.yaml:3: the limits of clients are out of bounds`},
		{"a window for no purpose", "contracts: contracts", "contracts: contracts\nsharing: {window: reuse, purposes: {re_use: {zh: 免交, en: Sparing}}}", `county.yaml:3: the county has no purpose "reuse"`},
		{"a window without items", "contracts: contracts", "contracts: contracts\nsharing: {window: reuse, purposes: {reuse: {zh: 免交, en: Sparing}}}", `county.yaml:3: what a case requires is not known without a list of service items`},
		{"checkpoints nowhere", "contracts: contracts", "contracts: contracts\nsharing: {audit: {hand_out: nowhere/log}}", `county.yaml:3: there is no folder `},
		{"unset variable", "${LOAD}", "${LAOD}", "county.yaml:14: the environment variable LAOD is not set; export LAOD=... before you start shire"},
		{"no duration", "${LINGER:-20ms}", "20", "county.yaml:13: write a duration such as 200ms, 5s or 2m"},
		{"negative duration", "${LINGER:-20ms}", "-20ms", "county.yaml:13: write a duration such as 200ms, 5s or 2m"},
		{"no size", "${LOAD}", "lots", "county.yaml:14: write a size such as 64KiB, 8MiB or 2GiB"},
		{"size beyond all", "${LOAD}", "99999999TiB", "county.yaml:14: write a size such as 64KiB, 8MiB or 2GiB"},
		{"secret in the clear", "key: ${KEY}", "key: opensesameopensesameopensesame12", "county.yaml:16: a secret stands in the file in the clear; write ${NAME} or file:PATH, and change the secret"},
		{"secret as a default", "key: ${KEY}", "key: ${NONE:-opensesameopensesameopensesame12}", "county.yaml:16: a secret stands in the file in the clear"},
		{"secret between variables", `"${NATS_PASSWORD}"`, `"${KEY}opensesame${KEY}"`, "county.yaml:4: a secret stands in the file in the clear"},
		{"password of clickhouse", `"file:secrets/ch"`, "opensesame", "county.yaml:5: a secret stands in the file in the clear"},
		{"unknown kind", "kind: file", "kind: flie", `county.yaml:8: source hall is of kind "flie", which is not known; did you mean "file"?`},
		{"unknown dataset", "datasets: [hall_cases]", "datasets: [hall_casse]", `county.yaml:9: dataset "hall_casse" has no contract; did you mean "hall_cases"?`},
		{"dataset of two sources", "flow:", "  - {name: other, kind: file, datasets: [hall_cases]}\nflow:", "county.yaml:11: dataset hall_cases comes from source hall too; deliver it by one of them"},
		{"source twice", "flow:", "  - {name: hall, kind: file, datasets: [hall_calls]}\nflow:", "county.yaml:11: source hall stands twice; rename one of them"},
		{"source without datasets", "datasets: [hall_cases]", "datasets: []", "county.yaml:7: source hall delivers no dataset; list them in datasets:"},
		{"source that is no name", "name: hall", "name: Hall 1", `county.yaml:7: source "Hall 1" is not a name; use lower-case letters, digits and _`},
		{"too many rows", "pack_rows: 100", "pack_rows: 65537", "county.yaml:12: 65537 changes do not fit in one message; write at most 65536"},
		{"negative rows", "pack_rows: 100", "load_rows: -1", "county.yaml:12: -1 is too small; write at least 1, or leave it out"},
		{"too many bytes", "pack_rows: 100", "pack_bytes: 5MiB", "county.yaml:12: a message is limited to 8 MiB, so packing stops at half of that; write at most 4MiB"},
		{"replicas", "replicas: 1", "replicas: 9", "county.yaml:4: 9 is too large; write at most 5, or leave it out"},
		{"port", "replicas: 1", "port: 70000", "county.yaml:4: 70000 is too large; write at most 65535, or leave it out"},
		{"sync", "replicas: 1", "sync: often", `county.yaml:4: "often" does not say how often to write through`},
		{"listen", "flow:", "portal: {listen: everywhere}\nflow:", `county.yaml:11: "everywhere" is not an address to listen on; write host:port, such as 127.0.0.1:8080`},
		{"external clickhouse without users", `clickhouse: {`, `clickhouse: {address: "ch:9000", `, "county.yaml:5: an external ClickHouse needs the users that Shire works as"},
		{"no contracts", "contracts: contracts", "contracts: elsewhere", "elsewhere: no contract (*.yaml) was found in this folder"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(good, c.right, c.wrong, 1)
			if text == good {
				t.Fatalf("%q does not stand in the file", c.right)
			}
			_, _, err := load(write(t, text), kinds, lookup)
			var problems document.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("got %v, want Problems", err)
			}
			if !slices.ContainsFunc(problems, func(p *document.Problem) bool { return strings.Contains(p.Error(), c.want) }) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			for _, secret := range []string{"opensesame", "hunter2"} {
				if strings.Contains(err.Error(), secret) {
					t.Error("the message quotes the secret (I7)")
				}
			}
		})
	}
}

func TestMissingFile(t *testing.T) {
	_, _, err := Load(filepath.Join(t.TempDir(), "none.yaml"), kinds)
	if err == nil || !strings.Contains(err.Error(), "give the path of your county.yaml with -c") {
		t.Errorf("got %v", err)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	const secret = Secret("hunter2")
	written, err := json.Marshal(map[string]any{"s": secret})
	if err != nil {
		t.Fatal(err)
	}
	yamlText, err := yaml.Marshal(map[string]any{"s": secret})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{secret.String(), fmt.Sprint(secret), fmt.Sprintf("%v %+v %#v %q %s", secret, secret, secret, secret, secret),
		fmt.Sprintf("%+v", NATS{Password: secret}), string(written), string(yamlText)} {
		if strings.Contains(s, "hunter2") {
			t.Errorf("%q shows the secret (I7)", s)
		}
	}
	if Secret("").String() != "" {
		t.Error("no secret looks like one")
	}
}

func TestReveal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(file, []byte("hunter2\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Secret("file:" + file).Reveal(); err != nil || s != "hunter2" {
		t.Errorf("%q, %v", s, err)
	}
	if s, err := Secret("plain").Reveal(); err != nil || s != "plain" {
		t.Errorf("%q, %v", s, err)
	}
	if _, err := Secret("file:" + file + "x").Reveal(); err == nil {
		t.Error("a missing file gives a secret")
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(good)
	f.Add("sources: [~]\nengines: !\n")
	f.Add("county: &x {division: *x}")
	contracts := filepath.Join(filepath.Dir(write(f, good)), "contracts")
	file := filepath.Join(f.TempDir(), "county.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ReplaceAll(text, "contracts: contracts", "contracts: "+contracts)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := load(file, kinds, lookup)
		var problems document.Problems
		if err != nil && !errors.As(err, &problems) {
			t.Fatalf("%T is no list of problems", err)
		}
	})
}
