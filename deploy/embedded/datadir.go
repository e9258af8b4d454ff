//go:build unix

package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Names inside a data directory.
const (
	lockFile       = "LOCK"            // flock'ed by the process that runs on the directory; holds its pid
	layoutFile     = "layout"          // semantic version of the data layout
	runtimeFile    = "runtime.json"    // addresses, while a process runs
	natsDir        = "nats"            // JetStream's file store
	clickhouseDir  = "clickhouse"      // ClickHouse's own data
	clickhouseConf = "clickhouse-conf" // generated at every start
	logDir         = "log"
)

// SecretsFile is the data directory's file of generated passwords.
const SecretsFile = "secrets.json"

// makeWritable creates dir (0700) if need be and proves by a probe file that this process can write to it.
func makeWritable(dir string) error {
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		var probe *os.File
		if probe, err = os.CreateTemp(dir, ".probe-*"); err == nil {
			err = errors.Join(probe.Close(), os.Remove(probe.Name()))
		}
	}
	if err == nil {
		return nil
	}
	return &EnvError{
		What:  fmt.Sprintf("the data directory cannot be written to: %v", cause(err)),
		Where: dir,
		Do:    "Choose another directory with --data, or give this user write access to it",
		Err:   fmt.Errorf("%w: %w", ErrNotWritable, err),
	}
}

// cause strips the operation and path that the sentence names already.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// lockDir takes the directory's lock. The lock ends with the file's closing or the process's death,
// by whatever means; child processes do not inherit it, as Go opens files close-on-exec.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockFile)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock file %s: %w", path, err)
	}
	if err := flockSoon(file); err != nil {
		defer file.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		holder := "another process"
		if text, err := os.ReadFile(path); err == nil && len(text) > 0 {
			holder = "process " + strings.TrimSpace(string(text))
		}
		return nil, &EnvError{
			What:  holder + " already runs on this data directory",
			Where: dir,
			Do:    "Stop it first, or choose another directory with --data",
			Err:   ErrLocked,
		}
	}
	if err := errors.Join(file.Truncate(0), writeAt(file, strconv.Itoa(os.Getpid())+"\n")); err != nil {
		file.Close()
		return nil, fmt.Errorf("write the lock file %s: %w", path, err)
	}
	return file, nil
}

// flockSoon waits a moment at most: ReadRuntime in another process holds the lock for an instant.
func flockSoon(file *os.File) error {
	const tries, pause = 10, 20 * time.Millisecond
	var err error
	for range tries {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		time.Sleep(pause)
	}
	return err
}

func writeAt(file *os.File, text string) error {
	_, err := file.WriteAt([]byte(text), 0)
	return err
}

// lockHeld tells whether a living process holds the directory's lock.
func lockHeld(dir string) (bool, error) {
	file, err := os.Open(filepath.Join(dir, lockFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close() // gives the lock back if we got it
	// A shared lock, so that two processes that ask at once do not take each other for the holder.
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// checkLayout refuses data of a newer layout than version, and records version as the layout from now on.
func checkLayout(dir, version string) error {
	own, err := parseVersion(version)
	if err != nil {
		return fmt.Errorf("embedded.Options.Version: %w", err)
	}
	path := filepath.Join(dir, layoutFile)
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the layout file %s: %w", path, err)
	}
	if err == nil {
		found, err := parseVersion(strings.TrimSpace(string(text)))
		if err != nil {
			return &EnvError{
				What:  fmt.Sprintf("the layout version of the data directory cannot be read: %v", err),
				Where: path,
				Do:    "Restore the file from a backup of the directory",
				Err:   err,
			}
		}
		if found.newerThan(own) {
			return &EnvError{
				What:  fmt.Sprintf("the data directory was written by a newer version (data layout %s, this program writes %s)", found, own),
				Where: dir,
				Do:    "Run the newer program on it, or restore a backup that this one wrote",
				Err:   ErrNewerData,
			}
		}
		if found == own {
			return nil
		}
	}
	return writeFileAtomically(path, []byte(own.String()+"\n"))
}

// layoutVersion is a semantic version without pre-release and build parts.
type layoutVersion struct{ major, minor, patch int }

func (v layoutVersion) String() string { return fmt.Sprintf("%d.%d.%d", v.major, v.minor, v.patch) }

func (v layoutVersion) newerThan(w layoutVersion) bool {
	if v.major != w.major {
		return v.major > w.major
	}
	if v.minor != w.minor {
		return v.minor > w.minor
	}
	return v.patch > w.patch
}

// parseVersion reads "1.2.3" or "v1.2.3", with or without a pre-release or build part, which it ignores.
func parseVersion(text string) (layoutVersion, error) {
	core, _, _ := strings.Cut(strings.TrimPrefix(text, "v"), "+")
	core, _, _ = strings.Cut(core, "-")
	parts := strings.Split(core, ".")
	var numbers [3]int
	if len(parts) != 3 {
		return layoutVersion{}, fmt.Errorf("%q is not a semantic version such as 1.4.0", text)
	}
	for i, part := range parts {
		number, err := strconv.ParseUint(part, 10, 31)
		if err != nil {
			return layoutVersion{}, fmt.Errorf("%q is not a semantic version such as 1.4.0", text)
		}
		numbers[i] = int(number)
	}
	return layoutVersion{numbers[0], numbers[1], numbers[2]}, nil
}

// writeFileAtomically writes a 0600 file that after a crash has either its old content or all of the new.
func writeFileAtomically(path string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(file.Name()))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
