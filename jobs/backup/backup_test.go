//go:build unix

package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/county"
)

func TestMain(m *testing.M) {
	embedded.RunChildIfAsked()
	os.Exit(m.Run())
}

// The secrets come back under their key, and under no other; a changed box never opens.
func TestSeal(t *testing.T) {
	files := map[string][]byte{"secrets.json": []byte(`{"pseudonym_key":"value that nobody may see"}`), "reviewers.json": {}}
	box, err := seal("sixteen characters and more", files)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(box, []byte("nobody may see")) {
		t.Error("the secrets are in the clear")
	}
	if got, err := unseal("sixteen characters and more", box); err != nil || string(got["secrets.json"]) != string(files["secrets.json"]) || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
	if again, err := seal("sixteen characters and more", files); err != nil || bytes.Equal(again, box) {
		t.Errorf("twice the same box: %v", err)
	}
	var refused *RefusedError
	if _, err := unseal("sixteen characters and mord", box); !errors.As(err, &refused) {
		t.Errorf("another key: %v", err)
	}
	if _, err := seal("too short", files); !errors.As(err, &refused) {
		t.Errorf("a short key: %v", err)
	}
	for _, at := range []int{len(box) / 3, len(box) / 2, len(box) - 10} {
		changed := bytes.Clone(box)
		changed[at] ^= 1
		if got, err := unseal("sixteen characters and more", changed); err == nil {
			t.Errorf("byte %d was changed, and it opens as %v", at, got)
		}
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"format":1,"county":"330782","parts":[{"file":"bus/CHANGES.s2","kind":"stream","bytes":1,"sha256":"` + strings.Repeat("0", 64) + `","stream":{"stream":"CHANGES"}}]}`))
	f.Add([]byte(`{"format":2}`))
	f.Add([]byte(`{"format":1,"county":"1","parts":[{"file":"../x","kind":"identity"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseManifest(text)
		if err != nil {
			if refused := (*RefusedError)(nil); !errors.As(err, &refused) {
				t.Errorf("%v", err)
			}
			return
		}
		for _, p := range m.Parts {
			if path := filepath.Join("/backups/one", filepath.FromSlash(p.File)); !strings.HasPrefix(path, "/backups/one/") {
				t.Errorf("%q leads out of the backup", p.File)
			}
			if strings.ContainsAny(p.Table, " ;'\"`") || p.Stream != nil && p.Kind == KindStream && strings.ContainsAny(p.Stream.Stream, " .*>") {
				t.Errorf("a name that is none: %+v", p)
			}
		}
	})
}

// fake makes a folder that is a backup by name, size and hash.
func fake(t testing.TB, to, division string, begun time.Time, broken bool) string {
	t.Helper()
	dir := filepath.Join(to, division+"-"+begun.Format("20060102T150405.000Z"))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "part"), []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, sum, err := measure(filepath.Join(dir, "part"))
	if err != nil {
		t.Fatal(err)
	}
	m := Manifest{Format: Format, Division: division, Begun: begun, Parts: []Part{{File: "part", Kind: KindIdentity, Bytes: 4, SHA256: sum}}}
	if err := m.save(dir); err != nil {
		t.Fatal(err)
	}
	if broken {
		if err := os.Truncate(filepath.Join(dir, "part"), 1); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// The newest whole ones of the county stay, however many; of damaged, foreign and unfinished ones none is touched or counted.
func TestKeep(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		to, err := os.MkdirTemp("", "keep-")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(to)
		var own, others []string
		for i := range rapid.IntRange(0, 8).Draw(rt, "backups") {
			begun := time.Date(2026, 11, 1+i, 2, 0, 0, 0, time.UTC)
			switch rapid.IntRange(0, 4).Draw(rt, "kind") {
			case 0:
				others = append(others, fake(t, to, "330001", begun, false))
			case 1:
				others = append(others, fake(t, to, "330782", begun, true))
			case 2:
				name := filepath.Join(to, "330782-"+fmt.Sprint(i)+partial)
				if err := os.Rename(fake(t, to, "330782", begun, false), name); err != nil {
					rt.Fatal(err)
				}
				others = append(others, name)
			default:
				own = append(own, fake(t, to, "330782", begun, false))
			}
		}
		n := rapid.IntRange(0, 5).Draw(rt, "keep")
		if err := keep(to, "330782", n); err != nil {
			rt.Fatal(err)
		}
		want := slices.Clone(others)
		if n == 0 || n > len(own) {
			n = len(own)
		}
		want = append(want, own[len(own)-n:]...)
		got, err := filepath.Glob(filepath.Join(to, "*"))
		if err != nil {
			rt.Fatal(err)
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			rt.Errorf("there is %v and should be %v", got, want)
		}
	})
}

func TestSettings(t *testing.T) {
	if err := (Settings{To: "/backups", Keep: 3}).Check(); err != nil {
		t.Error(err)
	}
	err := (Settings{Keep: -1}).Check()
	if err == nil || !strings.Contains(err.Error(), "to is missing") || !strings.Contains(err.Error(), "keep is not a number") {
		t.Errorf("%v", err)
	}
}

// engines of a county that has run, or of one that has not.
func engines(t *testing.T) (*nats.Conn, warehouse.Address) {
	t.Helper()
	var users []embedded.User
	for _, u := range clickhouse.Access() {
		users = append(users, embedded.User{Name: u.Name, Password: "of-" + u.Name, Settings: u.Settings, Readonly: u.Readonly, Grants: u.Grants})
	}
	e, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir(), Version: "1.0.0",
		ClickHouse: embedded.ClickHouseOptions{Users: users}, Log: slog.New(slog.DiscardHandler)})
	if errors.Is(err, embedded.ErrNoLibrary) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(e.NATS().URL, e.NATS().InProcess()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		nc.Close()
		if err := e.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return nc, warehouse.Address{Native: e.ClickHouse().Native, User: clickhouse.Loader, Password: "of-" + clickhouse.Loader}
}

// A job makes a backup, which fills other engines; one that is stopped, refused or has nothing to copy leaves nothing.
func TestWorker(t *testing.T) {
	nc, at := engines(t)
	b, err := bus.Open(t.Context(), nc, bus.Options{County: "330782", Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("sixteen characters and more"), 0o600); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "backups")
	c := County{Division: "330782", NameZh: "义县", Bus: b, Warehouse: at, Identities: filepath.Join(t.TempDir(), "identity"), Program: "test",
		Secrets: map[string][]byte{"secrets.json": []byte("{}")}, Files: map[string]string{"county.yaml": key}}
	w := &Worker{County: func(context.Context) (County, error) { return c, nil }, Settings: Settings{To: to, Keep: 2, Key: county.Secret("file:" + key)}}
	var output bytes.Buffer
	if _, err := w.Do(t.Context(), jobs.Task{}, &output); !errors.Is(err, jobs.ErrPermanent) || !strings.Contains(err.Error(), "has not run yet") {
		t.Errorf("of a county that never ran: %v", err)
	}
	own, err := warehouse.Connect(t.Context(), at, b.ID()+"/fingerprint", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if err := own.RecordRun(t.Context(), warehouse.Run{ID: "backup@2026-11-23", Job: "backup", Started: time.Now(), Outcome: "ok"}); err != nil {
		t.Fatal(err)
	}
	loads, _, _, err := b.OpenLoads(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	done, open := &bus.Range{First: 1, Last: 10}, &bus.Range{First: 11, Last: 20}
	if err := errors.Join(loads.Record(t.Context(), done), loads.Record(t.Context(), open), loads.Done(t.Context(), done)); err != nil {
		t.Fatal(err)
	}

	result, err := w.Do(t.Context(), jobs.Task{}, &output)
	if err != nil || result.Counts["rows"] != 2 || result.Counts["messages"] == 0 || !strings.Contains(output.String(), "bus/LEDGER.s2") {
		t.Fatalf("%+v, %v: %s", result, err, output.String())
	}
	if strings.Contains(result.Message, "secrets") {
		t.Errorf("it complains: %s", result.Message)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Do(ended, jobs.Task{}, &output); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	release, err := claim(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Do(t.Context(), jobs.Task{}, &output); err == nil || !strings.Contains(err.Error(), "another backup is being written") {
		t.Errorf("two at once: %v", err)
	}
	release()
	w.Settings.Key = ""
	if result, err := w.Do(t.Context(), jobs.Task{}, &output); err != nil || !strings.Contains(result.Message, SecretsLeftOut) {
		t.Errorf("without a key: %+v, %v", result, err)
	}
	list, err := List(to, "330782")
	if err != nil || len(list) != 2 {
		t.Fatalf("%d backups, %v", len(list), err)
	}
	if entries, err := os.ReadDir(to); err != nil || len(entries) != 3 { // and the lock
		t.Errorf("there is %v, %v", entries, err)
	}

	other, err := bus.Open(t.Context(), nc, bus.Options{County: "330001", Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	theirs, _, _, err := other.OpenLoads(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := theirs.Record(t.Context(), &bus.Range{First: 1, Last: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Do(t.Context(), jobs.Task{}, &output); !errors.Is(err, jobs.ErrPermanent) || !strings.Contains(err.Error(), "330001") {
		t.Errorf("of a shared bus: %v", err)
	}

	backup, err := Open(list[0].Folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := backup.Fits("330001"); err == nil {
		t.Error("it fits another county")
	}
	if files, err := backup.Secrets(county.Secret("file:" + key)); err != nil || string(files["secrets.json"]) != "{}" {
		t.Errorf("%v, %v", files, err)
	}
	toNATS, toHouse := engines(t)
	if err := errors.Join(backup.FillBus(t.Context(), toNATS, 1), backup.FillWarehouse(t.Context(), toHouse)); err != nil {
		t.Fatal(err)
	}
	if name, err := backup.BusInUse(t.Context(), toNATS); err != nil || name == "" {
		t.Errorf("%q, %v", name, err)
	}
	restored, err := bus.Open(t.Context(), toNATS, bus.Options{County: "330782", Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, through, pending, err := restored.OpenLoads(t.Context()); err != nil || through != 10 || len(pending) != 1 || pending[0].First != 11 {
		t.Errorf("the ledger is at %d with %+v, %v", through, pending, err)
	}
	if err := backup.ClearBus(t.Context(), toNATS); err != nil {
		t.Fatal(err)
	}
	if name, err := backup.BusInUse(t.Context(), toNATS); err != nil || name != "" {
		t.Errorf("%q, %v", name, err)
	}
}

// The note in a data directory is there from before the first change to after the last.
func TestTarget(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "node")
	one, err := Begin(dir, "backup")
	if err != nil || one.Filling || !Unfinished(dir) {
		t.Fatalf("%+v, %v", one, err)
	}
	if _, err := Begin(dir, "backup"); err == nil {
		t.Error("two restores at once")
	}
	if err := errors.Join(one.Put("secrets.json", []byte("x")), one.Fill("backup")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../x", "a/b", noteName, ""} {
		if err := one.Put(name, nil); err == nil {
			t.Errorf("%q was written", name)
		}
	}
	one.note.Close() // as a kill does
	two, err := Begin(dir, "backup")
	if err != nil || !two.Filling {
		t.Fatalf("%+v, %v", two, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "secrets.json")); err == nil {
		t.Error("what the first one wrote is still there")
	}
	if err := errors.Join(two.Put("secrets.json", []byte("x")), two.Finish()); err != nil || Unfinished(dir) {
		t.Errorf("%v", err)
	}
	if _, err := Begin(dir, "backup"); err == nil {
		t.Error("a data directory that is in use was taken")
	}
	empty := t.TempDir()
	three, err := Begin(empty, "backup")
	if err == nil {
		err = errors.Join(three.Put("secrets.json", nil), three.Abandon())
	}
	if entries, e := os.ReadDir(empty); err != nil || e != nil || len(entries) != 0 {
		t.Errorf("after giving up there is %v: %v", entries, errors.Join(err, e))
	}
}
