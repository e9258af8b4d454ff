package connectors

import (
	_ "github.com/emmansun/gmsm/sm3"
	_ "github.com/go-mysql-org/go-mysql/canal"
	_ "github.com/go-mysql-org/go-mysql/replication"
	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pglogrepl"
	_ "github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/microsoft/go-mssqldb"
	_ "github.com/sijms/go-ora/v2"
	_ "golang.org/x/oauth2/clientcredentials"
)
