package mysql

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/shirecounty/shire/schemas/change"
)

// position is where a dataset stands: how far the binlog was handed on, and how far its table was snapshotted. The newest
// message of a dataset says both (I2). It is JSON, so that a person can read it on the bus:
//
//	{"at":{"before":"0-1-55","in":"0-1-56","time":1795400000},"label":"2026-11","done":true,"n":3}
//
// is the third change of the dataset in the transaction 0-1-56, and
//
//	{"at":{"before":"0-1-55","in":"0-1-56","time":1795400000},"label":"2026-11","n":-1,"key":["4711"]}
//
// the row 4711 of its snapshot, said after all of that transaction.
type position struct {
	At    mark     `json:"at"`
	Safe  *mark    `json:"safe,omitempty"`  // everything of the source up to here was safe when this was said
	Label string   `json:"label,omitempty"` // of the snapshot
	Round int      `json:"round,omitempty"` // raised when Shire itself has the table snapshotted again
	Sweep bool     `json:"sweep,omitempty"` // all rows were said; what the table has no longer is being deleted
	Done  bool     `json:"done,omitempty"`  // the snapshot is complete
	N     int64    `json:"n"`               // changes of the dataset in At.In that were handed on; allOf: all
	Key   []string `json:"key,omitempty"`   // of the last row that was snapshotted, as literals of the keyset
}

// allOf stands for all changes of a transaction.
const allOf = -1

// mark is a place in the binlog that outlives its files: a transaction by its GTID, and the GTIDs before it. Reading goes
// on before the transaction, so that it comes again and proves by its time that this is still the same history.
type mark struct {
	Before  string     `json:"before"`
	In      string     `json:"in,omitempty"`      // "" where reading began: right behind Before
	Time    int64      `json:"time,omitempty"`    // of In: Unix seconds
	Log     string     `json:"log,omitempty"`     // without In: the log file in which reading began
	Created int64      `json:"created,omitempty"` // of Log: Unix seconds
	Pending []prepared `json:"pending,omitempty"` // XA transactions that were prepared and neither committed nor rolled back
}

// prepared is an XA transaction that waits for its end; its rows stand in the binlog where it was prepared.
type prepared struct {
	XID    string `json:"xid"`
	Before string `json:"before"`
	GTID   string `json:"gtid"`
}

func parsePosition(p change.Position) (position, bool) {
	var at position
	if p == "" || json.Unmarshal([]byte(p), &at) != nil {
		return position{}, false
	}
	return at, true
}

// positions writes the positions of a dataset's changes. All but the last words is the same for many of them, and they
// share blocks of memory: of a thousand positions one is kept.
type positions struct {
	prefix string // "" when it has to be made anew
	block  strings.Builder
}

const positionBlock = 64 << 10

// restart is called when anything but N and Key changes.
func (p *positions) restart() { p.prefix = "" }

func (p *positions) at(base func() position, n int64, key []string) change.Position {
	if p.prefix == "" {
		text, _ := json.Marshal(base()) // with n 0 and no key, which come last
		p.prefix = strings.TrimSuffix(string(text), "0}")
	}
	room := len(p.prefix) + 32
	for _, part := range key {
		room += len(part) + 3
	}
	if p.block.Cap()-p.block.Len() < room {
		p.block = strings.Builder{}
		p.block.Grow(max(positionBlock, room))
	}
	start := p.block.Len()
	p.block.WriteString(p.prefix)
	var digits [20]byte
	p.block.Write(strconv.AppendInt(digits[:0], n, 10))
	for i, part := range key { // a literal is digits, letters and signs: nothing that JSON escapes
		p.block.WriteString([]string{`,"key":["`, `","`}[min(i, 1)])
		p.block.WriteString(part)
	}
	if len(key) > 0 {
		p.block.WriteString(`"]`)
	}
	p.block.WriteByte('}')
	return change.Position(p.block.String()[start:])
}
