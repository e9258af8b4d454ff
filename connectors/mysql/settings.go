package mysql

import (
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/document"
)

// settings is what stands under with: of a source of kind mysql.
//
//	address: 10.8.1.30:3306
//	user: shire
//	password: ${HEALTH_PASSWORD}
//	tls: verify-full               # disable, prefer, require, verify-ca, verify-full
//	ca: health-ca.pem              # authority of the server's certificate; the system's when absent
//	server_id: 3100001             # as which replica Shire shows itself, and the next number; made from the source's name when absent
//	tables:
//	  - table: health.residents    # database and table as the server writes them
//	    dataset: residents
//	    snapshot: 2026-11          # any label; another one has the table read again while the stream goes on
//	chunk_rows: 5000               # rows of a snapshot that are read while the stream stands still
//	on_gap: stop                   # or snapshot: what to do when the binlog no longer holds what was not read yet
type settings struct {
	Address  string
	User     string
	Password county.Secret
	TLS      string
	CA       string
	ServerID int
	Tables   []tableSettings
	Chunk    int
	OnGap    string
}

type tableSettings struct {
	Schema, Name string
	Dataset      string
	Label        string
}

func (t tableSettings) String() string { return t.Schema + "." + t.Name }

var (
	settingKeys = []string{"address", "user", "password", "tls", "ca", "server_id", "tables", "chunk_rows", "on_gap"}
	tableKeys   = []string{"table", "dataset", "snapshot"}
)

const (
	defaultPort = "3306"
	stop        = "stop"
	snapshot    = "snapshot"
)

// decodeSettings reads with: strictly and finds every mistake in one pass.
func decodeSettings(from connectors.Settings) (settings, error) {
	with := from.Source.With
	d := connectors.NewDecoder(from)
	s := settings{TLS: "prefer", Chunk: 5000, OnGap: stop, ServerID: defaultServerID(from.Source.Name)}
	d.Known("with", with, settingKeys)
	d.Text("with", with, "address", &s.Address)
	d.Text("with", with, "user", &s.User)
	d.Secret("with", with, "password", &s.Password)
	d.Choice("with", with, "tls", &s.TLS, "disable", "prefer", "require", "verify-ca", "verify-full")
	d.Text("with", with, "ca", &s.CA)
	d.Int("with", with, "server_id", &s.ServerID, 1, 1<<32-2)
	d.Int("with", with, "chunk_rows", &s.Chunk, 1, 1_000_000)
	d.Choice("with", with, "on_gap", &s.OnGap, stop, snapshot)
	for _, missing := range []struct{ key, do string }{{"address", "write address: HOST:PORT"}, {"user", "write user: NAME"}} {
		if _, there := with[missing.key]; !there {
			d.Fail("with."+missing.key, missing.do, "is missing")
		}
	}
	if s.Address != "" {
		normal, ok := hostPort(s.Address)
		if !ok {
			d.Fail("with.address", "write HOST:PORT", "%q is not an address", s.Address)
		}
		s.Address = normal
	}
	if s.CA != "" {
		s.CA = from.Resolve(s.CA)
		if _, err := os.Stat(s.CA); err != nil {
			d.Fail("with.ca", "name a PEM file that can be read", "%s cannot be read", s.CA)
		}
		if s.TLS != "verify-ca" && s.TLS != "verify-full" {
			d.Fail("with.tls", "write verify-full", "%s does not look at the authority in ca", s.TLS)
		}
	}
	s.Tables = decodeTables(d, with, from.Contracts)
	return s, d.Err()
}

func decodeTables(d *connectors.Decoder, with map[string]any, contracts contract.Set) (tables []tableSettings) {
	for i, m := range d.Maps("with", with, "tables", "{table: health.residents, dataset: residents}") {
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
		if t.Schema, t.Name, ok = strings.Cut(name, "."); !ok || t.Schema == "" || t.Name == "" {
			d.Fail(path+".table", "write DATABASE.TABLE", "%q is not the name of a table", name)
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
	if err != nil || bad != nil || n < 1 || n > 65535 || host == "" || strings.ContainsAny(host, " /@?#,()") {
		return address, false
	}
	return net.JoinHostPort(host, port), true
}

// defaultServerID is an even number from 2^31 on, where people seldom number their servers.
func defaultServerID(source string) int {
	h := fnv.New32a()
	h.Write([]byte(source))
	return int(h.Sum32()>>1<<1 | 1<<31)
}
