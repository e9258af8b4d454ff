package postgres

import (
	"fmt"
	"hash/fnv"
	"regexp"
	"strings"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/county"
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
	Tables      []connectors.Table
	Slot        string
	Publication string
	ChunkRows   int
	MaxSlotLag  int
	OnGap       string
}

var settingKeys = []string{"address", "database", "user", "password", "tls", "ca", "tables", "slot", "publication", "chunk_rows", "max_slot_lag", "on_gap"}

const defaultPort = "5432"

// namePattern is what a slot may be called; publications keep to it too.
var namePattern = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)

// decodeSettings reads with: strictly and finds every mistake in one pass.
func decodeSettings(from connectors.Settings) (settings, error) {
	with := from.Source.With
	d := connectors.NewDecoder(from)
	s := settings{ChunkRows: 10_000, MaxSlotLag: 4 << 30, OnGap: "stop", Slot: defaultSlot(from.Source.Name)}
	d.Known("with", with, settingKeys)
	d.Texts("with", with, "address", &s.Addresses)
	d.Text("with", with, "database", &s.Database)
	d.Text("with", with, "user", &s.User)
	d.Secret("with", with, "password", &s.Password)
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
		normal, ok := connectors.HostPort(a, defaultPort)
		if !ok {
			d.Fail("with.address", "write HOST:PORT", "%q is not an address", a)
		}
		s.Addresses[i] = normal
	}
	s.TLS = connectors.UsualTLS(s.Addresses...)
	d.Choice("with", with, "tls", &s.TLS, "disable", "prefer", "require", "verify-ca", "verify-full")
	d.Authority(with, s.TLS, &s.CA)
	for _, name := range []struct{ key, value string }{{"slot", s.Slot}, {"publication", s.Publication}} {
		if !namePattern.MatchString(name.value) {
			d.Fail("with."+name.key, "use lower-case letters, digits and _, at most 63", "%q cannot be used", name.value)
		}
	}
	s.Tables = d.Tables(with, from.Contracts, "{table: public.residents, dataset: residents}", `write SCHEMA.TABLE, with "" around a name that has a dot in it`, splitName)
	return s, d.Err()
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
