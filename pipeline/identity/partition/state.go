package partition

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/pipeline/identity/store"
	"github.com/shirecounty/shire/schemas/identity"
)

// EvidenceVersion is the version of what package evidence prepares and compares. A state whose keys and edges come from
// another is made anew from its records' words; a test notices when preparing changed and this did not.
const EvidenceVersion = 1

// state is the store of a partition. A new model gets a new one: the folder of the partition holds them side by side
// while the new one is made, and the file "current" names the one that counts.
type state struct {
	*store.Store
	name string
	path string
}

// meta is what a state says of itself.
type meta struct {
	Next     uint32 `json:"next"`  // number of the next record
	Model    string `json:"model"` // file of the model in use; empty before the first
	Evidence int    `json:"evidence"`
}

func (m meta) encode() []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // of two numbers and a text
	}
	return b
}

func (s *state) meta() (m meta, err error) {
	if text := s.Meta(); len(text) > 0 {
		if err := json.Unmarshal(text, &m); err != nil {
			return m, fmt.Errorf("the state of identities in %s is damaged: %w; remove the folder, and it is made again from the stream", s.path, err)
		}
		return m, nil
	}
	return meta{Next: 1, Evidence: EvidenceVersion}, nil
}

// What is in memory becomes a run while a commit waits: a little at a time, so that no change waits long. A range of a first
// load is a run of its own.
const (
	flush  = 1 << 20
	direct = 4 << 20
)

func openState(dir, name string, o Options) (*state, error) {
	path := filepath.Join(dir, name)
	s, err := store.Open(path, tables, store.Options{Flush: flush, Direct: direct, NoSync: o.NoSync, ReadOnly: o.ReadOnly, Log: o.Log})
	if err != nil {
		return nil, err
	}
	return &state{Store: s, name: name, path: path}, nil
}

// discard removes a state that no longer counts.
func (s *state) discard() error {
	if err := s.Close(); err != nil {
		return err
	}
	return os.RemoveAll(s.path)
}

const firstState = "state-1"

// Open opens the partition in a folder, and makes it when there is none.
func Open(o Options) (*Partition, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	p := &Partition{dir: o.Dir, hasher: o.Hasher, log: o.Log, opt: o}
	if !o.ReadOnly {
		if err := os.MkdirAll(o.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("the folder of identities cannot be made: %w", err)
		}
	}
	name, err := current(o.Dir)
	if err != nil {
		return nil, err
	}
	if !o.ReadOnly {
		if err := p.sweep(name); err != nil {
			return nil, err
		}
	}
	if p.state, err = openState(o.Dir, name, o); err != nil {
		return nil, err
	}
	if err := p.remember(); err != nil {
		p.state.Close()
		return nil, err
	}
	return p, nil
}

// remember reads what the state says of itself: model and verdicts.
func (p *Partition) remember() error {
	m, err := p.state.meta()
	if err != nil {
		return err
	}
	if m.Model != "" {
		spec, err := identity.Load(filepath.Join(p.dir, m.Model))
		if err != nil {
			return fmt.Errorf("the model that the identities were worked out with cannot be read: %w; remove %s, and it is made again from the stream", err, p.dir)
		}
		if p.model, err = match.Compile(spec); err != nil {
			return fmt.Errorf("the model that the identities were worked out with is not understood by this version: %w; choose another with shire identity use", err)
		}
		p.stale = m.Evidence != EvidenceVersion
	}
	view := p.state.View()
	defer view.Release()
	p.verdicts = readLedger(view)
	return nil
}

// Close ends the use of the folder. What was not kept is forgotten.
func (p *Partition) Close() error {
	p.Drop()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state.Close()
}

// current names the state that counts.
func current(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "current"))
	if errors.Is(err, fs.ErrNotExist) {
		return firstState, nil
	}
	if err != nil {
		return "", fmt.Errorf("the folder of identities cannot be read: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// point makes a state the one that counts, all at once.
func point(dir, name string) error { return replace(filepath.Join(dir, "current"), []byte(name+"\n")) }

// replace writes a file so that after a crash it is the old one or the new one.
func replace(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer d.Close()
	return d.Sync()
}

// sweep removes states that were begun and never finished, and files of an interrupted replace.
func (p *Partition) sweep(current string) error {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return fmt.Errorf("the folder of identities cannot be read: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "state-") && e.Name() != current || strings.HasPrefix(e.Name(), ".new-") {
			if err := os.RemoveAll(filepath.Join(p.dir, e.Name())); err != nil {
				return fmt.Errorf("what is left of an interrupted run cannot be removed: %w", err)
			}
		}
	}
	return nil
}

// keepModel writes a model beside the state, once.
func (p *Partition) keepModel(m *match.Model) (name string, err error) {
	spec := m.Spec()
	name = "model-" + spec.Hash + ".yaml"
	path := filepath.Join(p.dir, name)
	if _, err := os.Stat(path); err == nil {
		return name, nil
	}
	return name, replace(path, spec.Source())
}
