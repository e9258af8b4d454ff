package bus_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/pipeline/bus"
)

// I4: what a server leaves out is read first; what was erased is not waited for.
func TestReaderReadsWhatWasLeftOut(t *testing.T) {
	b := open(t)
	one, two := writer(t, b, "one"), writer(t, b, "two")
	var want []uint64
	for i := range 10 {
		want = append(want, publish(t, one, fmt.Sprint("one ", i)))
		if i%3 == 0 {
			want = append(want, publish(t, two, fmt.Sprint("two ", i)))
		}
	}
	for _, c := range []struct {
		name      string
		begin     int // place of the first message that is read
		leftOutAt int // after so many messages
		to        int // place of the message that it goes on with
	}{{"in the middle", 0, 4, 9}, {"at the beginning", 0, 0, 5}, {"at the beginning of a later part", 3, 0, 7}, {"again and again", 0, 1, 2}} {
		t.Run(c.name, func(t *testing.T) {
			r, err := b.Read(t.Context(), want[c.begin])
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			var got []uint64
			for i := range len(want) - c.begin {
				if i == c.leftOutAt || c.name == "again and again" && i+c.to < len(want) && i > 0 {
					if err := r.LeaveOut(t.Context(), want[max(c.to, i+c.to)]); err != nil {
						t.Fatal(err)
					}
				}
				m, err := r.Next(t.Context(), 10*time.Second)
				if err != nil {
					t.Fatalf("after %v: %v", got, err)
				}
				got = append(got, m.Sequence)
			}
			if fmt.Sprint(got) != fmt.Sprint(want[c.begin:]) {
				t.Errorf("read %v, want %v", got, want[c.begin:])
			}
		})
	}
	// Where other counties' messages lie between, a gap says nothing, and what a message says of the one before it is all.
	shared := openAs(t, fmt.Sprintf("%06d", counties.Add(1)))
	alone := writer(t, shared, "one")
	var among []uint64
	for i := range 4 {
		among = append(among, publish(t, alone, fmt.Sprint("one ", i)))
		publish(t, two, "between")
	}
	r, err := shared.Read(t.Context(), among[0])
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i, sequence := range among {
		if i == 2 {
			if err := r.LeaveOut(t.Context(), among[3]); err != nil {
				t.Fatal(err)
			}
		}
		if m, err := r.Next(t.Context(), 10*time.Second); err != nil || m.Sequence != sequence {
			t.Fatalf("read %+v, want message %d: %v", m, sequence, err)
		}
	}
	// What is found out too late is told.
	late := writer(t, shared, "late")
	var tail []uint64
	for _, w := range []*bus.Writer{late, late, alone, late} {
		tail = append(tail, publish(t, w, "late"))
		publish(t, two, "between")
	}
	if m, err := r.Next(t.Context(), 10*time.Second); err != nil || m.Sequence != tail[0] {
		t.Fatalf("read %+v, want message %d: %v", m, tail[0], err)
	}
	if err := r.LeaveOut(t.Context(), tail[2]); err != nil {
		t.Fatal(err)
	}
	if m, err := r.Next(t.Context(), 10*time.Second); err != nil || m.Sequence != tail[2] {
		t.Fatalf("read %+v, want message %d: %v", m, tail[2], err)
	}
	if m, err := r.Next(t.Context(), 10*time.Second); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("left out message %d", tail[1])) {
		t.Errorf("read %+v, %v; want an error that names message %d", m, err, tail[1])
	}
	erased := want[4]
	if err := b.Erase(t.Context(), erased); err != nil {
		t.Fatal(err)
	}
	r, err = b.Read(t.Context(), want[0])
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, sequence := range append(append([]uint64{}, want[:4]...), want[5:]...) {
		m, err := r.Next(t.Context(), 10*time.Second)
		if err != nil || m.Sequence != sequence {
			t.Fatalf("read %+v, want message %d, where %d is erased: %v", m, sequence, erased, err)
		}
	}
}

// cutting carries connections to the engine and cuts them at random places.
func cutting(t *testing.T, random *rand.Rand) (address string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var mu sync.Mutex
	cut := true
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", strings.TrimPrefix(engine.URL, "nats://"))
			if err != nil {
				near.Close()
				continue
			}
			mu.Lock()
			bytes := int64(10_000 + random.IntN(150_000))
			if !cut {
				bytes = 1 << 40
			}
			mu.Unlock()
			go func() {
				io.Copy(far, near)
				far.Close()
			}()
			go func() {
				io.CopyN(near, far, bytes) // in the middle of a message, most of the time
				near.Close()
				far.Close()
			}()
		}
	}()
	return l.Addr().String(), func() {
		mu.Lock()
		defer mu.Unlock()
		cut = false
	}
}

// However often the connection breaks, each message comes once, in order, while others are still being written.
func TestReaderOverABreakingConnection(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	address, stop := cutting(t, rand.New(rand.NewPCG(seed, 0)))
	county := fmt.Sprintf("%06d", counties.Add(1))
	b := openAs(t, county)
	options := nats.GetDefaultOptions()
	options.Url, options.MaxReconnect, options.ReconnectWait = "nats://"+address, -1, 10*time.Millisecond
	options.ReconnectJitter, options.RetryOnFailedConnect, options.AllowReconnect = 0, true, true
	credentials, err := nats.Connect(engine.URL, engine.InProcess()...)
	if err != nil {
		t.Fatal(err)
	}
	defer credentials.Close()
	options.User, options.Password, options.Token = credentials.Opts.User, credentials.Opts.Password, credentials.Opts.Token
	nc, err := options.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	var broken *bus.Bus
	for deadline := time.Now().Add(time.Minute); ; {
		if broken, err = bus.Open(t.Context(), nc, bus.Options{County: county, Replicas: 1}); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	const messages = 1200
	var want []uint64
	writers := []*bus.Writer{writer(t, b, "one"), writer(t, b, "two"), writer(t, b, "three")}
	payload := strings.Repeat("x", 1000)
	for i := range messages / 2 {
		want = append(want, publish(t, writers[i%3], payload))
	}
	r, err := broken.Read(t.Context(), 1)
	for deadline := time.Now().Add(time.Minute); err != nil; r, err = broken.Read(t.Context(), 1) {
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	defer r.Close()
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := range messages - messages/2 {
			sequence, err := writers[i%3].Publish(t.Context(), at("p"), []byte(payload))
			if err != nil {
				t.Error(err)
				return
			}
			want = append(want, sequence)
		}
	})
	var got []uint64
	for deadline := time.Now().Add(5 * time.Minute); len(got) < messages; {
		if len(got) > messages*2/3 {
			stop()
		}
		m, err := r.Next(t.Context(), 15*time.Second) // longer than two heartbeats
		if err == nil {
			got = append(got, m.Sequence)
		} else if time.Now().After(deadline) {
			t.Fatalf("after %d messages: %v", len(got), err)
		}
	}
	writing.Wait()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("read %v, want %v", got, want)
	}
	reconnects := nc.Stats().Reconnects
	t.Logf("the connection broke %d times", reconnects)
	if reconnects < 5 {
		t.Errorf("the connection broke %d times only: this proved little", reconnects)
	}
}
