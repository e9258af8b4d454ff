package file

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/shirecounty/shire/schemas/contract"
)

// stamp is what tells without reading that a file has not changed.
type stamp struct{ size, modified int64 }

// look is when a file was first seen with this stamp.
type look struct {
	stamp
	since time.Time
}

// drop is a file in the drop folder.
type drop struct {
	name string
	stamp
	dataset *contract.Dataset
	pattern pattern

	renewed bool   // a file of this name was read before, with other content
	hash    string // of the content, once it has been read
	again   string // the name of the earlier file with the same content
	counted int64  // bytes of it that Progress knows of
}

// list finds the files that belong to a dataset and are complete.
func (r *run) list(follow bool) (map[string][]*drop, error) {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, err
	}
	found := map[string][]*drop{}
	present := map[string]bool{}
	for _, e := range entries {
		name := e.Name()
		if temporary(name) {
			continue
		}
		info, err := os.Stat(filepath.Join(r.dir, name)) // follows a link
		if err != nil || !info.Mode().IsRegular() {
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				r.tell("", name, "unreadable", fmt.Sprintf("the file cannot be opened (%v); check its permissions", cause(err)))
			}
			continue
		}
		present[name] = true
		p, ok := r.patternOf(name)
		if !ok {
			r.tell("", name, "unmatched_file", "no pattern under with.files matches the file's name, so it is not read; rename it or add a pattern")
			continue
		}
		f := &drop{name: name, stamp: stamp{info.Size(), info.ModTime().UnixNano()}, dataset: r.Contracts[p.Dataset], pattern: p}
		if follow && !r.complete(f) {
			continue
		}
		found[p.Dataset] = append(found[p.Dataset], f)
	}
	for name := range r.looked {
		if !present[name] {
			delete(r.looked, name)
		}
	}
	for _, files := range found {
		slices.SortFunc(files, func(a, b *drop) int { return natural(a.name, b.name) })
	}
	return found, nil
}

func (r *run) patternOf(name string) (pattern, bool) {
	for _, p := range r.settings.Files {
		if ok, _ := filepath.Match(p.Match, name); ok {
			return p, true
		}
	}
	return pattern{}, false
}

// temporary names are those of files that a program is still writing, and hidden ones.
func temporary(name string) bool {
	lower := strings.ToLower(name)
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "~$") ||
		strings.HasSuffix(lower, ".tmp") || strings.HasSuffix(lower, ".part")
}

// complete tells whether the file has stayed as it is for the settle time.
func (r *run) complete(f *drop) bool {
	seen, ok := r.looked[f.name]
	if !ok || seen.stamp != f.stamp {
		r.looked[f.name] = look{f.stamp, r.now()}
		return false
	}
	return r.now().Sub(seen.since) >= r.settings.Settle
}

// pending leaves out what was read before and puts an interrupted file first.
func (r *run) pending(files []*drop, d *contract.Dataset) ([]*drop, error) {
	var out []*drop
	for _, f := range files {
		before, known, err := r.ledger.file(d.Name, f.name)
		if err != nil {
			return nil, err
		}
		if known && before.Size == f.size && before.Modified == f.modified {
			continue
		}
		if refused, ok := r.refused[f.name]; ok && refused == f.stamp {
			continue
		}
		f.renewed = known
		out = append(out, f)
	}
	if at, ok := r.resume[d.Name]; ok {
		r.interruptedFirst(out, at)
	}
	for _, f := range out {
		r.total.Add(f.size)
	}
	return out, nil
}

// overtaken refuses a full file that sorts before the one read last and was not written after it. Without this, a
// full file that was held, or whose reading changed nothing so that only a lost ledger knew of it, would take the
// dataset back to where it stood then.
func (r *run) overtaken(f *drop) error {
	if f.dataset.Delivery != contract.Snapshot || f.renewed || r.resume[f.dataset.Name].Hash == f.hash {
		return nil
	}
	d, err := r.ledger.dataset(f.dataset.Name)
	if err != nil {
		return err
	}
	last := d.Last
	if last.Hash != "" && natural(f.name, last.Name) < 0 && f.modified <= last.Modified {
		return refuse("superseded", "the full file %s, later by name and time, was read before this one, so this one was left out; drop it again under a later name to have it read", last.Name)
	}
	return nil
}

// interruptedFirst moves the interrupted file to the front: the position on the bus is that of one file only, and
// reading another one first would forget it. A file that was renamed meanwhile is found by its content.
func (r *run) interruptedFirst(files []*drop, at position) {
	for _, byName := range []bool{true, false} {
		for i, f := range files {
			if f.size != at.Size || (f.name == at.Name) != byName {
				continue
			}
			if in, err := survey(filepath.Join(r.dir, f.name)); err == nil && in.hash == at.Hash {
				copy(files[1:i+1], files[:i])
				files[0] = f
				return
			}
		}
	}
}

// natural compares names with the numbers in them taken as numbers; names that differ only in leading zeros are
// told apart by their text.
func natural(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		if isDigit(x[0]) && isDigit(y[0]) {
			dx, dy := digits(x), digits(y)
			x, y = x[len(dx):], y[len(dy):]
			dx, dy = strings.TrimLeft(dx, "0"), strings.TrimLeft(dy, "0")
			if c := cmp.Or(cmp.Compare(len(dx), len(dy)), cmp.Compare(dx, dy)); c != 0 {
				return c
			}
			continue
		}
		if x[0] != y[0] {
			return cmp.Compare(x[0], y[0])
		}
		x, y = x[1:], y[1:]
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(a, b))
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

func digits(s string) string {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return s[:n]
}
