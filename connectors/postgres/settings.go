package postgres

import (
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/document"
)

// settings is what stands under with: of a source of kind postgres.
//
//	address: 10.8.1.20:5432          # or a list of them: the one that is the primary is read
//	database: civil
//	user: shire
//	password: ${CIVIL_PASSWORD}
//	tls: verify-full                 # disable, prefer, require, verify-ca, verify-full
//	ca: civil-ca.pem                 # authority of the server's certificate; the system's when absent
//	tables:
//	  - table: public.residents      # schema and name as the database writes them; public when there is no schema
//	    dataset: residents
//	    snapshot: 2026-11            # any label; another one has the table read again while the stream goes on
//	slot: shire_civil                # the source's name when absent
//	publication: shire_civil         # the slot's name when absent
//	chunk_rows: 10000                # rows of a snapshot that are read while the stream stands still
//	max_slot_lag: 4GiB               # log held for the slot before the problem slot_lag is told
//	on_gap: stop                     # or snapshot: what to do when the slot lost changes
type settings struct {
	Addresses   []string
	Database    string
	User        string
	Password    county.Secret
	TLS         string
	CA          string
	Tables      []tableSettings
	Slot        string
	Publication string
	ChunkRows   int
	MaxSlotLag  int
	OnGap       string
}

type tableSettings struct {
	Schema, Name string
	Dataset      string
	Label        string
}

var (
	settingKeys = []string{"address", "database", "user", "password", "tls", "ca", "tables", "slot", "publication", "chunk_rows", "max_slot_lag", "on_gap"}
	tableKeys   = []string{"table", "dataset", "snapshot"}
)

const defaultPort = "5432"

// namePattern is what a slot may be called; publications keep to it too.
var namePattern = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)

// decodeSettings reads with: strictly and finds every mistake in one pass.
func decodeSettings(from connectors.Settings) (settings, error) {
	with := from.Source.With
	d := connectors.NewDecoder(from)
	s := settings{TLS: "prefer", ChunkRows: 10_000, MaxSlotLag: 4 << 30, OnGap: "stop", Slot: defaultSlot(from.Source.Name)}
	d.Known("with", with, settingKeys)
	d.Texts("with", with, "address", &s.Addresses)
	d.Text("with", with, "database", &s.Database)
	d.Text("with", with, "user", &s.User)
	d.Secret("with", with, "password", &s.Password)
	d.Choice("with", with, "tls", &s.TLS, "disable", "prefer", "require", "verify-ca", "verify-full")
	d.Text("with", with, "ca", &s.CA)
	d.Text("with", with, "slot", &s.Slot)
	s.Publication = s.Slot
	d.Text("with", with, "publication", &s.Publication)
	d.Int("with", with, "chunk_rows", &s.ChunkRows, 1, 1_000_000)
	d.Size("with", with, "max_slot_lag", &s.MaxSlotLag)
	d.Choice("with", with, "on_gap", &s.OnGap, "stop", "snapshot")
	for _, missing := range []struct{ key, do string }{
		{"address", "write address: HOST:PORT"}, {"database", "write database: NAME"}, {"user", "write user: NAME"},
	} {
		if _, there := with[missing.key]; !there {
			d.Fail("with."+missing.key, missing.do, "is missing")
		}
	}
	for i, a := range s.Addresses {
		normal, ok := hostPort(a)
		if !ok {
			d.Fail("with.address", "write HOST:PORT", "%q is not an address", a)
		}
		s.Addresses[i] = normal
	}
	for _, name := range []struct{ key, value string }{{"slot", s.Slot}, {"publication", s.Publication}} {
		if !namePattern.MatchString(name.value) {
			d.Fail("with."+name.key, "use lower-case letters, digits and _, at most 63", "%q cannot be used", name.value)
		}
	}
	if s.CA != "" {
		s.CA = from.Resolve(s.CA)
		if _, err := os.Stat(s.CA); err != nil {
			d.Fail("with.ca", "name a PEM file that can be read", "%s cannot be read", s.CA)
		}
		if s.TLS == "disable" || s.TLS == "prefer" {
			d.Fail("with.tls", "write verify-full", "%s does not look at the authority in ca", s.TLS)
		}
	}
	s.Tables = decodeTables(d, with, from.Contracts)
	return s, d.Err()
}

func decodeTables(d *connectors.Decoder, with map[string]any, contracts contract.Set) (tables []tableSettings) {
	const example = "{table: public.residents, dataset: residents}"
	for i, m := range d.Maps("with", with, "tables", example) {
		path := fmt.Sprintf("with.tables[%d]", i)
		var t tableSettings
		var name string
		d.Known(path, m, tableKeys)
		d.Text(path, m, "table", &name)
		d.Text(path, m, "dataset", &t.Dataset)
		if v, there := m["snapshot"]; there {
			t.Label = fmt.Sprint(v)
		}
		var ok bool
		if t.Schema, t.Name, ok = splitName(name); !ok {
			d.Fail(path+".table", `write SCHEMA.TABLE, with "" around a name that has a dot in it`, "%q is not the name of a table", name)
		}
		if contracts[t.Dataset] == nil {
			d.Fail(path+".dataset", document.DidYouMean(t.Dataset, contracts.Names()), "%q is not in the datasets: of this source", t.Dataset)
		}
		for _, other := range tables {
			if other.Dataset == t.Dataset {
				d.Fail(path+".dataset", "give each dataset one table", "%s has a table already", t.Dataset)
			}
			if other.Schema == t.Schema && other.Name == t.Name {
				d.Fail(path+".table", "give each table one dataset", "%s has a dataset already", name)
			}
		}
		tables = append(tables, t)
	}
	if d.Err() == nil {
		for _, name := range contracts.Names() {
			if !slices.ContainsFunc(tables, func(t tableSettings) bool { return t.Dataset == name }) {
				d.Fail("with.tables", fmt.Sprintf("add {table: ..., dataset: %s}, or take it out of datasets:", name), "has no table for dataset %s", name)
			}
		}
	}
	return tables
}

// hostPort completes an address with the usual port.
func hostPort(address string) (string, bool) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port, err = net.SplitHostPort(address + ":" + defaultPort)
	}
	n, bad := strconv.Atoi(port)
	if err != nil || bad != nil || n < 1 || n > 65535 || host == "" || strings.ContainsAny(host, " /@?#,") {
		return address, false
	}
	return net.JoinHostPort(host, port), true
}

// splitName takes schema.table apart; names in quotes may hold dots.
func splitName(s string) (schema, name string, ok bool) {
	var parts []string
	for rest := s; ; {
		var part string
		if after, quoted := strings.CutPrefix(rest, `"`); quoted {
			if part, rest, quoted = strings.Cut(after, `"`); !quoted {
				return "", "", false
			}
		} else if end := strings.IndexByte(rest, '.'); end >= 0 {
			part, rest = rest[:end], rest[end:]
		} else {
			part, rest = rest, ""
		}
		if part == "" {
			return "", "", false
		}
		parts = append(parts, part)
		if rest == "" {
			break
		}
		if rest[0] != '.' {
			return "", "", false
		}
		rest = rest[1:]
	}
	switch len(parts) {
	case 1:
		return "public", parts[0], true
	case 2:
		return parts[0], parts[1], true
	}
	return "", "", false
}

var notInSlot = regexp.MustCompile(`[^a-z0-9_]`)

// defaultSlot is a slot's name made from the source's; what had to be replaced is told apart by a hash.
func defaultSlot(source string) string {
	name := notInSlot.ReplaceAllString(strings.ToLower(source), "_")
	if name == source && len(name) <= 57 {
		return "shire_" + name
	}
	h := fnv.New32a()
	h.Write([]byte(source))
	return fmt.Sprintf("shire_%s_%08x", name[:min(len(name), 40)], h.Sum32())
}
