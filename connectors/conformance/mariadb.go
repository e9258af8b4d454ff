package conformance

import (
	"fmt"
	"os/exec"
	"testing"
)

// MariaDB is a MariaDB server of a test's own.
type MariaDB struct {
	Address string // host:port
	dir     string
	command *exec.Cmd
}

// StartMariaDB starts a MariaDB server on loopback with a row-format binlog, user root without a password, and the given
// further arguments (--name=value). The test is skipped when the server is not installed, and fails in CI.
func StartMariaDB(t testing.TB, arguments ...string) *MariaDB {
	t.Helper()
	server, err := exec.LookPath("mariadbd")
	if err != nil {
		if server = "/usr/sbin/mariadbd"; !exists(server) {
			missing(t, "MariaDB")
		}
	}
	m := &MariaDB{dir: serverDir(t, "shire-mariadb-", "mysql")}
	port := freePort(t)
	m.Address = fmt.Sprintf("127.0.0.1:%d", port)
	runAs(t, "mysql", "mariadb-install-db", "--no-defaults", "--datadir="+m.dir+"/data", "--auth-root-authentication-method=normal", "--skip-test-db")
	args := append([]string{
		"--no-defaults", "--datadir=" + m.dir + "/data", "--socket=" + m.dir + "/s", "--bind-address=127.0.0.1", fmt.Sprintf("--port=%d", port),
		"--server-id=1", "--log-bin=binlog", "--binlog-format=ROW", "--binlog-row-image=FULL", "--binlog-row-metadata=FULL",
		"--character-set-server=utf8mb4", "--max-allowed-packet=64M", "--innodb-flush-log-at-trx-commit=2", "--pid-file=" + m.dir + "/pid",
	}, arguments...)
	m.command = asUser(t, "mysql", server, args...)
	serve(t, m.command, m.dir+"/log", "ready for connections")
	return m
}

// DSN is the address of a database on the server, for go-sql-driver/mysql.
func (m *MariaDB) DSN(database string) string {
	return fmt.Sprintf("root@tcp(%s)/%s?multiStatements=true", m.Address, database)
}

// Kill ends the server at once; Restart starts it again on its data.
func (m *MariaDB) Kill() { kill(m.command) }

// Restart starts the server again after Kill.
func (m *MariaDB) Restart(t testing.TB) {
	t.Helper()
	again := asUser(t, "mysql", m.command.Path, m.command.Args[1:]...)
	m.command = again
	serve(t, again, m.dir+"/log", "ready for connections")
}
