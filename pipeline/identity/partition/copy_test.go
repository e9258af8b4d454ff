package partition_test

import (
	"path/filepath"
	"testing"

	"github.com/shirecounty/shire/pipeline/identity/partition"
)

// Copies that are made while changes come in, models among them, which put other states in the place of the one that
// counts: each goes on from its moment to where the original comes.
func TestCopyBesideItsUser(t *testing.T) {
	if err := partition.Copy(filepath.Join(t.TempDir(), "none"), filepath.Join(t.TempDir(), "copy")); err != nil {
		t.Fatalf("of nothing: %v", err)
	}
	changes := longStory(1)
	dir := t.TempDir()
	r := open(t, dir)
	done := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		defer close(done)
		for at := 0; at < len(changes); at += 3 {
			some := changes[at:min(at+3, len(changes))]
			_, _, err := r.p.Apply(t.Context(), some)
			if err == nil {
				err = r.p.Keep(some[len(some)-1].At)
			}
			if err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	var copies []string
	for going := true; going; {
		select {
		case <-done:
			going = false
		default:
		}
		to := filepath.Join(t.TempDir(), "copy")
		if err := partition.Copy(dir, to); err != nil {
			t.Fatal(err)
		}
		copies = append(copies, to)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	want := counted(r.p)
	moments := map[uint64]bool{}
	for i, to := range copies {
		if len(copies) > 40 && i%(len(copies)/40) != 0 && i != len(copies)-1 {
			continue
		}
		c := open(t, to)
		at := 0
		for at < len(changes) && changes[at].At <= c.p.Position() {
			at++
		}
		moments[c.p.Position()] = true
		if at < len(changes) {
			if _, _, err := c.p.Apply(t.Context(), changes[at:]); err != nil {
				t.Fatalf("from change %d on: %v", at, err)
			}
			if err := c.p.Keep(changes[len(changes)-1].At); err != nil {
				t.Fatal(err)
			}
		}
		if got := counted(c.p); got != want {
			t.Errorf("a copy of change %d comes to %s, the original to %s", at, got, want)
		}
		c.p.Close()
	}
	r.p.Close()
	if len(moments) < 3 {
		t.Errorf("all copies are of %d moments: this proved nothing", len(moments))
	}
	t.Logf("%d copies, %d moments looked into", len(copies), len(moments))
}
