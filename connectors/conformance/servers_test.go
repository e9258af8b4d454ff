package conformance

import (
	"database/sql"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
)

func TestServersSurviveAKill(t *testing.T) {
	p, m := StartPostgres(t), StartMariaDB(t)
	for _, s := range []struct {
		driver, dsn, table string
		kill               func()
		restart            func(testing.TB)
	}{
		{"pgx", p.URL("postgres"), "create table t (i int)", p.Kill, p.Restart},
		{"mysql", m.DSN("mysql"), "create table t (i int)", m.Kill, m.Restart},
	} {
		db, err := sql.Open(s.driver, s.dsn)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(s.table); err != nil {
			t.Fatal(err)
		}
		db.Close()
		s.kill()
		s.restart(t)
		db, _ = sql.Open(s.driver, s.dsn)
		var n int
		if err := db.QueryRow("select count(*) from t").Scan(&n); err != nil {
			t.Error(s.driver, err)
		}
		db.Close()
	}
}
