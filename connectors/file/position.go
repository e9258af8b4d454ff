package file

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/shirecounty/shire/schemas/change"
)

// position is a place in a drop folder: the content of a file (hash), how it was called, and the last row that was
// published. It is JSON, so that a person can read it on the bus:
//
//	{"hash":"9f…","size":8123,"modified":1795400000000000000,"name":"cases-2026-11.csv","row":17,"end":true}
//
// End stands on the last change of a file, so that the bus alone tells which files were read to their end.
type position struct {
	Hash     string `json:"hash"`     // XXH3-128 of the content, hexadecimal
	Size     int64  `json:"size"`     // bytes
	Modified int64  `json:"modified"` // Unix nanoseconds
	Name     string `json:"name"`
	Row      int64  `json:"row"`               // ordinal of the data row in the file, from 1
	Deleted  int64  `json:"deleted,omitempty"` // ordinal among the deletions that follow the rows of a full file
	End      bool   `json:"end,omitempty"`
}

func parsePosition(p change.Position) (position, bool) {
	var at position
	if p == "" || json.Unmarshal([]byte(p), &at) != nil || at.Hash == "" {
		return position{}, false
	}
	return at, true
}

// positions writes the positions of one file's rows. They share blocks of memory: a million rows would otherwise
// be a million allocations for strings of which one in a thousand is kept.
type positions struct {
	prefix string
	block  strings.Builder
}

func newPositions(f *drop) *positions {
	head, _ := json.Marshal(position{Hash: f.hash, Size: f.size, Modified: f.modified, Name: f.name})
	return &positions{prefix: strings.TrimSuffix(string(head), "0}")}
}

const positionBlock = 64 << 10

func (p *positions) at(row, deleted int64, end bool) change.Position {
	if p.block.Cap()-p.block.Len() < len(p.prefix)+80 {
		p.block = strings.Builder{}
		p.block.Grow(positionBlock + len(p.prefix))
	}
	start := p.block.Len()
	p.block.WriteString(p.prefix)
	var digits [20]byte
	p.block.Write(strconv.AppendInt(digits[:0], row, 10))
	if deleted > 0 {
		p.block.WriteString(`,"deleted":`)
		p.block.Write(strconv.AppendInt(digits[:0], deleted, 10))
	}
	if end {
		p.block.WriteString(`,"end":true`)
	}
	p.block.WriteByte('}')
	return change.Position(p.block.String()[start:])
}
