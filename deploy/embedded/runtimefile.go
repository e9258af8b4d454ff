//go:build unix

package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Runtime tells other processes of the same user where the process that runs on a data directory listens. Passwords are
// not in it: they come from [LoadOrCreateSecrets].
type Runtime struct {
	PID              int               `json:"pid"`
	Started          time.Time         `json:"started"`
	Layout           string            `json:"layout"`                      // Options.Version
	NATSURL          string            `json:"nats_url,omitempty"`          // empty when external
	ClickHouseNative string            `json:"clickhouse_native,omitempty"` // host:port; empty when external
	ClickHouseHTTP   string            `json:"clickhouse_http,omitempty"`   // host:port; empty when external
	Extra            map[string]string `json:"extra,omitempty"`             // Options.Extra and SetExtra: whatever the program adds
}

// ReadRuntime returns what the process that runs on dir wrote about itself. If none runs, an error that is
// [ErrNotRunning]; a file that a killed process left behind is not believed.
func ReadRuntime(dir string) (*Runtime, error) {
	path := filepath.Join(dir, runtimeFile)
	notRunning := &EnvError{
		What:  "no process runs on this data directory",
		Where: dir,
		Do:    "Start one with `shire up`, or name another directory with --data",
		Err:   ErrNotRunning,
	}
	held, err := lockHeld(dir)
	if err != nil {
		return nil, fmt.Errorf("ask for the lock of the data directory: %w", err)
	}
	if !held {
		return nil, notRunning
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		notRunning.What = "the process on this data directory is starting or stopping"
		notRunning.Do = "Try again in a few seconds"
		return nil, notRunning
	}
	if err != nil {
		return nil, fmt.Errorf("read the runtime file: %w", err)
	}
	var found Runtime
	if err := json.Unmarshal(content, &found); err != nil {
		return nil, fmt.Errorf("read the runtime file %s: %w", path, err)
	}
	return &found, nil
}

func writeRuntime(dir string, now *Runtime) error {
	content, err := json.MarshalIndent(now, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the runtime file: %w", err)
	}
	return writeFileAtomically(filepath.Join(dir, runtimeFile), append(content, '\n'))
}

func removeRuntime(dir string) error {
	err := os.Remove(filepath.Join(dir, runtimeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
