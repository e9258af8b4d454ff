package partition_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/pipeline/identity/partition"
)

const crashDir, crashStory = "PARTITION_CRASH_DIR", "PARTITION_CRASH_STORY" // set in the child, which is killed

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		seed, _ := strconv.Atoi(os.Getenv(crashStory))
		if err := follow(dir, seed); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type must struct{}

func (must) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// longStory is the story of a number, with two changes of the model in it: the state is made anew while it is followed.
func longStory(seed int) []partition.Change {
	changes := rapid.Custom(func(rt *rapid.T) []partition.Change { return story(rt, 500) }).Example(seed)
	for i, at := range []int{len(changes) / 3, 2 * len(changes) / 3} {
		moment := changes[at].At - 1
		changes = slices.Insert(changes, at, choose(small(must{}, i+2, 3+i), moment))
	}
	return slices.Insert(changes, 0, choose(small(must{}, 1, 4), 1))
}

// outcome is a range as it is recorded before it is kept: what stands in the ledger of the flow.
type outcome struct {
	From, To  int
	Decisions []partition.Decision
	Links     []partition.Link
}

// recorded reads what was recorded so far. A line that the process was killed in was not recorded.
func recorded(dir string) (all []outcome, size int64, err error) {
	text, err := os.ReadFile(filepath.Join(dir, "ledger"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	for line := range bytes.Lines(text) {
		var o outcome
		if line[len(line)-1] != '\n' {
			break
		}
		if err := json.Unmarshal(line, &o); err != nil {
			return nil, 0, err
		}
		all, size = append(all, o), size+int64(len(line))
	}
	return all, size, err
}

// follow is the child: it applies a story range by range, as the flow does: decided, recorded, kept. What was recorded and
// not kept is decided again, and has to come to the same.
func follow(dir string, seed int) error {
	changes := longStory(seed)
	r := open(must{}, filepath.Join(dir, "state"))
	r.p.Close()
	r.o.NoSync = seed%2 == 0 // a killed process, unlike a machine without power, loses nothing that it wrote
	var err error
	if r.p, err = partition.Open(r.o); err != nil {
		return err
	}
	all, size, err := recorded(dir)
	if err != nil {
		return err
	}
	ledger, err := os.OpenFile(filepath.Join(dir, "ledger"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := ledger.Truncate(size); err != nil {
		return err
	}
	if _, err := ledger.Seek(size, 0); err != nil {
		return err
	}
	position := r.p.Position()
	at := 0
	for at < len(changes) && changes[at].At <= position {
		at++
	}
	all = slices.DeleteFunc(all, func(o outcome) bool { return o.To <= at })
	if len(all) > 1 || len(all) == 1 && all[0].From != at {
		return fmt.Errorf("the state is at change %d, and recorded after it are %+v", at, all)
	}
	fmt.Println("begins at", at)
	for at < len(changes) {
		o := outcome{From: at, To: min(len(changes), at+1+rand.IntN(5))}
		if len(all) > 0 {
			o.To = all[0].To
		}
		if o.Decisions, o.Links, err = r.p.Apply(context.Background(), changes[o.From:o.To]); err != nil {
			return err
		}
		line, err := json.Marshal(o)
		if err != nil {
			return err
		}
		if len(all) > 0 {
			if before, err := json.Marshal(all[0]); err != nil || !bytes.Equal(before, line) {
				return fmt.Errorf("decided again, a range came to\n%s\nand before to\n%s", line, before)
			}
			all = nil
		} else if _, err := ledger.Write(append(line, '\n')); err != nil {
			return err
		}
		if err := r.p.Keep(changes[o.To-1].At); err != nil {
			return err
		}
		at = o.To
	}
	return r.p.Close()
}

// Killed at any moment, started again and killed again: ids and links are those of a run that nobody disturbed.
func TestKilledAtAnyMoment(t *testing.T) {
	stories := 10
	if testing.Short() {
		stories = 1
	}
	kills := 0
	for seed := range stories {
		dir := t.TempDir()
		again := 0
		for ended := false; !ended; {
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), crashDir+"="+dir, crashStory+"="+strconv.Itoa(seed))
			var said bytes.Buffer
			child.Stderr = &said
			out, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			// Later and later, and soon much later: in the end it gets to its end, however slow the machine.
			moment := rand.N(time.Duration(15*math.Pow(1.2, float64(again))) * time.Millisecond)
			if again++; again%4 == 0 {
				time.AfterFunc(moment, func() { child.Process.Kill() }) // it may not even have opened the state
			}
			for lines := bufio.NewScanner(out); lines.Scan(); {
				time.AfterFunc(moment, func() { child.Process.Kill() })
			}
			err = child.Wait()
			switch {
			case err == nil:
				ended = true
			case child.ProcessState.ExitCode() == -1:
				kills++
			default:
				t.Fatalf("story %d: %v: %s", seed, err, said.String())
			}
		}
		changes := longStory(seed)
		undisturbed, killed := open(t, t.TempDir()), open(t, filepath.Join(dir, "state"))
		undisturbed.apply(t, changes)
		all, _, err := recorded(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range all {
			killed.hear(changes[o.From:o.To], o.Decisions, o.Links)
		}
		if !maps.Equal(undisturbed.at, killed.at) {
			t.Errorf("story %d: the ids are others", seed)
		}
		if !slices.EqualFunc(undisturbed.links, killed.links, sameLink) {
			t.Errorf("story %d: %d links, undisturbed %d, or others", seed, len(killed.links), len(undisturbed.links))
		}
		// And the state that was left knows what the one that nobody disturbed knows.
		if err := undisturbed.p.Keep(changes[len(changes)-1].At); err != nil {
			t.Fatal(err)
		}
		a, b := counted(undisturbed.p), counted(killed.p)
		if a != b || killed.p.Position() != changes[len(changes)-1].At {
			t.Errorf("story %d: the state has %s, undisturbed %s", seed, b, a)
		}
		undisturbed.p.Close()
		killed.p.Close()
	}
	t.Logf("%d stories, %d kills", stories, kills)
	if kills < stories {
		t.Errorf("only %d kills: this proved little", kills)
	}
}

func counted(p *partition.Partition) string {
	records, parties := p.Records()
	items, total := p.Queue(1000)
	return fmt.Sprintln(records, parties, total, items)
}

// sameLink compares links, whose times may have been written and read again.
func sameLink(a, b partition.Link) bool {
	same := a.Time.Equal(b.Time)
	a.Time, b.Time = time.Time{}, time.Time{}
	return same && a == b
}
