//go:build unix

package accounts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// quick is Reviewers with hashes that cost little to make.
func quick(dir string) *File {
	f := Reviewers(dir)
	f.cost = bcrypt.MinCost
	return f
}

func TestAddCheckRemove(t *testing.T) {
	dir := t.TempDir()
	f := quick(filepath.Join(dir, "data"))
	if list, err := f.List(); err != nil || len(list) != 0 {
		t.Fatalf("there is somebody from the start: %v %v", list, err)
	}
	password, err := f.Add("李梅")
	if err != nil {
		t.Fatal(err)
	}
	other := Reviewers(filepath.Join(dir, "data")) // another process: the portal, which is not restarted
	for _, c := range []struct {
		name, password string
		want           bool
	}{
		{"李梅", password, true}, {"李梅", password + "x", false}, {"李梅", "", false}, {"王强", password, false},
		{"李梅", strings.Repeat("x", 200), false},
	} {
		if got, err := other.Check(c.name, c.password); got != c.want || err != nil {
			t.Errorf("%q with %q: %t %v", c.name, c.password, got, err)
		}
	}
	since, err := other.Since("李梅")
	if err != nil || time.Since(since) > time.Minute {
		t.Error(since, err)
	}
	if _, err := f.Add("李梅"); !errors.Is(err, ErrThere) {
		t.Error(err)
	}
	if err := f.Remove("李梅"); err != nil {
		t.Fatal(err)
	}
	if since, err := other.Since("李梅"); err != nil || !since.IsZero() {
		t.Error("removed, and still there:", since, err)
	}
	if ok, err := other.Check("李梅", password); ok || err != nil {
		t.Error(ok, err)
	}
	if err := f.Remove("李梅"); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
}

func TestTheFile(t *testing.T) {
	dir := t.TempDir()
	f, path := quick(dir), filepath.Join(dir, ReviewersFile)
	password, err := f.Add("li.mei")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(content), password) {
		t.Errorf("%v, or the password is in %s", err, content)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("%#o", info.Mode().Perm())
	}
	os.Chmod(path, 0o644)
	if ok, err := f.Check("li.mei", password); ok || err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Error("others may have changed the file, and it is believed:", ok, err)
	}
	os.Chmod(path, 0o600)
	os.WriteFile(path, []byte("{}"), 0o600)
	if ok, err := f.Check("li.mei", password); ok || err == nil || strings.Contains(err.Error(), "$2a") {
		t.Error(ok, err)
	}
	if _, err := f.Add("wang"); err == nil {
		t.Error("a file that cannot be read was replaced")
	}
}

func TestNames(t *testing.T) {
	f := Reviewers(t.TempDir())
	for _, name := range []string{"", " li", "li ", "-li", "li\nmei", "li;mei", "<b>", strings.Repeat("李", 65), "../x"} {
		if _, err := f.Add(name); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestAddingAtOnce(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			if _, err := quick(dir).Add(fmt.Sprint("r", i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if list, err := Reviewers(dir).List(); err != nil || len(list) != 4 || list[0].Name != "r0" {
		t.Error(list, err)
	}
}

// A name that nobody has must take as long as one that somebody has: the stand-in is a real hash of the same cost.
func TestNobody(t *testing.T) {
	if got, err := bcrypt.Cost([]byte(nobody)); got != cost || err != nil {
		t.Error(got, err)
	}
	if err := bcrypt.CompareHashAndPassword([]byte(nobody), []byte("")); !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		t.Error(err)
	}
}
