package batch

import (
	"strings"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// Input is the records of a file, by field. Each field keeps a text once, however many records have it: that is little
// memory, and each text needs to be prepared once. The zero Input is ready to add to; one goroutine adds.
type Input struct {
	Same      [][2]int32 // pairs of records that a person said are one party
	Different [][2]int32 // and pairs that are not

	columns []*column
	records int
	busy    sync.WaitGroup // columns that take in a page
}

// column is the texts of one field. Text 0 is the empty one, that of a record without a value.
type column struct {
	of    []uint32 // by record: the number of its text
	text  strings.Builder
	ends  []int             // by number: where the text ends in text
	known map[uint64]uint32 // hash of a text -> its number

	next, taken page // what is added, and what is taken in meanwhile
}

// page is the values of some records, one after the other. Looking texts up waits for memory, so that columns do it side
// by side while more is added.
type page struct {
	text []byte
	ends []int
}

// pageRecords and pageBytes are when a page is full.
const (
	pageRecords = 1 << 12
	pageBytes   = 1 << 20
)

// Add adds a record: its values by the model's fields and, where the model tells sources apart, its source; "" where it has
// none. Fields beyond those of the first record are
// left out.
func (in *Input) Add(values []string) {
	if in.records == 0 {
		in.columns = nil
		for range values {
			in.columns = append(in.columns, &column{ends: []int{0}})
		}
	}
	full := false
	for f, c := range in.columns {
		if f < len(values) {
			c.next.text = append(c.next.text, values[f]...)
		}
		c.next.ends = append(c.next.ends, len(c.next.text))
		full = full || len(c.next.ends) >= pageRecords || len(c.next.text) >= pageBytes
	}
	in.records++
	if full {
		in.turn()
	}
}

// turn has the columns take in the page that was added to.
func (in *Input) turn() {
	in.busy.Wait()
	for _, c := range in.columns {
		c.next, c.taken = c.taken, c.next
		in.busy.Go(c.take)
	}
}

func (c *column) take() {
	from := 0
	for _, end := range c.taken.ends {
		c.of = append(c.of, c.number(c.taken.text[from:end]))
		from = end
	}
	c.taken.text, c.taken.ends = c.taken.text[:0], c.taken.ends[:0]
}

func (c *column) number(s []byte) uint32 {
	if len(s) == 0 {
		return 0
	}
	if c.known == nil {
		c.known = map[uint64]uint32{}
	}
	h := xxhash.Sum64(s)
	n, ok := c.known[h]
	if ok && c.at(n) == string(s) {
		return n
	}
	n = uint32(len(c.ends))
	c.text.Write(s)
	c.ends = append(c.ends, c.text.Len())
	if !ok { // of two texts with one hash the second is kept as often as it comes
		c.known[h] = n
	}
	return n
}

func (c *column) at(number uint32) string {
	if number == 0 {
		return ""
	}
	return c.text.String()[c.ends[number-1]:c.ends[number]]
}

// Complete ends adding, before anything is read, and gives back what only adding needs. More may be added after it,
// until it is called again.
func (in *Input) Complete() {
	in.turn()
	in.busy.Wait()
	for _, c := range in.columns {
		c.known, c.next, c.taken = nil, page{}, page{}
	}
}

// Len is the number of records.
func (in *Input) Len() int { return in.records }

// Values appends the values of a record of a complete input to dst.
func (in *Input) Values(record int, dst []string) []string {
	for _, c := range in.columns {
		dst = append(dst, c.at(c.of[record]))
	}
	return dst
}
