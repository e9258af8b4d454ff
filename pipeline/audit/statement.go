package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// What a statement says.
const (
	Begin      = "begin"      // the stream goes on behind this entry, which stood in ClickHouse alone
	Checkpoint = "checkpoint" // the chain went to this entry
	Cut        = "cut"        // retention took everything through this entry away
)

// Statement is something about the chain that is signed.
type Statement struct {
	Kind      string     `json:"kind"`
	County    string     `json:"county"`
	Sequence  uint64     `json:"sequence"`
	Hash      string     `json:"hash"`            // of that entry
	Count     uint64     `json:"count,omitempty"` // of a checkpoint: how many entries the stream has had
	Time      time.Time  `json:"time"`
	Before    *time.Time `json:"before,omitempty"` // of a cut: what was older had to go
	Cut       *Place     `json:"cut,omitempty"`    // of the beginning: what retention had taken away until then
	Key       string     `json:"key"`              // id of the key
	Signature []byte     `json:"signature,omitempty"`
}

// message is what is signed.
func (s Statement) message() ([]byte, error) {
	s.Signature = nil
	text, err := json.Marshal(s)
	return append([]byte("shire audit statement 1\n"), text...), err
}

// signed signs a statement.
func (s Statement) signed(k *Key) (Statement, error) {
	s.Key, s.Time = k.ID, s.Time.UTC().Truncate(time.Microsecond)
	if s.Before != nil {
		at := s.Before.UTC().Truncate(time.Microsecond)
		s.Before = &at
	}
	message, err := s.message()
	if err == nil {
		s.Signature, err = k.sign(message)
	}
	if err != nil {
		return s, fmt.Errorf("a statement of the audit log cannot be signed: %w", err)
	}
	return s, nil
}

// ErrSignature says that a statement is not what its key signed.
var ErrSignature = errors.New("its signature is wrong")

// prove checks the signature.
func (s Statement) prove(keys Keys) error {
	verify, ok := keys[s.Key]
	if !ok {
		return fmt.Errorf("it is signed with the key %q, which is not among the trusted ones; give its public key with --key", s.Key)
	}
	message, err := s.message()
	if err != nil || !verify(message, s.Signature) {
		return ErrSignature
	}
	return nil
}

// parseStatement reads a statement and nothing beside it: what is not signed has no place in it.
func parseStatement(text []byte) (s Statement, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err = d.Decode(&s); err == nil && d.More() {
		err = errors.New("there is more behind it")
	}
	if err == nil && s.Kind != Begin && s.Kind != Checkpoint && s.Kind != Cut {
		err = fmt.Errorf("%q is not a kind of statement", s.Kind)
	}
	if err != nil {
		return Statement{}, fmt.Errorf("this is no statement of an audit log: %w", err)
	}
	return s, nil
}

// maxStatement bounds a line with a statement.
const maxStatement = 64 << 10

// ReadStatements reads statements, one a line: what Log.HandOut wrote.
func ReadStatements(r io.Reader) (out []Statement, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxStatement)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		s, err := parseStatement(lines.Bytes())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		out = append(out, s)
	}
	return out, lines.Err()
}

// handOut appends a statement to a file, which others keep.
func (s Statement) handOut(file string) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}
