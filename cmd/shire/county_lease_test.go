package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// Two nodes of one county on one NATS: one serves, the other waits and says for whom; it takes over when that one is
// killed, and a load from a third place says at once who serves.
func TestSecondNodeWaits(t *testing.T) {
	t.Parallel()
	needEngine(t)
	u := loadUndisturbed(t, 500, 60, usual)
	file := countyYAML(t, u.county, external(externalNATS(t, nil), externalClickHouse(t), ""))
	dir := t.TempDir()
	first := start(t, "up", "-c", file, "--data", filepath.Join(dir, "first"))
	first.WaitFor("Shire serves")
	second := start(t, "up", "-c", file, "--data", filepath.Join(dir, "second"))
	second.WaitFor(fmt.Sprintf("process %d on", first.cmd.Process.Pid))

	third := shire(t, "load", "-c", file, "--data", filepath.Join(dir, "third"))
	if third.Code != exitFailed || !strings.Contains(third.Stderr, fmt.Sprintf("process %d on", first.cmd.Process.Pid)) {
		t.Errorf("a load beside another node: %v", third)
	}
	if strings.Contains(second.Output(), "Shire serves") {
		t.Errorf("both serve: %s", second.Output())
	}
	first.Kill()
	second.WaitFor("Shire serves")
	shire(t, "load", "--data", filepath.Join(dir, "second")).ok(t)
	samePeople(t, u.people, filepath.Join(dir, "second"))
	if r := second.Stop(); r.Code != exitOK {
		t.Errorf("the second node did not stop well: %v", r)
	}
	// A clean end leaves no lease behind.
	if r := shire(t, "load", "-c", file, "--data", filepath.Join(dir, "third")).ok(t); strings.Contains(r.Stderr, "served by another process") {
		t.Errorf("the second node has left its lease: %v", r)
	}
}
