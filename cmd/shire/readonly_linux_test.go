package main

import (
	"os"
	"syscall"
	"testing"
)

// readOnly makes a directory that cannot be written to and returns its path. Permission bits do not hold root back, so
// root mounts it read-only; where even root may not mount, sysfs stands in, which takes no new files from anybody.
func readOnly(t *testing.T, dir string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	if err := syscall.Mount(dir, dir, "", syscall.MS_BIND, ""); err != nil {
		return "/sys/kernel"
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	if err := syscall.Mount("", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		return "/sys/kernel"
	}
	return dir
}
