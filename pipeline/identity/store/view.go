package store

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/tidwall/btree"
)

// version is what one commit left: nothing in it changes any more.
type version struct {
	tables   []Spec
	runs     []*run // oldest first
	memory   []*btree.BTreeG[[]byte]
	position uint64
	meta     []byte
	journal  int64 // bytes
	users    int   // guarded by Store.mu
}

// from gives cursors at the first rows that are not below the prefix, the newest source first.
func (v *version) from(table int, p *span) []*cursor {
	cs := v.cursors(table)
	at := make([]*cursor, len(cs))
	for i := range cs {
		cs[i].first(p)
		at[i] = &cs[i]
	}
	return at
}

// publish makes a version the current one.
func (s *Store) publish(v *version) {
	s.mu.Lock()
	for _, r := range v.runs {
		r.users++
	}
	v.users = 1
	last := s.current
	s.current = v
	s.mu.Unlock()
	if last != nil {
		if err := s.release(last); err != nil {
			s.opt.Log.Warn("memory of the identity state cannot be given back", "error", err)
		}
	}
}

// release lets go of a version, and of the runs that only it used.
func (s *Store) release(v *version) error {
	var idle []*run
	s.mu.Lock()
	if v.users--; v.users == 0 {
		for _, r := range v.runs {
			if r.users--; r.users == 0 {
				idle = append(idle, r)
			}
		}
	}
	s.mu.Unlock()
	var err error
	for _, r := range idle {
		err = errors.Join(err, r.unmap())
	}
	return err
}

// View is the state as one commit left it, however many follow. Many goroutines may read it at once; what it gives out
// must not be changed, and not be touched after Release.
type View struct {
	*version
	store *Store
}

// View gives the state as the last commit left it. It costs next to nothing, but keeps files that were replaced from
// going away: it must be released. After Close it panics.
func (s *Store) View() *View {
	v, ok := s.tryView()
	if !ok {
		panic("store: a view of a store that is closed")
	}
	return v
}

// tryView is View, unless the store is closed.
func (s *Store) tryView() (v *View, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false
	}
	s.current.users++
	return &View{version: s.current, store: s}, true
}

// Release ends the view, and with it everything that it gave out. Doing so again does nothing.
func (v *View) Release() {
	if v.version == nil {
		return
	}
	if err := v.store.release(v.version); err != nil {
		v.store.opt.Log.Warn("memory of the identity state cannot be given back", "error", err)
	}
	v.version = nil
}

// Get finds one key. What it gives is good until Release.
func (v *View) Get(table int, key []byte) (value, blob []byte, ok bool) {
	t := &v.tables[table]
	if len(key) != t.Key {
		panic(fmt.Sprintf("store: a key of %d bytes does not fit the table %s", len(key), t.Name))
	}
	flag := t.flag()
	if row, ok := v.memory[table].Get(key); ok {
		if row[flag] == dead {
			return nil, nil, false
		}
		return row[t.Key:flag:flag], inlineBlob(row, flag), true
	}
	p := newSpan(key)
	for i := len(v.runs) - 1; i >= 0; i-- {
		s := &v.runs[i].sections[table]
		row, ok := s.get(&p)
		if !ok {
			continue
		}
		if row[flag] == dead {
			return nil, nil, false
		}
		return row[t.Key:flag:flag], t.blobAt(row, s.blobs), true
	}
	return nil, nil, false
}

// Scan gives all entries from the first key that is not below from, in the order of the keys, until fn gives false.
// From may be only the beginning of a key; nil begins at the start.
func (v *View) Scan(table int, from []byte, fn func(key, value, blob []byte) bool) {
	start, everything := newSpan(from[:min(len(from), v.tables[table].Key)]), newSpan(nil)
	merge(v.from(table, &start), &everything, living(fn))
}

// Prefix gives all entries whose keys begin with the prefix, in the order of the keys, until fn gives false.
func (v *View) Prefix(table int, prefix []byte, fn func(key, value, blob []byte) bool) {
	if len(prefix) > v.tables[table].Key {
		return
	}
	p := newSpan(prefix)
	merge(v.from(table, &p), &p, living(fn))
}

// living leaves out tombstones.
func living(fn func(key, value, blob []byte) bool) func(*cursor) bool {
	return func(c *cursor) bool { return c.dead() || fn(c.key(), c.value(), c.blob()) }
}

// Join finds, for each of the prefixes, all entries whose keys begin with it, in the order of prefixes and keys. The
// prefixes lie one behind the other, width bytes each, ascending and distinct; i is which one it is. It is much cheaper
// than as many calls of Prefix: it passes over each source once, in steps as wide as the prefixes are apart. Prefixes
// that do not ascend are a mistake of the program, and panic: entries would be missed.
func (v *View) Join(table int, prefixes []byte, width int, fn func(i int, key, value, blob []byte)) {
	if width < 1 || width > v.tables[table].Key || len(prefixes)%width != 0 {
		panic(fmt.Sprintf("store: %d bytes are not prefixes of %d bytes for the table %s",
			len(prefixes), width, v.tables[table].Name))
	}
	if len(prefixes) == 0 {
		return
	}
	p := newSpan(prefixes[:width])
	all := v.from(table, &p)
	at := 0
	give := living(func(key, value, blob []byte) bool {
		fn(at, key, value, blob)
		return true
	})
	hits := make([]*cursor, 0, len(all))
	for {
		hits = hits[:0]
		for _, c := range all {
			if c.forward(&p); c.under(&p) {
				hits = append(hits, c)
			}
		}
		if len(hits) > 0 {
			merge(hits, &p, give)
		}
		if at++; at*width == len(prefixes) {
			return
		}
		next := prefixes[at*width:][:width]
		if bytes.Compare(p.prefix, next) >= 0 {
			panic("store: the prefixes of a join do not ascend")
		}
		p = newSpan(next)
	}
}
