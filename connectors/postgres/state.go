package postgres

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// state is what a source remembers about its slot, so that a slot which is not the one it left is noticed. Where tables
// stand is not in it: that travels with the data (I2).
type state struct {
	System      string                 `json:"system"`   // the server's own identifier
	Timeline    int                    `json:"timeline"` // of its log
	Slot        string                 `json:"slot"`
	Confirmed   lsn                    `json:"confirmed"`             // the most that the server may have been told is safe
	Publication int64                  `json:"publication,omitempty"` // its number
	Epoch       int                    `json:"epoch"`
	Gap         string                 `json:"gap,omitempty"` // changes of all tables were lost, and nothing was done about it yet
	Tables      map[string]*tableState `json:"tables"`        // by dataset

	path string
	was  string // what the file holds
}

type tableState struct {
	Columns []column `json:"columns,omitempty"` // as the stream had them last
	Round   int      `json:"round,omitempty"`
	Entry   int64    `json:"entry,omitempty"` // in the publication
	Gap     string   `json:"gap,omitempty"`   // changes were lost, and nothing was done about it yet
	Told    string   `json:"told,omitempty"`  // changes were lost, and what the table holds was read again since
}

const stateFile = "slot.json"

// openState reads the state; known is false when there is none.
func openState(dir string) (s *state, known bool, err error) {
	s = &state{Tables: map[string]*tableState{}, path: filepath.Join(dir, stateFile)}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, false, err
	}
	data, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if err := json.Unmarshal(data, s); err != nil {
		// A damaged file is like a lost one: the positions on the bus are then what the slot is compared with.
		return &state{Tables: map[string]*tableState{}, path: s.path}, false, nil
	}
	if s.Tables == nil {
		s.Tables = map[string]*tableState{}
	}
	s.was = string(data)
	return s, s.System != "", nil
}

func (s *state) table(dataset string) *tableState {
	if s.Tables[dataset] == nil {
		s.Tables[dataset] = &tableState{}
	}
	return s.Tables[dataset]
}

// save writes the state so that it survives a power failure, before the server is told what it says.
func (s *state) save() error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if string(data) == s.was {
		return nil
	}
	if err := replaceFile(s.path, data); err != nil {
		return fmt.Errorf("remember where the slot stands: %w", err)
	}
	s.was = string(data)
	return nil
}

// replaceFile leaves either the old content or the new.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
