package conformance

import (
	"errors"
	"os"
	"testing"

	"github.com/shirecounty/shire/deploy/testing/servers"
)

// Postgres is a PostgreSQL server of a test's own.
type Postgres struct{ *servers.Postgres }

// StartPostgres starts a PostgreSQL server as servers.StartPostgres does. The test is skipped when the server is not
// installed, and fails in CI.
func StartPostgres(t testing.TB, settings ...string) *Postgres {
	t.Helper()
	p, err := servers.StartPostgres(settings...)
	if err != nil {
		unavailable(t, err)
	}
	t.Cleanup(p.Stop)
	return &Postgres{p}
}

// Restart starts the server again after Kill.
func (p *Postgres) Restart(t testing.TB) {
	t.Helper()
	if err := p.Postgres.Restart(); err != nil {
		t.Fatal(err)
	}
}

// MariaDB is a MariaDB server of a test's own.
type MariaDB struct{ *servers.MariaDB }

// StartMariaDB starts a MariaDB server as servers.StartMariaDB does, and skips or fails like StartPostgres.
func StartMariaDB(t testing.TB, arguments ...string) *MariaDB {
	t.Helper()
	m, err := servers.StartMariaDB(arguments...)
	if err != nil {
		unavailable(t, err)
	}
	t.Cleanup(m.Stop)
	return &MariaDB{m}
}

// Restart starts the server again after Kill.
func (m *MariaDB) Restart(t testing.TB) {
	t.Helper()
	if err := m.MariaDB.Restart(); err != nil {
		t.Fatal(err)
	}
}

func unavailable(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, servers.ErrMissing) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	t.Fatal(err)
}

// Unavailable ends a test whose shared server did not start for an earlier one: skipped as that was, and failed in CI.
func Unavailable(t testing.TB) {
	t.Helper()
	unavailable(t, servers.ErrMissing)
}
