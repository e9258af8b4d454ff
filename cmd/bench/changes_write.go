package main

import (
	"encoding/csv"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
)

// Places of the columns of simulate.PersonsHeader.
const (
	atRID = iota
	atSource
	atName
	atSex
	atBirth
	atNumber
	atPhone
	atAddress
	atEntity
	personColumns
)

// mixture is how many of a hundred changes are of each kind.
var mixture = []struct {
	kind  changeKind
	share int
}{{anotherRecord, 40}, {correction, 30}, {repetition, 15}, {deletion, 10}, {newPerson, 5}}

type changeKind int

const (
	anotherRecord changeKind = iota // a new record of somebody who is known
	correction                      // of one field
	repetition                      // the same once more
	deletion
	newPerson // the first record of somebody
)

func (k changeKind) String() string {
	return [...]string{"new records of people who are known", "corrections of one field", "repetitions without news", "deletions", "records of new people"}[k]
}

// What a row of the file of changes begins with.
const (
	put  = "put"
	drop = "drop"
)

// extraPeople is how many more records than are loaded the file must have for n changes: two in five are records of
// people who are known, one in twenty of people who are not, and only about one record in twelve is of such a person.
func extraPeople(n int) int { return n * 4 / 5 }

// standing is what is there after all changes.
type standing struct{ Records, People int }

// townspeople are the records of a file, as the changes so far left them.
type townspeople struct {
	r      *rand.Rand
	rows   [][]string
	alive  []int            // rows that are there, in no order
	of     map[string][]int // the rows of a person, deleted ones too
	seen   map[string]bool  // people of whom a record came
	known  []int            // rows still to come, of people who are known
	others []int            // and of people who are not
}

// writeChanges writes n changes to follow the first loaded rows of a file, and says what they come to. The same rows
// give the same changes.
func writeChanges(w io.Writer, rows [][]string, loaded, n int) (standing, error) {
	t := &townspeople{r: rand.New(rand.NewPCG(3, 4)), rows: rows, of: map[string][]int{}, seen: map[string]bool{}}
	for i := range loaded {
		t.arrive(i)
	}
	for i := loaded; i < len(rows); i++ {
		if t.seen[rows[i][atEntity]] {
			t.known = append(t.known, i)
		} else {
			t.others = append(t.others, i)
		}
	}
	out := csv.NewWriter(w)
	for range n {
		op, row := t.change(t.draw())
		if err := out.Write(append([]string{op}, rows[row]...)); err != nil {
			return standing{}, err
		}
	}
	out.Flush()
	left := map[string]bool{}
	for _, i := range t.alive {
		left[rows[i][atEntity]] = true
	}
	return standing{len(t.alive), len(left)}, out.Error()
}

func (t *townspeople) draw() changeKind {
	k := t.r.IntN(100)
	for _, m := range mixture {
		if k -= m.share; k < 0 {
			return m.kind
		}
	}
	return repetition
}

func (t *townspeople) arrive(row int) {
	entity := t.rows[row][atEntity]
	t.alive = append(t.alive, row)
	t.of[entity] = append(t.of[entity], row)
	t.seen[entity] = true
}

// change makes a change of a kind, or a repetition when there is nothing left for that kind.
func (t *townspeople) change(kind changeKind) (op string, row int) {
	at := t.r.IntN(len(t.alive))
	row = t.alive[at]
	switch {
	case kind == anotherRecord && len(t.known) > 0:
		row, t.known = t.known[0], t.known[1:]
		t.arrive(row)
	case kind == newPerson:
		for len(t.others) > 0 {
			next := t.others[0]
			t.others = t.others[1:]
			if !t.seen[t.rows[next][atEntity]] {
				t.arrive(next)
				return put, next
			}
			t.known = append(t.known, next)
		}
	case kind == correction:
		t.correct(row)
	case kind == deletion && len(t.alive) > 1:
		t.alive[at] = t.alive[len(t.alive)-1]
		t.alive = t.alive[:len(t.alive)-1]
		return drop, row
	}
	return put, row
}

// correct changes one field: half of the time to what another record of the same person says, else the telephone to a
// new number.
func (t *townspeople) correct(row int) {
	now := t.rows[row]
	if family := t.of[now[atEntity]]; t.r.IntN(2) == 0 {
		other := t.rows[family[t.r.IntN(len(family))]]
		fields := []int{atName, atBirth, atNumber, atPhone, atAddress}
		for _, k := range t.r.Perm(len(fields)) {
			if f := fields[k]; other[f] != now[f] {
				now[f] = other[f]
				return
			}
		}
	}
	now[atPhone] = "1" + strconv.FormatInt(3_000_000_000+t.r.Int64N(6_999_999_999), 10)
}

// writeChangesFor writes the changes that follow the first loaded records of a file.
func writeChangesFor(people, changes string, loaded, n int) (s standing, err error) {
	in, err := os.Open(people)
	if err != nil {
		return s, err
	}
	defer in.Close()
	rows, err := csv.NewReader(in).ReadAll()
	if err != nil {
		return s, err
	}
	out, err := os.Create(changes)
	if err != nil {
		return s, err
	}
	s, err = writeChanges(out, rows[1:], loaded, n)
	return s, errors.Join(err, out.Close())
}
