package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Postgres is a PostgreSQL server.
type Postgres struct{ *server }

// postgresPrograms are where Debian keeps the server's programs; the newest version comes last.
const postgresPrograms = "/usr/lib/postgresql/*/bin"

// StartPostgres starts a PostgreSQL server with logical replication, user postgres without a password, and the given
// further settings (name=value).
func StartPostgres(settings ...string) (*Postgres, error) {
	found, _ := filepath.Glob(postgresPrograms)
	slices.Sort(found)
	if len(found) == 0 {
		return nil, fmt.Errorf("PostgreSQL %w", ErrMissing)
	}
	s, err := newServer("shire-postgres-", "postgres", "database system is ready to accept connections")
	if err != nil {
		return nil, err
	}
	p := &Postgres{s}
	programs, data := found[len(found)-1], p.dir+"/data"
	args := []string{"-D", data, "-p", p.port(), "-k", p.dir, "-h", "127.0.0.1"}
	for _, s := range append([]string{"wal_level=logical", "max_wal_senders=20", "max_replication_slots=20", "fsync=off", "logging_collector=off"}, settings...) {
		args = append(args, "-c", s)
	}
	err = p.run(filepath.Join(programs, "initdb"), "-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
	if err == nil {
		err = p.serve(filepath.Join(programs, "postgres"), args...)
	}
	if err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// URL is the address of a database on the server.
func (p *Postgres) URL(database string) string {
	return fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", p.Address, database)
}

// Restart starts the server again on its data, after Kill.
func (p *Postgres) Restart() error {
	os.Remove(p.dir + "/data/postmaster.pid") // of the one that was killed
	return p.server.Restart()
}
