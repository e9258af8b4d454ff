//go:build unix

package accounts

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeys(t *testing.T) {
	dir := t.TempDir()
	k, other := Clients(dir), Clients(dir)
	right := func(k *Keys, name, key string) bool {
		t.Helper()
		ok, err := k.Right(name, key)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if right(k, "archive", "") || right(k, "", "") {
		t.Error("a key is right where there is none")
	}
	key, err := k.Add("archive")
	if err != nil || len(key) < 40 {
		t.Fatalf("%d characters, %v", len(key), err)
	}
	if _, err := other.Add("archive"); !errors.Is(err, ErrThere) {
		t.Errorf("added twice: %v", err)
	}
	if _, err := k.Add("a\nb"); !errors.Is(err, ErrName) {
		t.Errorf("a name of two lines: %v", err)
	}
	if !right(k, "archive", key) || !right(other, "archive", key) || right(k, "archive", key+"A") || right(k, "archive", "") || right(k, "other", key) {
		t.Error("the key is not the one that opens")
	}
	path := filepath.Join(dir, ClientsFile)
	text, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(text), key) || strings.Contains(string(text), "bcrypt") {
		t.Errorf("%v %s", err, text)
	}
	// Who is removed by another process is out at once.
	if err := other.Remove("archive"); err != nil || right(k, "archive", key) {
		t.Error("a key that was removed opens", err)
	}
	again, err := other.Add("archive")
	if err != nil || again == key || right(k, "archive", key) || !right(k, "archive", again) {
		t.Error("the new key does not take the old one's place", err)
	}
	// A file that others may have written decides nothing.
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if ok, err := k.Right("archive", again); err == nil || ok || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("%t %v", ok, err)
	}
	if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte(`[{"name":"archive","key_sha256":"00"}]`), 0o600)); err != nil {
		t.Fatal(err)
	}
	if ok, err := k.Right("archive", ""); err == nil || ok || !strings.Contains(err.Error(), "restore it") {
		t.Errorf("%t %v", ok, err)
	}
}
