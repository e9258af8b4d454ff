package postgres_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/connectors/conformance"
)

// TestWhateverIsKilled: random writes to three tables, and runs that are killed at any call, lose what they had buffered,
// have their connections terminated, or end well. In the end the tables and the bus are equal, and nothing was said twice.
func TestWhateverIsKilled(t *testing.T) {
	server := start(t)
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		flag.Set("rapid.checks", "4") // each takes a second or two; give -rapid.checks for more
		defer flag.Set("rapid.checks", checks.DefValue)
	}
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		random := rand.New(rand.NewPCG(seed, 0))
		s := newSource(t, server, map[string][]string{"residents": {"id"}, "steps": {"hall", "number"}, "visits": {"id"}}, residents,
			"CREATE TABLE steps (number int, hall text, note text, PRIMARY KEY (hall, number))", "CREATE TABLE visits (id text, note text)", "ALTER TABLE visits REPLICA IDENTITY FULL")
		s.confirm, s.look = time.Millisecond, 5*time.Millisecond
		next := 0
		write := func(random *rand.Rand) {
			next++
			id, other := random.IntN(30), random.IntN(30)
			var sql string
			switch random.IntN(14) {
			case 0, 1, 2:
				sql = fmt.Sprintf("INSERT INTO residents VALUES (%d, 'n%d', repeat('x', 3000) || %d) ON CONFLICT DO NOTHING", id, next, next)
			case 3, 4:
				sql = fmt.Sprintf("UPDATE residents SET name = 'u%d' WHERE id %% 5 = %d", next, id%5)
			case 5:
				sql = fmt.Sprintf("UPDATE residents SET id = %d WHERE id = %d AND NOT EXISTS (SELECT 1 FROM residents WHERE id = %d)", other, id, other)
			case 6:
				sql = fmt.Sprintf("DELETE FROM residents WHERE id = %d", id)
			case 7, 8:
				sql = fmt.Sprintf("INSERT INTO steps SELECT i, 'h%d', 's%d' FROM generate_series(%d, %d) i ON CONFLICT (hall, number) DO UPDATE SET note = excluded.note", id%4, next, other, other+random.IntN(9))
			case 9:
				sql = fmt.Sprintf("DELETE FROM steps WHERE number %% 3 = %d", id%3)
			case 10:
				sql = fmt.Sprintf("DELETE FROM visits WHERE id = 'v%d'; INSERT INTO visits VALUES ('v%d', 'w%d')", id, id, next)
			case 11:
				sql = fmt.Sprintf("UPDATE visits SET note = 'w%d' WHERE id > 'v%d'", next, id)
			case 12:
				sql = fmt.Sprintf("BEGIN; UPDATE steps SET note = 'never'; DELETE FROM residents WHERE id < %d; ROLLBACK", id)
			default:
				if random.IntN(6) == 0 {
					sql = []string{"TRUNCATE steps", "ALTER TABLE visits ADD c" + fmt.Sprint(next) + " text DEFAULT 'd'", "TRUNCATE residents, visits"}[random.IntN(3)]
				} else {
					sql = "UPDATE residents SET name = name"
				}
			}
			exec(t, s.conn, sql)
		}
		for range 40 {
			write(random)
		}
		killer := connect(t, server, s.name)
		defer killer.Close(t.Context())
		for round := range 6 {
			s.bus.Restart()
			s.bus.PackRows, s.bus.Lose = 1+random.IntN(6), random.IntN(4)
			kind := random.IntN(4)
			if kind <= 1 {
				s.bus.Budget = random.IntN(120)
			}
			if random.IntN(4) == 0 {
				s.labels["steps"] = fmt.Sprint("label", round)
			}
			if random.IntN(4) == 0 { // writes in the middle of a chunk and of a transaction
				inside := rand.New(rand.NewPCG(seed, uint64(round)))
				s.bus.AtAppend = func() {
					if inside.IntN(8) == 0 {
						write(inside)
					}
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			follow := kind > 0
			go func() { ended <- s.connector(t).Run(ctx, s.bus, follow) }()
			var err error
			running := true
			for i := 0; i < 25 && running; i++ {
				if s.bus.AtAppend == nil {
					write(random)
				}
				if kind == 3 && i == 15 {
					exec(t, killer, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'shire hall' AND datname = $1", s.name)
				}
				select {
				case err = <-ended:
					running = false
				case <-time.After(time.Duration(random.IntN(8)) * time.Millisecond):
				}
			}
			cancel()
			if running {
				err = <-ended
			}
			s.bus.AtAppend = nil
			if err != nil && !errors.Is(err, conformance.ErrKilled) && !errors.Is(err, context.Canceled) && kind != 3 {
				rt.Fatalf("seed %d: %v", seed, err)
			}
		}
		s.bus.Restart()
		if err := s.run(t); err != nil {
			rt.Fatalf("seed %d: %v", seed, err)
		}
		for table := range s.keys {
			if d := s.differs(t, table); d != "" {
				rt.Fatalf("seed %d: %s", seed, d)
			}
		}
		for _, said := range s.bus.Said("steps") {
			if strings.Contains(said.Values, "never") {
				rt.Fatalf("seed %d: what was taken back was said", seed)
			}
		}
		before := s.bus.Len()
		if err := s.run(t); err != nil || s.bus.Len() != before {
			rt.Fatalf("seed %d: a run with nothing new published %d messages: %v", seed, s.bus.Len()-before, err)
		}
	})
}
