//go:build !linux

package main

import (
	"os"
	"testing"
)

func readOnly(t *testing.T, dir string) string {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Skip("permission bits do not hold root back")
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	return dir
}
