package servers

import (
	"fmt"
	"os"
	"os/exec"
)

// MariaDB is a MariaDB server.
type MariaDB struct{ *server }

// StartMariaDB starts a MariaDB server with a binlog in row format, user root without a password, and the given further
// arguments (--name=value).
func StartMariaDB(arguments ...string) (*MariaDB, error) {
	program, err := exec.LookPath("mariadbd")
	if err != nil {
		program = "/usr/sbin/mariadbd" // not in everybody's path
	}
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("MariaDB %w", ErrMissing)
	}
	s, err := newServer("shire-mariadb-", "mysql", "ready for connections")
	if err != nil {
		return nil, err
	}
	m := &MariaDB{s}
	args := append([]string{
		"--no-defaults", "--datadir=" + m.dir + "/data", "--socket=" + m.dir + "/s", "--tmpdir=" + m.dir, "--bind-address=127.0.0.1", "--port=" + m.port(),
		"--server-id=1", "--log-bin=binlog", "--binlog-format=ROW", "--binlog-row-image=FULL", "--binlog-row-metadata=FULL",
		"--character-set-server=utf8mb4", "--max-allowed-packet=64M", "--innodb-flush-log-at-trx-commit=2", "--pid-file=" + m.dir + "/pid",
	}, arguments...)
	err = m.run("mariadb-install-db", "--no-defaults", "--datadir="+m.dir+"/data", "--tmpdir="+m.dir, "--auth-root-authentication-method=normal", "--skip-test-db")
	if err == nil {
		err = m.serve(program, args...)
	}
	if err != nil {
		m.Stop()
		return nil, err
	}
	return m, nil
}

// DSN is the address of a database on the server, for go-sql-driver/mysql.
func (m *MariaDB) DSN(database string) string {
	return fmt.Sprintf("root@tcp(%s)/%s?multiStatements=true", m.Address, database)
}
