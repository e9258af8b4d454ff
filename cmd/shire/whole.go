package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// writeWhole writes a file that is there when it is whole, and not before; what names it in messages.
func writeWhole(what, path string, write func(io.Writer) error) (size int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return 0, inputf("the %s cannot be written to %s: %v", what, path, err)
	}
	defer os.Remove(f.Name())
	w := bufio.NewWriter(f)
	if err = write(w); err == nil {
		err = errors.Join(w.Flush(), f.Chmod(0o644), f.Sync())
	}
	info, stat := f.Stat()
	if err = errors.Join(err, stat, f.Close()); err != nil {
		return 0, fmt.Errorf("the %s cannot be written to %s: %w", what, path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return 0, fmt.Errorf("the %s cannot be written to %s: %w", what, path, err)
	}
	return info.Size(), nil
}
