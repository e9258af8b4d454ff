package embedded

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReadOnlyDirectory refuses a directory that cannot be written to. Permission bits do not hold root back, so root
// mounts the directory read-only; where even root may not mount, sysfs, which takes no new files from anybody, stands in.
func TestReadOnlyDirectory(t *testing.T) {
	dir := t.TempDir()
	switch {
	case os.Geteuid() != 0:
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
	case mountReadOnly(t, dir) != nil:
		dir = "/sys/kernel"
	}
	_, err := Start(t.Context(), testOptions(t, dir))
	wantEnvError(t, err, ErrNotWritable, dir, "--data")
	_, err = LoadOrCreateSecrets(dir, "a")
	wantEnvError(t, err, ErrNotWritable, dir)
}

func mountReadOnly(t *testing.T, dir string) error {
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
}
