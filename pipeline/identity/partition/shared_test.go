//go:build unix

package partition_test

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline/identity/partition"
	"github.com/shirecounty/shire/schemas/identity"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// used is the processor's time that this process took so far.
func used(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpu measures by the processor's time, so that the machine's other work does not count.
func cpu(t *testing.T, what func()) time.Duration {
	t.Helper()
	before := used(t)
	what()
	return used(t) - before
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// One telephone on 200,000 records: nobody is linked by it, the time grows with the records and not with their pairs, and
// neither a range nor a single change holds more memory for it.
func TestTelephoneOfAll(t *testing.T) {
	if testing.Short() {
		t.Skip("200,000 records")
	}
	const records, piece, phone = 200_000, 25_000, "14212345678"
	const most = 160 << 20 // what the store has in memory before it writes a run, as a tree
	spec, err := identity.Shipped("person")
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, t.TempDir())
	r.p.Close()
	r.o.Columns = []string{"name", "id_number", "sex", "birth_date", "phone", "address", "division", "household"}
	if r.p, err = partition.Open(r.o); err != nil {
		t.Fatal(err)
	}
	defer r.p.Close()
	r.choose(t, spec)
	at := uint64(1 << 16)
	change := func(i int, phone string) partition.Change {
		at++
		// Names of which a few share each: without the telephone, there would be pairs to look at.
		name := string([]rune{'王', rune(0x4e00 + i%15000), rune(0x4e00 + i%7)})
		return partition.Change{At: at, Time: time.Unix(1, 0), Version: at, Record: recordID(i), Dataset: "d", Role: "r", Values: []string{name, "", "", "", phone, "", "", ""}}
	}
	range_ := func(from, to int) (took time.Duration) {
		changes := make([]partition.Change, 0, to-from)
		for i := from; i < to; i++ {
			changes = append(changes, change(i, phone))
		}
		return cpu(t, func() {
			r.apply(t, changes)
			if err := r.p.Keep(at); err != nil {
				t.Fatal(err)
			}
		})
	}
	before := heap()
	var took []time.Duration
	for from := 0; from < records; from += piece {
		took = append(took, range_(from, from+piece))
	}
	r.at, r.newest = map[pseudonym.ID]pseudonym.ID{}, map[pseudonym.ID]uint64{} // what the test holds itself
	if now := heap(); now > before+most {
		t.Errorf("%d MB are held after all was kept", (now-before)>>20)
	}
	n, parties := r.p.Records()
	if n != records || parties != records {
		t.Errorf("%d records, %d parties, %d links", n, parties, len(r.links))
	}
	// The first ranges fill a small state; of those after them the last must not take much longer than the second.
	if first, last := took[1], took[len(took)-1]; last > 4*first {
		t.Errorf("a range of %d takes %v at %d records and %v at %d", piece, first, piece, last, records)
	}
	// Single changes, as they come on an ordinary day, each kept by itself.
	single := func(from int, phone string) time.Duration {
		return cpu(t, func() {
			for i := from; i < from+200; i++ {
				r.apply(t, []partition.Change{change(i, phone)})
				if err := r.p.Keep(at); err != nil {
					t.Fatal(err)
				}
			}
		}) / 200
	}
	other := single(records, "")
	shared := single(records+1000, phone)
	t.Logf("ranges of %d took %v; a single change takes %v, and %v with the telephone of all", piece, took, other, shared)
	if shared > 10*other+2*time.Millisecond {
		t.Errorf("a single change takes %v with the telephone of all, and %v without", shared, other)
	}
	// Everybody gets another telephone: the block opens, and those who share it still are looked at.
	left := []partition.Change{}
	for i := range records + 1200 {
		if i%10_000 != 0 {
			left = append(left, change(i, fmt.Sprint(13000000000+i)))
		}
	}
	for from := 0; from < len(left); from += piece {
		r.apply(t, left[from:min(from+piece, len(left))])
		if err := r.p.Keep(left[min(from+piece, len(left))-1].At); err != nil {
			t.Fatal(err)
		}
	}
	why := r.p.Explain(recordID(10_000), recordID(20_000), false)
	if why == nil || len(why.A.Damped) > 0 || why.Together {
		t.Errorf("two of the few who are left with the telephone are %+v", why)
	}
	if why = r.p.Explain(recordID(10_000), recordID(10_001), false); why == nil || why.Together {
		t.Errorf("two with telephones of their own are %+v", why)
	}
}
