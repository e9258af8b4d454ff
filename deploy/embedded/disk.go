//go:build unix

package embedded

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// checkDisk returns an error that is [ErrLowDisk] if free bytes are fewer than need.
func checkDisk(dir string, free, need uint64) error {
	if free >= need {
		return nil
	}
	return &EnvError{
		What:  fmt.Sprintf("too little free disk space: %s free, %s needed", formatBytes(free), formatBytes(need)),
		Where: dir,
		Do:    "Free some space on that file system, move the data directory to a larger one with --data, or lower the setting min_free_bytes",
		Err:   ErrLowDisk,
	}
}

// freeBytes returns what an unprivileged user may still write to the file system of dir.
func freeBytes(dir string) (uint64, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return 0, fmt.Errorf("ask for the free space of %s: %w", dir, err)
	}
	return uint64(stat.Bavail) * uint64(stat.Bsize), nil
}

// diskWatch reports when the free space falls below need and when it is ample again.
type diskWatch struct {
	dir  string
	need uint64
	free func(dir string) (uint64, error)
	set  func(State, error)
	low  bool
}

func (d *diskWatch) run(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			d.check()
		}
	}
}

func (d *diskWatch) check() {
	free, err := d.free(d.dir)
	if err != nil {
		d.low = true
		d.set(Failed, err)
		return
	}
	need := d.need
	if d.low {
		need += need / 10 // a tenth more before the all-clear, so that it does not come and go with every merge
	}
	if err := checkDisk(d.dir, free, need); err != nil {
		d.low = true
		d.set(Low, err)
		return
	}
	d.low = false
	d.set(Running, nil)
}

// formatBytes writes a size the way df -h does.
func formatBytes(n uint64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	size, unit := float64(n)/1024, 0
	for size >= 1024 && unit < len(units)-1 {
		size, unit = size/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", size, units[unit])
}
