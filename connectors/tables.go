package connectors

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/document"
)

// Table is a table of a database server and the dataset that it is read into.
type Table struct {
	Schema, Name string
	Dataset      string
	Label        string // of its snapshot: another one has the table read again
}

func (t Table) String() string { return t.Schema + "." + t.Name }

// Tables reads with.tables: each dataset of the source has one table. split takes a table's name apart; what to write
// instead says how names look.
func (d *Decoder) Tables(with map[string]any, contracts contract.Set, example, instead string, split func(name string) (schema, table string, ok bool)) (tables []Table) {
	for i, m := range d.Maps("with", with, "tables", example) {
		path := fmt.Sprintf("with.tables[%d]", i)
		var t Table
		var name string
		d.Known(path, m, []string{"table", "dataset", "snapshot"})
		d.Text(path, m, "table", &name)
		d.Text(path, m, "dataset", &t.Dataset)
		if v, there := m["snapshot"]; there {
			t.Label = fmt.Sprint(v)
		}
		var ok bool
		if t.Schema, t.Name, ok = split(name); !ok {
			d.Fail(path+".table", instead, "%q is not the name of a table", name)
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
			if !slices.ContainsFunc(tables, func(t Table) bool { return t.Dataset == name }) {
				d.Fail("with.tables", fmt.Sprintf("add {table: ..., dataset: %s}, or take it out of datasets:", name), "has no table for dataset %s", name)
			}
		}
	}
	return tables
}

// Authority reads with.ca, a PEM file, and that with.tls looks at it.
func (d *Decoder) Authority(with map[string]any, tls string, into *string) {
	d.Text("with", with, "ca", into)
	if *into == "" {
		return
	}
	*into = d.resolve(*into)
	if _, err := os.Stat(*into); err != nil {
		d.Fail("with.ca", "name a PEM file that can be read", "%s cannot be read", *into)
	}
	if tls != "verify-ca" && tls != "verify-full" {
		d.Fail("with.tls", "write verify-full", "%s does not look at the authority in ca", tls)
	}
}

// HostPort completes an address with the port that such servers usually have.
func HostPort(address, usual string) (string, bool) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port, err = net.SplitHostPort(address + ":" + usual)
	}
	n, bad := strconv.Atoi(port)
	if err != nil || bad != nil || n < 1 || n > 65535 || host == "" || strings.ContainsAny(host, " /@?#,()") {
		return address, false
	}
	return net.JoinHostPort(host, port), true
}

// UsualTLS is with.tls when it is absent: require, and prefer for a server that is on this machine alone.
func UsualTLS(addresses ...string) string {
	for _, a := range addresses {
		host, _, err := net.SplitHostPort(a)
		if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return "require"
		}
	}
	return "prefer"
}
