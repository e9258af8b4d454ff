package simulate

import (
	"path/filepath"
)

// world is what every office of the simulated county lives in.
type world struct {
	*population
	opts   Options
	clock  *clock
	first  int32 // first simulated day
	last   int32 // last simulated day
	launch int32 // first day of the data link
	root   string
	tally  *tally
	shelf  *shelf
}

// end is the last second of the simulated time.
func (w *world) end() int64 { return int64(w.last+1)*dayLong - 1 }

// office writes the files of one department and its part of the truth. One goroutine owns it.
type office struct {
	*world
	name        string
	d           *dice
	style       style
	live        bool   // drops of the running county: no truth is kept
	records     *sheet // truth: which record is about whom
	quarantined *sheet // truth: which rows are bad
	held        *sheet // truth: which record holds which paper of whom
	identifiers *sheet // truth: what was written for a name, number or telephone that differs from the canonical form
	rows        int
}

// newOffice opens the office's part of the truth, unless it works in the running county.
func newOffice(w *world, name string, s style, live bool) (*office, error) {
	o := &office{world: w, name: name, d: newDice(w.opts.Seed), style: s, live: live}
	if live {
		return o, nil
	}
	var err error
	for _, part := range []struct {
		sheet **sheet
		name  string
	}{{&o.records, "records"}, {&o.held, "holdings"}, {&o.quarantined, "quarantined"}, {&o.identifiers, "identifiers"}} {
		if *part.sheet, err = createSheet(filepath.Join(w.root, "truth", part.name+"."+name+".part"), style{}, nil); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func (o *office) close() error {
	for _, s := range []*sheet{o.records, o.held, o.quarantined, o.identifiers} {
		if err := s.close(); err != nil {
			return err
		}
	}
	return nil
}

// dataset is one file series of an office.
type dataset struct {
	*office
	name   string
	header []string
	bad    badness
	sheet  *sheet
	file   string // the open file, relative to the county
}

// badness says how a row of a dataset can be spoilt so that its contract refuses it. Columns are counted from 0; -1
// when the way does not apply.
type badness struct {
	key       int    // made to differ from every other
	date      int    // gets a date that does not exist
	noSuch    string // such a date in the format of the dataset
	code      int    // gets a word that is in no code table
	later     int    // gets a time before the one in earlier: the beginning of that year
	earlier   int
	tooShort  bool // a row may break off in the middle
	appendKey string
}

// open names the next file of the dataset; it comes to be with its first row.
func (s *dataset) open(file string) {
	s.file = filepath.ToSlash(filepath.Join("departments", s.office.name, file))
}

func (s *dataset) close() error {
	if s.sheet == nil {
		return nil
	}
	err := s.sheet.close()
	s.sheet = nil
	return err
}

// row writes a good row, and now and then a bad one after it.
func (s *dataset) row(fields ...string) error {
	if s.sheet == nil {
		var err error
		if s.sheet, err = createSheet(filepath.Join(s.root, filepath.FromSlash(s.file)), s.style, s.header); err != nil {
			return err
		}
	}
	if err := s.sheet.row(fields...); err != nil {
		return err
	}
	s.rows++
	if s.opts.Defects.BadRow == 0 || s.bad.appendKey == "" {
		return nil
	}
	// The stream of a bad row is named by the good row before it, so that a row that is written again in a later
	// file may have one there as well, but under another key.
	d := s.d.at(ofBadRow, hashText(s.file), uint64(s.sheet.line))
	if !d.chance(s.opts.Defects.BadRow) {
		return nil
	}
	return s.badRow(d, fields)
}

func (s *dataset) badRow(d *dice, fields []string) error {
	b := append([]string(nil), fields...)
	b[s.bad.key] += s.bad.appendKey + number(s.sheet.line)
	key, kind := b[s.bad.key], ""
	switch ways := d.IntN(4); {
	case ways == 1 && s.bad.code >= 0:
		b[s.bad.code], kind = "市里某单位", "unknown_code"
	case ways == 2 && s.bad.later >= 0 && b[s.bad.later] != "":
		b[s.bad.later], kind = b[s.bad.earlier][:4]+"-01-01 00:00:00", "wrong_order"
	case ways == 3 && s.bad.tooShort:
		b, kind = b[:len(b)/2], "too_few_columns"
	default:
		b[s.bad.date], kind = s.bad.noSuch, "no_such_date"
	}
	if err := s.sheet.row(b...); err != nil {
		return err
	}
	s.rows++
	if s.live {
		return nil
	}
	return s.quarantined.row(s.file, number(s.sheet.line), s.name, key, kind)
}

// about notes in the truth that a record speaks of a person.
func (s *dataset) about(key, role string, i int32, m *mention) error {
	if s.live {
		return nil
	}
	if err := s.records.row(s.name, key, role, personID(i)); err != nil {
		return err
	}
	return s.writes(i, m)
}

// writes notes in the truth what a record writes for a person's number, name and telephone, where it is not the
// canonical form.
func (s *dataset) writes(i int32, m *mention) error {
	q := &s.people[i]
	for _, v := range []struct{ written, canonical string }{{m.number, q.number}, {m.phone, q.phone}, {m.name, q.name}} {
		if v.written == v.canonical || len(v.written) < 4 || placeholder(v.written) {
			continue
		}
		if err := s.identifiers.row(v.written); err != nil {
			return err
		}
	}
	return nil
}

// placeholder tells what stands for "not known" and so identifies nobody.
func placeholder(s string) bool {
	for i := 1; i < len(s); i++ {
		if s[i] != s[0] {
			return len(s) < 9 // 不详, 待补
		}
	}
	return true
}

// personID names a true person in the truth.
func personID(i int32) string { return "P" + number(int(i)+1) }

func organisationID(i int32) string { return "O" + number(int(i)+1) }
