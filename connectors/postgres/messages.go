package postgres

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// Messages of pgoutput, protocol version 1. They are read from strings, so that the values of a row are parts of the one
// string that the message is.

// tuple is a row: the text of each column, and whether it is there.
type tuple struct {
	values []string
	null   []bool
	absent []bool // unchanged and not sent: the value stands elsewhere in the table (TOAST)
	gaps   int    // number of absent values
}

func (t *tuple) reset() {
	t.values, t.null, t.absent, t.gaps = t.values[:0], t.null[:0], t.absent[:0], 0
}

func (t *tuple) add(value string, null, absent bool) {
	t.values, t.null, t.absent = append(t.values, value), append(t.null, null), append(t.absent, absent)
	if absent {
		t.gaps++
	}
}

func (t *tuple) copyFrom(o *tuple) {
	t.values, t.null, t.absent = append(t.values[:0], o.values...), append(t.null[:0], o.null...), append(t.absent[:0], o.absent...)
	t.gaps = o.gaps
}

// column is a column as the stream describes it.
type column struct {
	Name string `json:"name"`
	Type uint32 `json:"type"` // OID
	Mod  int32  `json:"mod"`
	key  bool   // part of the replica identity
}

type beginMessage struct {
	commit lsn
	at     time.Time
	xid    uint32
}

type relationMessage struct {
	oid          uint32
	schema, name string
	identity     byte // d, n, f, i as in pg_class.relreplident
	columns      []column
}

// reader takes a message apart. After a mistake everything it returns is zero.
type reader struct {
	rest string
	bad  bool
}

func (r *reader) take(n int) string {
	if n < 0 || n > len(r.rest) {
		r.bad, r.rest = true, ""
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *reader) byte() byte {
	if s := r.take(1); s != "" {
		return s[0]
	}
	return 0
}

func (r *reader) uint16() int {
	if s := r.take(2); s != "" {
		return int(s[0])<<8 | int(s[1])
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if s := r.take(4); s != "" {
		return uint32(s[0])<<24 | uint32(s[1])<<16 | uint32(s[2])<<8 | uint32(s[3])
	}
	return 0
}

func (r *reader) uint64() uint64 { return uint64(r.uint32())<<32 | uint64(r.uint32()) }

func (r *reader) text() string {
	end := strings.IndexByte(r.rest, 0)
	if end < 0 {
		r.take(-1)
		return ""
	}
	s := r.take(end)
	r.take(1)
	return strings.Clone(s) // names outlive the message
}

func (r *reader) err(what string) error {
	if r.bad {
		return fmt.Errorf("the server sent a %s message that ends too early", what)
	}
	return nil
}

func parseBegin(body string) (m beginMessage, err error) {
	r := reader{rest: body}
	m.commit, m.at, m.xid = lsn(r.uint64()), postgresTime(r.uint64()), r.uint32()
	return m, r.err("Begin")
}

// parseCommit returns the end of the transaction in the log.
func parseCommit(body string) (end lsn, err error) {
	r := reader{rest: body}
	r.take(1 + 8) // flags, start of the commit record
	end = lsn(r.uint64())
	return end, r.err("Commit")
}

func parseRelation(body string) (m relationMessage, err error) {
	r := reader{rest: body}
	m.oid, m.schema, m.name, m.identity = r.uint32(), r.text(), r.text(), r.byte()
	for range r.uint16() {
		flags := r.byte()
		m.columns = append(m.columns, column{Name: r.text(), Type: r.uint32(), Mod: int32(r.uint32()), key: flags&1 != 0})
		if r.bad {
			break
		}
	}
	return m, r.err("Relation")
}

// rowMessage is an Insert, Update or Delete. had says what the old row holds: 0 nothing, K the identity, O all of it.
type rowMessage struct {
	oid      uint32
	had      byte
	old, new tuple
}

func (m *rowMessage) parse(kind byte, body string) error {
	r := reader{rest: body}
	m.oid, m.had = r.uint32(), 0
	m.old.reset()
	m.new.reset()
	part := r.byte()
	if part == 'K' || part == 'O' {
		m.had = part
		r.tuple(&m.old)
		if kind == 'D' {
			return r.err("Delete")
		}
		part = r.byte()
	}
	if part != 'N' {
		r.take(-1)
	}
	r.tuple(&m.new)
	return r.err("row")
}

func (r *reader) tuple(t *tuple) {
	t.reset()
	for range r.uint16() {
		switch r.byte() {
		case 'n':
			t.add("", true, false)
		case 'u':
			t.add("", false, true)
		case 't':
			t.add(r.take(int(int32(r.uint32()))), false, false)
		default:
			r.take(-1) // binary was not asked for
		}
		if r.bad {
			return
		}
	}
}

func parseTruncate(body string) (oids []uint32, err error) {
	r := reader{rest: body}
	n := r.uint32()
	r.take(1) // cascade, restart identity
	for range n {
		oids = append(oids, r.uint32())
		if r.bad {
			break
		}
	}
	return oids, r.err("Truncate")
}

// postgresTime reads microseconds since 2000.
func postgresTime(micros uint64) time.Time {
	return time.UnixMicro(int64(micros) + postgresEpoch).UTC()
}

var postgresEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

// Copy messages of a replication connection.
const (
	copyData      = 'w'
	copyKeepalive = 'k'
)

// dataOf is the message in an XLogData message.
func dataOf(m []byte) ([]byte, error) {
	const head = 1 + 8 + 8 + 8 // kind, start, end of the log, time
	if len(m) <= head {
		return nil, fmt.Errorf("the server sent %d bytes of stream, which hold no message", len(m))
	}
	return m[head:], nil
}

// keepalive is the server's word that everything before end was sent.
func keepalive(m []byte) (end lsn, answer bool, err error) {
	if len(m) < 1+8+8+1 {
		return 0, false, fmt.Errorf("the server sent a keepalive of %d bytes", len(m))
	}
	return lsn(binary.BigEndian.Uint64(m[1:])), m[17] != 0, nil
}

// statusUpdate is a standby status update as one protocol message: everything before confirmed is safe (I1).
func statusUpdate(confirmed lsn, now time.Time, ask bool) []byte {
	b := []byte{'d', 0, 0, 0, 4 + 34, 'r'}
	for range 3 { // written, flushed, applied
		b = binary.BigEndian.AppendUint64(b, uint64(confirmed))
	}
	b = binary.BigEndian.AppendUint64(b, uint64(now.UnixMicro()-postgresEpoch))
	if ask {
		return append(b, 1)
	}
	return append(b, 0)
}
