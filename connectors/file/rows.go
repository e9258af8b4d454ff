package file

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
)

// table is the records of a file, one after the other.
type table interface {
	// next fills the record; io.EOF at the end.
	next(*record) error
	// expect says how many columns a record has to have.
	expect(columns int)
	// contentHash is that of the bytes that were read, once the last record has been.
	contentHash() string
	close()
}

// rows is a table with a header, seen through a contract.
type rows struct {
	table   table
	drop    *drop
	columns []string // as the source names them
	keys    *connectors.Keyer
	rec     record
	ordinal int64 // of the row read last, from 1
}

// open opens the file and reads its header.
func (r *run) open(ctx context.Context, f *drop, in *content) (*rows, error) {
	t, err := r.openTable(f, in)
	if err != nil {
		return nil, err
	}
	rs := &rows{table: t, drop: f}
	if err := rs.header(ctx, r); err != nil {
		t.close()
		return nil, err
	}
	return rs, nil
}

func (r *run) openTable(f *drop, in *content) (table, error) {
	path := filepath.Join(r.dir, f.name)
	workbook, err := in.isWorkbook(f.name)
	if err != nil {
		return nil, err
	}
	counted := func(n int) {
		n = min(n, int(f.size-f.counted)) // a file that is read twice counts once
		f.counted += int64(n)
		r.done.Add(int64(n))
	}
	if workbook {
		return openXLSX(path, f.pattern.Sheet, r.unpackDir())
	}
	e := f.pattern.Encoding
	if e == "" {
		if e, err = in.detectEncoding(); err != nil {
			return nil, err
		}
	}
	delimiter := f.pattern.Delimiter
	if delimiter == 0 {
		delimiter = detectDelimiter(in.sampleText(e), f.pattern.HeaderRow)
	}
	r.Log.Debug("reading file", "source", r.Source.Name, "dataset", f.dataset.Name, "file", f.name, "encoding", string(e), "delimiter", string(delimiter))
	return openCSV(path, e, delimiter, r.settings.MaxRecord, counted)
}

func (rs *rows) close() { rs.table.close() }

// header reads the column names and finds the key's columns among them. No message shows the row itself: where a
// file has no header, it is somebody's record (I7).
func (rs *rows) header(ctx context.Context, r *run) error {
	f := rs.drop
	for {
		err := rs.table.next(&rs.rec)
		if err == io.EOF {
			return refuse("empty_file", "the file has no header row; export it again")
		}
		if err != nil {
			return err
		}
		if rs.rec.line >= f.pattern.HeaderRow {
			break
		}
	}
	if rs.rec.problem != "" {
		return refuse("header_malformed", "the header in line %d cannot be read: %s; mend the file, or set header_row", rs.rec.line, rs.rec.problem)
	}
	raw := rs.rec.values
	rs.columns = make([]string, len(raw))
	at := map[string]int{}
	var repeated []string
	for i, name := range raw {
		name = strings.TrimSpace(strings.TrimPrefix(name, "\uFEFF"))
		if name == "" {
			name = fmt.Sprintf("(column %d)", i+1)
		}
		if first, twice := at[name]; twice {
			if claims(f.dataset, name) {
				return refuse("duplicate_header", "columns %d and %d have the same name %q, so it is not clear which is meant; rename one of them", first+1, i+1, name)
			}
			repeated = append(repeated, strconv.Itoa(i+1))
			name = fmt.Sprintf("%s (column %d)", name, i+1)
		}
		at[name] = i
		rs.columns[i] = name
	}
	rs.table.expect(len(rs.columns))
	var err error
	if rs.keys, err = connectors.NewKeyer(f.dataset, rs.columns); err != nil {
		return refuse("header_without_key", "%v; rename the column, add its name to headers: in the contract, or set header_row if the header does not stand in line %d", err, rs.rec.line)
	}
	_, unclaimed := f.dataset.Resolve(rs.columns)
	// The key was found, so this is a header and its names may be shown.
	if len(repeated) > 0 {
		r.tell(f.dataset.Name, f.name, "duplicate_header", fmt.Sprintf("column %s repeats a name; it was given its number as a name, since the contract does not use it", strings.Join(repeated, ", ")))
	}
	if len(unclaimed) > 0 {
		r.tell(f.dataset.Name, "", "unknown_column", fmt.Sprintf("no field of the contract claims the column %s (seen in %s); if it is a misspelt or new name, add it to headers: in the contract", strings.Join(unclaimed, ", "), f.name))
	}
	declared := make([]connectors.Column, len(rs.columns))
	for i, name := range rs.columns {
		declared[i].Name = name
	}
	return r.out.Shape(ctx, f.dataset.Name, declared)
}

func claims(d *contract.Dataset, column string) bool {
	return slices.ContainsFunc(d.Fields, func(f contract.Field) bool { return slices.Contains(f.SourceNames(), column) })
}

// next reads the next row into c, without op for a good one and without position. last tells that no row follows.
func (rs *rows) next(c *change.Change) (last bool, err error) {
	if err := rs.table.next(&rs.rec); err != nil {
		return false, err
	}
	rs.ordinal++
	*c = change.Change{Row: rs.rec.line}
	problem, raw := rs.rec.problem, rs.rec.raw
	if problem == "" {
		c.Key, problem = rs.keys.Key(rs.rec.values)
	}
	if problem == "" {
		c.Values = rs.rec.values
		return rs.rec.last, nil
	}
	if raw == "" {
		raw = rs.joined()
	}
	c.Op, c.Key, c.Problem, c.Raw = change.Malformed, "", problem, raw
	return rs.rec.last, nil
}

// likelyKey is the key that a malformed row seems to have, "" when none can be made out.
func (rs *rows) likelyKey() string {
	values := rs.rec.values
	if values == nil && rs.rec.raw != "" && len(rs.rec.raw) < rawLimit {
		if t, ok := rs.table.(*csvTable); ok {
			values = strings.Split(strings.ReplaceAll(rs.rec.raw, `"`, ""), string(t.lines.delimiter))
		}
	}
	for _, at := range rs.keys.Columns() {
		if at >= len(values) {
			return ""
		}
	}
	key, problem := rs.keys.Key(values)
	if problem != "" {
		return ""
	}
	return key
}

// joined is the text of a row that could be taken apart and still cannot be used.
func (rs *rows) joined() string {
	text := strings.Join(rs.rec.values, "\t")
	if len(text) > rawLimit {
		text = strings.ToValidUTF8(text[:rawLimit], "") + "…"
	}
	return text
}

// unchanged proves, when the last row has been read, that what was read is what survey saw. A file that was
// written to meanwhile must not be called read: its last row is withheld, and the file is read again as it now is.
func (rs *rows) unchanged() error {
	if rs.table.contentHash() != rs.drop.hash {
		return errChanged
	}
	return nil
}

var errChanged = refuse("changed_while_read", "the file changed while it was read; it is read again when it no longer changes. Write it under a name that ends in .tmp or .part and rename it when it is complete")
