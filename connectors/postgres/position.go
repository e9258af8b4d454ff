package postgres

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/shirecounty/shire/schemas/change"
)

// position is where a dataset stands: how far the stream was handed on, and how far its table was snapshotted. The newest
// message of a dataset says both (I2). It is JSON, so that a person can read it on the bus:
//
//	{"lsn":"0/16B3748","n":3,"snapshot":"2026-11","key":["4711"]}
//	{"lsn":"0/16B3748","n":4,"snapshot":"2026-11","done":true}
type position struct {
	LSN      lsn      `json:"lsn"`                // where the change's transaction was committed
	N        int64    `json:"n"`                  // the change's ordinal in it; 0 with a row of a snapshot: everything before LSN
	Epoch    int      `json:"epoch,omitempty"`    // raised when the slot was made anew: an LSN of an earlier epoch says nothing
	Round    int      `json:"round,omitempty"`    // raised when Shire itself has the table snapshotted again
	Snapshot string   `json:"snapshot,omitempty"` // label of the snapshot
	Key      []string `json:"key,omitempty"`      // of the last row that was snapshotted, in the order of the snapshot
	Done     bool     `json:"done,omitempty"`     // the snapshot is complete
}

func parsePosition(p change.Position) (position, bool) {
	var at position
	if p == "" || json.Unmarshal([]byte(p), &at) != nil {
		return position{}, false
	}
	return at, true
}

func (p position) place() place { return place{p.LSN, p.N} }

// place is a place in the stream: a commit and an ordinal in its transaction.
type place struct {
	lsn lsn
	n   int64
}

func (p place) after(q place) bool { return p.lsn > q.lsn || p.lsn == q.lsn && p.n > q.n }

// lsn is a place in the server's write-ahead log.
type lsn uint64

func (l lsn) append(b []byte) []byte {
	const digits = "0123456789ABCDEF"
	hex := func(b []byte, v uint32) []byte {
		var buf [8]byte
		i := len(buf)
		for {
			i--
			buf[i] = digits[v&15]
			if v >>= 4; v == 0 {
				return append(b, buf[i:]...)
			}
		}
	}
	return hex(append(hex(b, uint32(l>>32)), '/'), uint32(l))
}

func (l lsn) String() string { return string(l.append(nil)) }

// MarshalText writes an LSN as PostgreSQL does.
func (l lsn) MarshalText() ([]byte, error) { return l.append(nil), nil }

// UnmarshalText reads what MarshalText wrote.
func (l *lsn) UnmarshalText(text []byte) (err error) {
	*l, err = parseLSN(string(text))
	return err
}

func parseLSN(s string) (lsn, error) {
	high, low, ok := strings.Cut(s, "/")
	h, err1 := strconv.ParseUint(high, 16, 32)
	l, err2 := strconv.ParseUint(low, 16, 32)
	if !ok || err1 != nil || err2 != nil {
		return 0, fmt.Errorf("%q is not a log sequence number", s)
	}
	return lsn(h<<32 | l), nil
}

// block makes strings that share memory: a million rows would otherwise be a million allocations for strings of which
// few are kept for long.
type block struct{ b strings.Builder }

const blockSize = 64 << 10

// room makes sure that n more bytes fit without moving what was given out before.
func (k *block) room(n int) {
	if k.b.Cap()-k.b.Len() < n {
		k.b = strings.Builder{}
		k.b.Grow(max(n, blockSize))
	}
}

func (k *block) add(data []byte) string {
	k.room(len(data))
	start := k.b.Len()
	k.b.Write(data)
	return k.b.String()[start:]
}

// snapshotState is how far the snapshot of a table has come.
type snapshotState struct {
	epoch, round int
	label        string
	key          []string
	done         bool
}

// tail is the part of a position's JSON behind the ordinal.
func (s *snapshotState) tail(b []byte) []byte {
	if s.epoch > 0 {
		b = strconv.AppendInt(append(b, `,"epoch":`...), int64(s.epoch), 10)
	}
	if s.round > 0 {
		b = strconv.AppendInt(append(b, `,"round":`...), int64(s.round), 10)
	}
	if s.label != "" {
		b = appendQuoted(append(b, `,"snapshot":`...), s.label)
	}
	for i, part := range s.key {
		if i == 0 {
			b = append(b, `,"key":[`...)
		} else {
			b = append(b, ',')
		}
		b = appendQuoted(b, part)
	}
	if len(s.key) > 0 {
		b = append(b, ']')
	}
	if s.done {
		b = append(b, `,"done":true`...)
	}
	return append(b, '}')
}

func appendQuoted(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			quoted, _ := json.Marshal(s) // of a string: it cannot fail
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// write makes the position of a place; tail comes from snapshotState.tail.
func (k *block) write(at place, tail []byte) change.Position {
	var buf [48]byte
	head := append(at.lsn.append(append(buf[:0], `{"lsn":"`...)), `","n":`...)
	head = strconv.AppendInt(head, at.n, 10)
	k.room(len(head) + len(tail))
	start := k.b.Len()
	k.b.Write(head)
	k.b.Write(tail)
	return change.Position(k.b.String()[start:])
}
