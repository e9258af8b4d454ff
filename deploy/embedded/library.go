//go:build unix

package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// libraryVariable names the ClickHouse library when it is not where `make engine` puts it.
const libraryVariable = "SHIRE_CLICKHOUSE_LIB"

// engineDir is where `make engine` puts the library's package, seen from the root of the repository.
const engineDir = "deploy/embedded/engine/node_modules/@chdb/lib-linux-x64-gnu"

// FindLibrary returns the path of libchdb.so: what SHIRE_CLICKHOUSE_LIB says, else what `make engine` installed below the
// directory of this executable or of the working directory, or below a parent of either. If there is none, the error is
// [ErrNoLibrary].
func FindLibrary() (string, error) {
	if path := os.Getenv(libraryVariable); path != "" {
		info, err := os.Stat(path)
		if err == nil && info.Mode().IsRegular() {
			return filepath.Abs(path)
		}
		if err == nil {
			err = errors.New("it is not a regular file")
		}
		return "", &EnvError{
			What:  fmt.Sprintf("%s does not name a ClickHouse library: %v", libraryVariable, cause(err)),
			Where: path,
			Do:    "Set it to the path of libchdb.so (chDB 26.6 or newer), or unset it and run `make engine`",
			Err:   fmt.Errorf("%w: %w", ErrNoLibrary, err),
		}
	}
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return "", &EnvError{
			What:  "the embedded ClickHouse comes by itself for linux/amd64 alone",
			Where: runtime.GOOS + "/" + runtime.GOARCH,
			Do:    "Set " + libraryVariable + " to the path of a chDB library of version 26.6 or newer, or configure an external `clickhouse:` address",
			Err:   ErrNoLibrary,
		}
	}
	var starts []string
	if executable, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(executable))
	}
	if working, err := os.Getwd(); err == nil {
		starts = append(starts, working)
	}
	for _, start := range starts {
		for dir := start; ; dir = filepath.Dir(dir) {
			if path := libraryBelow(filepath.Join(dir, engineDir)); path != "" {
				return path, nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", &EnvError{
		What:  "the embedded ClickHouse is not installed",
		Where: engineDir,
		Do:    "Run `make engine`, set " + libraryVariable + " to the path of libchdb.so, or configure an external `clickhouse:` address",
		Err:   ErrNoLibrary,
	}
}

// libraryBelow returns the first libchdb.so in dir or below it, or "".
func libraryBelow(dir string) string {
	var found string
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // a directory that is absent or cannot be read holds no library for us
		}
		if entry.Name() == "libchdb.so" && !entry.IsDir() {
			found = path
			return fs.SkipAll
		}
		return nil
	})
	return found
}
