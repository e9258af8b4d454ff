package conformance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// Postgres is a PostgreSQL server of a test's own.
type Postgres struct {
	Address string // host:port
	dir     string
	port    int
	command *exec.Cmd
}

// postgresPrograms are where Debian keeps the server's programs; the newest version comes last.
const postgresPrograms = "/usr/lib/postgresql/*/bin"

// StartPostgres starts a PostgreSQL server on loopback with logical replication, user postgres without a password, and
// the given further settings (name=value). The test is skipped when the server is not installed, and fails in CI.
func StartPostgres(t testing.TB, settings ...string) *Postgres {
	t.Helper()
	found, _ := filepath.Glob(postgresPrograms)
	slices.Sort(found)
	if len(found) == 0 {
		missing(t, "PostgreSQL")
	}
	p := &Postgres{dir: serverDir(t, "shire-postgres-", "postgres"), port: freePort(t)}
	p.Address = fmt.Sprintf("127.0.0.1:%d", p.port)
	programs := found[len(found)-1]
	runAs(t, "postgres", filepath.Join(programs, "initdb"), "-D", p.dir+"/data", "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
	args := []string{"-D", p.dir + "/data", "-p", fmt.Sprint(p.port), "-k", p.dir, "-h", "127.0.0.1"}
	for _, s := range append([]string{"wal_level=logical", "max_wal_senders=20", "max_replication_slots=20", "fsync=off", "logging_collector=off"}, settings...) {
		args = append(args, "-c", s)
	}
	p.command = asUser(t, "postgres", filepath.Join(programs, "postgres"), args...)
	serve(t, p.command, p.dir+"/log", "database system is ready to accept connections")
	return p
}

// URL is the address of a database on the server.
func (p *Postgres) URL(database string) string {
	return fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", p.Address, database)
}

// Kill ends the server at once, as a power failure of the machine would; Restart starts it again on its data.
func (p *Postgres) Kill() { kill(p.command) }

// Restart starts the server again after Kill.
func (p *Postgres) Restart(t testing.TB) {
	t.Helper()
	os.Remove(p.dir + "/data/postmaster.pid")
	again := asUser(t, "postgres", p.command.Path, p.command.Args[1:]...)
	p.command = again
	serve(t, again, p.dir+"/log", "database system is ready to accept connections")
}
