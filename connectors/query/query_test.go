package query

import (
	"os"
	"sync"
	"testing"

	"github.com/shirecounty/shire/connectors/conformance"
)

// servers are started once for all tests of the package.
var servers = map[string]func(testing.TB) *server{}

// kept stands in for a test that lasts as long as the package's tests do.
type kept struct {
	testing.TB
	mu   sync.Mutex
	last []func()
}

func (k *kept) Cleanup(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last = append(k.last, f)
}

func TestMain(m *testing.M) {
	all := &kept{}
	for name, start := range map[string]func(testing.TB) *server{"PostgreSQL": startPostgres, "MariaDB": startMariaDB} {
		var once sync.Once
		var s *server
		servers[name] = func(t testing.TB) *server {
			once.Do(func() {
				all.TB = t
				s = start(all)
			})
			if s == nil {
				conformance.Unavailable(t)
			}
			return s
		}
	}
	code := m.Run()
	for i := len(all.last) - 1; i >= 0; i-- {
		all.last[i]()
	}
	os.Exit(code)
}

func TestConformance(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		conformance.Run(t, conformance.Suite{New: func(t *testing.T) conformance.System { return s.newTable(t) }})
	})
}
