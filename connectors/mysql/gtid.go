package mysql

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/google/uuid"
)

// flavor is whose server it is. The two count transactions in different ways.
type flavor string

const (
	mysqlFlavor   flavor = gomysql.MySQLFlavor
	mariaDBFlavor flavor = gomysql.MariaDBFlavor
)

// gtid names a transaction for good, on the server and on its replicas: server-uuid:number on MySQL,
// domain-server-number on MariaDB.
type gtid struct {
	source         uuid.UUID // MySQL
	domain, server uint32    // MariaDB
	number         uint64
}

func (g gtid) String() string {
	if g.source != uuid.Nil {
		return g.source.String() + ":" + strconv.FormatUint(g.number, 10)
	}
	return fmt.Sprintf("%d-%d-%d", g.domain, g.server, g.number)
}

// gtids is a set of transactions.
type gtids interface {
	has(gtid) bool
	add(gtid)
	within(gtids) bool // all of them are in the other set too
	meet(gtids) gtids  // those that are in both
	join(gtids) gtids  // those that are in either
	clone() gtids
	String() string
	sync() gomysql.GTIDSet // as the library wants it
}

func parseGTIDs(f flavor, text string) (gtids, error) {
	if f == mariaDBFlavor {
		set := mariaGTIDs{}
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part == "" {
				continue
			}
			g, err := gomysql.ParseMariadbGTID(part)
			if err != nil {
				return nil, fmt.Errorf("%q is not a GTID of MariaDB: %w", part, err)
			}
			set.add(gtid{domain: g.DomainID, server: g.ServerID, number: g.SequenceNumber})
		}
		return set, nil
	}
	set, err := gomysql.ParseMysqlGTIDSet(strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("the GTID set cannot be read (tagged GTIDs are not understood): %w", err)
	}
	return mysqlGTIDs{set.(*gomysql.MysqlGTIDSet)}, nil
}

func parseGTID(f flavor, text string) (gtid, error) {
	if f == mariaDBFlavor {
		g, err := gomysql.ParseMariadbGTID(text)
		if err != nil || text == "" {
			return gtid{}, fmt.Errorf("%q is not a GTID of MariaDB", text)
		}
		return gtid{domain: g.DomainID, server: g.ServerID, number: g.SequenceNumber}, nil
	}
	source, number, _ := strings.Cut(text, ":")
	id, err := uuid.Parse(source)
	n, bad := strconv.ParseUint(number, 10, 63)
	if err != nil || bad != nil {
		return gtid{}, fmt.Errorf("%q is not a GTID of MySQL", text)
	}
	return gtid{source: id, number: n}, nil
}

// mariaGTIDs holds the last transaction of each domain; those before it in the domain are in the set too.
type mariaGTIDs map[uint32]gtid

func (s mariaGTIDs) has(g gtid) bool { return s[g.domain].number >= g.number }

func (s mariaGTIDs) add(g gtid) { s[g.domain] = g }

func (s mariaGTIDs) within(other gtids) bool {
	for _, g := range s {
		if !other.has(g) {
			return false
		}
	}
	return true
}

func (s mariaGTIDs) meet(other gtids) gtids {
	both := mariaGTIDs{}
	for domain, g := range s {
		if h, there := other.(mariaGTIDs)[domain]; there {
			both[domain] = g
			if h.number < g.number {
				both[domain] = h
			}
		}
	}
	return both
}

func (s mariaGTIDs) join(other gtids) gtids {
	either := maps.Clone(s)
	for _, g := range other.(mariaGTIDs) {
		if !either.has(g) {
			either.add(g)
		}
	}
	return either
}

func (s mariaGTIDs) clone() gtids { return maps.Clone(s) }

func (s mariaGTIDs) String() string {
	var b []byte
	for i, domain := range slices.Sorted(maps.Keys(s)) {
		if i > 0 {
			b = append(b, ',')
		}
		g := s[domain]
		b = strconv.AppendUint(b, uint64(g.domain), 10)
		b = strconv.AppendUint(append(b, '-'), uint64(g.server), 10)
		b = strconv.AppendUint(append(b, '-'), g.number, 10)
	}
	return string(b)
}

func (s mariaGTIDs) sync() gomysql.GTIDSet {
	set := &gomysql.MariadbGTIDSet{Sets: map[uint32]map[uint32]*gomysql.MariadbGTID{}}
	for _, g := range s {
		set.Sets[g.domain] = map[uint32]*gomysql.MariadbGTID{g.server: {DomainID: g.domain, ServerID: g.server, SequenceNumber: g.number}}
	}
	return set
}

// mysqlGTIDs is a set of intervals for each server that committed transactions.
type mysqlGTIDs struct{ *gomysql.MysqlGTIDSet }

func (s mysqlGTIDs) has(g gtid) bool {
	set, there := s.Sets[g.source.String()]
	return there && set.Intervals.Contain(gomysql.IntervalSlice{{Start: int64(g.number), Stop: int64(g.number) + 1}})
}

func (s mysqlGTIDs) add(g gtid) { s.AddGTID(g.source, int64(g.number)) }

func (s mysqlGTIDs) within(other gtids) bool { return other.(mysqlGTIDs).Contain(s.MysqlGTIDSet) }

func (s mysqlGTIDs) meet(other gtids) gtids {
	rest := s.clone().(mysqlGTIDs)
	rest.Minus(*other.clone().(mysqlGTIDs).MysqlGTIDSet) // never an error
	both := s.clone().(mysqlGTIDs)
	both.Minus(*rest.MysqlGTIDSet)
	return both
}

func (s mysqlGTIDs) join(other gtids) gtids {
	either := s.clone().(mysqlGTIDs)
	either.Add(*other.clone().(mysqlGTIDs).MysqlGTIDSet) // never an error
	return either
}

func (s mysqlGTIDs) clone() gtids { return mysqlGTIDs{s.Clone().(*gomysql.MysqlGTIDSet)} }

func (s mysqlGTIDs) sync() gomysql.GTIDSet { return s.Clone() }
