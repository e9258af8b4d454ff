package store_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline/identity/store"
)

const crashDir = "STORE_CRASH_DIR" // set in the child, which commits there until it is killed

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		fmt.Fprintln(os.Stderr, commitForEver(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// numbered is a batch that follows from its number, and what it does to the model. Every few are large enough to be
// runs of their own.
func numbered(n uint64, m *model) *store.Batch {
	b := store.NewBatch(tables)
	r := rand.New(rand.NewPCG(n, n))
	size := 1 + r.IntN(30)
	if n%7 == 0 {
		size = 400
	}
	for range size {
		t := r.IntN(len(tables))
		key := binary.BigEndian.AppendUint64(nil, r.Uint64N(300)<<54)
		key = append(key, byte(r.IntN(3)), 0, 0)[:tables[t].Key]
		if r.IntN(4) == 0 {
			b.Delete(t, key)
			delete(m.tables[t], string(key))
			continue
		}
		value := binary.BigEndian.AppendUint64(nil, r.Uint64())[:tables[t].Value]
		var blob []byte
		if tables[t].Blob {
			blob = fmt.Appendf(nil, "%0*d", r.IntN(20), n)
		}
		b.Put(t, key, value, blob)
		m.tables[t][string(key)] = entry{string(value), string(blob)}
	}
	m.position, m.meta = n, fmt.Sprint("commit ", n)
	return b
}

func commitForEver(dir string) error {
	s, err := store.Open(dir, tables, store.Options{Flush: 6000, Log: quiet})
	if err != nil {
		return err
	}
	m := newModel()
	for n := s.Position() + 1; ; n++ {
		if err := s.Commit(numbered(n, &m), n, []byte(m.meta)); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

func TestKillingTheWriterLosesNothing(t *testing.T) {
	dir := t.TempDir()
	rounds := 15
	if testing.Short() {
		rounds = 3
	}
	m := newModel()
	for round := range rounds {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), crashDir+"="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		kill := func() { time.AfterFunc(rand.N(250*time.Millisecond), func() { child.Process.Kill() }) }
		if round%5 == 4 {
			kill() // it may not even have opened the store
		}
		last := m.position
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if last == m.position { // the first line
				kill()
			}
			if last, err = strconv.ParseUint(lines.Text(), 10, 64); err != nil {
				t.Fatal(err)
			}
		}
		child.Wait() // it was killed

		s, err := store.Open(dir, tables, store.Options{Log: quiet, NoSync: round%2 == 0})
		if err != nil {
			t.Fatalf("after kill %d: %v", round+1, err)
		}
		if s.Position() < last {
			t.Fatalf("after kill %d the store is at %d, though commit %d had returned", round+1, s.Position(), last)
		}
		for m.position < s.Position() {
			numbered(m.position+1, &m)
		}
		v := s.View()
		if got := dump(v, len(tables)); got != m.dump() || string(s.Meta()) != m.meta {
			t.Fatalf("after kill %d the state is not what commit %d left", round+1, m.position)
		}
		v.Release()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d commits, %d kills", m.position, rounds)
}
