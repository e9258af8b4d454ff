package mysql

import (
	"hash/fnv"
	"strings"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/county"
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
	Tables   []connectors.Table
	Chunk    int
	OnGap    string
}

var settingKeys = []string{"address", "user", "password", "tls", "ca", "server_id", "tables", "chunk_rows", "on_gap"}

const (
	defaultPort = "3306"
	stop        = "stop"
	snapshot    = "snapshot"
)

// decodeSettings reads with: strictly and finds every mistake in one pass.
func decodeSettings(from connectors.Settings) (settings, error) {
	with := from.Source.With
	d := connectors.NewDecoder(from)
	s := settings{Chunk: 5000, OnGap: stop, ServerID: defaultServerID(from.Source.Name)}
	d.Known("with", with, settingKeys)
	d.Text("with", with, "address", &s.Address)
	d.Text("with", with, "user", &s.User)
	d.Secret("with", with, "password", &s.Password)
	d.Int("with", with, "server_id", &s.ServerID, 1, 1<<32-2)
	d.Int("with", with, "chunk_rows", &s.Chunk, 1, 1_000_000)
	d.Choice("with", with, "on_gap", &s.OnGap, stop, snapshot)
	for _, missing := range []struct{ key, do string }{{"address", "write address: HOST:PORT"}, {"user", "write user: NAME"}} {
		if _, there := with[missing.key]; !there {
			d.Fail("with."+missing.key, missing.do, "is missing")
		}
	}
	if s.Address != "" {
		normal, ok := connectors.HostPort(s.Address, defaultPort)
		if !ok {
			d.Fail("with.address", "write HOST:PORT", "%q is not an address", s.Address)
		}
		s.Address = normal
	}
	s.TLS = connectors.UsualTLS(s.Address)
	d.Choice("with", with, "tls", &s.TLS, "disable", "prefer", "require", "verify-ca", "verify-full")
	d.Authority(with, s.TLS, &s.CA)
	s.Tables = d.Tables(with, from.Contracts, "{table: health.residents, dataset: residents}", "write DATABASE.TABLE", func(name string) (string, string, bool) {
		database, table, ok := strings.Cut(name, ".")
		return database, table, ok && database != "" && table != ""
	})
	return s, d.Err()
}

// defaultServerID is an even number from 2^31 on, where people seldom number their servers.
func defaultServerID(source string) int {
	h := fnv.New32a()
	h.Write([]byte(source))
	return int(h.Sum32()>>1<<1 | 1<<31)
}
