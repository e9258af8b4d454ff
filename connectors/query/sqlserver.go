package query

import (
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	driver "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"
)

// sqlServer is Microsoft SQL Server from 2016 on.
type sqlServer struct{}

func (sqlServer) port() int { return 1433 }

func (sqlServer) open(s settings, password string, encryption *tls.Config) (*sql.DB, error) {
	address := url.URL{Scheme: "sqlserver", User: url.UserPassword(s.user, password), Host: net.JoinHostPort(s.host, strconv.Itoa(s.port))}
	encrypt := "true"
	if encryption == nil {
		encrypt = "disable"
	}
	address.RawQuery = url.Values{
		"database": {s.database}, "encrypt": {encrypt}, "app name": {"shire"}, "dial timeout": {strconv.Itoa(int(connectTimeout.Seconds()))},
	}.Encode()
	c, err := msdsn.Parse(address.String())
	if err != nil {
		return nil, errors.New("the address, database or user cannot be used") // the driver's own words would quote the password
	}
	if encryption != nil {
		c.TLSConfig = encryption
	}
	return sql.OpenDB(driver.NewConnectorConfig(c)), nil
}

func (sqlServer) offset() string {
	return "SELECT CONVERT(varchar(12), DATEDIFF(second, SYSUTCDATETIME(), SYSDATETIME()))"
}

func (sqlServer) session(timeout time.Duration) []string {
	// Rows that are not committed are never read; a writer's lock is waited for, no longer than a query may take.
	return []string{"SET TRANSACTION ISOLATION LEVEL READ COMMITTED", fmt.Sprintf("SET LOCK_TIMEOUT %d", timeout.Milliseconds()), "SET DATEFIRST 1", "SET TEXTSIZE 2147483647"}
}

func (sqlServer) quote(name string) string { return doubled(name, "[", "]") }

func (s sqlServer) catalog(t tableName) (string, []any) {
	return "SELECT c.name, COALESCE(b.name, o.name), CONVERT(varchar(12), c.max_length), CONVERT(varchar(12), c.precision), CONVERT(varchar(12), c.scale)," +
		" CONVERT(varchar(1), c.is_nullable), c.collation_name FROM sys.columns c JOIN sys.types o ON o.user_type_id = c.user_type_id" +
		" LEFT JOIN sys.types b ON b.user_type_id = c.system_type_id WHERE c.object_id = OBJECT_ID(@p1) ORDER BY c.column_id", []any{t.quoted(s)}
}

func (sqlServer) column(f []string) column {
	c := column{name: f[0], declared: f[1], base: f[1], scale: atoi(f[4]), nullable: f[5] != "0", collated: f[6]}
	length := atoi(f[2])
	switch c.base {
	case "tinyint", "smallint", "int", "bigint", "bit":
		c.kind = integer
	case "decimal", "numeric":
		c.kind, c.declared = decimal, c.base+"("+f[3]+","+f[4]+")"
	case "money", "smallmoney":
		c.kind = decimal
	case "real":
		c.kind, c.fix = float, shortest(32)
	case "float":
		c.kind, c.fix = float, shortest(64)
	case "datetimeoffset":
		c.kind, c.declared = instant, c.base+"("+f[4]+")"
	case "datetime2":
		c.kind, c.declared = wallTime, c.base+"("+f[4]+")"
	case "datetime", "smalldatetime":
		c.kind = wallTime
	case "date":
		c.kind = date
	case "timestamp", "rowversion":
		c.kind, c.declared = rowversion, "rowversion"
	case "binary", "varbinary":
		c.kind, c.declared = octets, c.base+"("+sizeOf(length, 1)+")"
	case "image":
		c.kind = octets
	case "char", "varchar":
		c.declared = c.base + "(" + sizeOf(length, 1) + ")"
	case "nchar", "nvarchar":
		c.declared = c.base + "(" + sizeOf(length, 2) + ")"
	case "text", "ntext", "sysname", "uniqueidentifier", "time":
	default:
		c.kind = other
	}
	return c
}

// sizeOf is the length of the catalog, in bytes, as it was declared.
func sizeOf(bytes, width int) string {
	if bytes < 0 {
		return "max"
	}
	return strconv.Itoa(bytes / width)
}

func (s sqlServer) indexed(t tableName, name string) (string, []any) {
	return "SELECT TOP (1) '1' FROM sys.index_columns i JOIN sys.columns c ON c.object_id = i.object_id AND c.column_id = i.column_id" +
		" WHERE i.object_id = OBJECT_ID(@p1) AND c.name = @p2 AND i.key_ordinal = 1", []any{t.quoted(s), name}
}

func (sqlServer) text(c *column, e string) string {
	switch c.kind {
	case integer:
		return "CONVERT(varchar(20), " + e + ")"
	case decimal:
		if strings.HasSuffix(c.base, "money") {
			return "CONVERT(varchar(40), " + e + ", 2)"
		}
		return "CONVERT(varchar(42), " + e + ")"
	case float:
		return "CONVERT(varchar(40), " + e + ", 3)"
	case instant:
		return "REPLACE(CONVERT(varchar(40), SWITCHOFFSET(" + e + ", '+00:00'), 121), ' +', '+')"
	case wallTime:
		return "CONVERT(varchar(30), " + e + ", 121)"
	case date:
		return "CONVERT(varchar(10), " + e + ", 23)"
	case rowversion:
		return "LOWER(CONVERT(varchar(16), CONVERT(binary(8), " + e + "), 2))"
	case octets:
		return "LOWER(CONVERT(varchar(max), CONVERT(varbinary(max), " + e + "), 2))"
	}
	switch c.base {
	case "uniqueidentifier":
		return "LOWER(CONVERT(varchar(36), " + e + "))"
	case "time":
		return "CONVERT(varchar(16), " + e + ", 121)"
	case "geometry", "geography", "hierarchyid":
		return e + ".ToString()"
	case "text", "ntext", "xml", "sql_variant":
		return "CONVERT(nvarchar(max), " + e + ")"
	}
	return e
}

func (sqlServer) typed(c *column, n int) string {
	p := "@p" + strconv.Itoa(n)
	switch {
	case c.kind == instant: // the form of ISO 8601 is read alike in every language of the server
		return "CAST(" + p + " AS " + c.declared + ")"
	case c.kind == wallTime:
		return "CONVERT(" + c.declared + ", " + p + ", 121)"
	case c.kind == date:
		return "CONVERT(date, " + p + ", 23)"
	case c.kind == rowversion:
		return "CONVERT(binary(8), " + p + ", 2)"
	case c.kind == octets:
		return "CONVERT(varbinary(8000), " + p + ", 2)"
	case c.base == "char" || c.base == "varchar": // else the column is made Unicode and its index is of no use
		return "CONVERT(" + c.declared + ", " + p + collate(c) + ")"
	case c.base == "uniqueidentifier" || c.base == "time":
		return "CONVERT(" + c.base + ", " + p + ")"
	case c.kind == textual || c.kind == other:
		return p
	}
	return "CONVERT(" + c.declared + ", " + p + ")"
}

func collate(c *column) string {
	if c.collated == "" {
		return ""
	}
	return " COLLATE " + c.collated
}

func (sqlServer) now(c *column, seconds int) string {
	wall := fmt.Sprintf("DATEADD(second, %d, SYSUTCDATETIME())", seconds)
	switch c.kind {
	case instant:
		return "SYSDATETIMEOFFSET()"
	case wallTime, date:
		return "CAST(" + wall + " AS " + c.declared + ")"
	}
	return ""
}

func (sqlServer) back(c *column, e string, by overlap) string {
	switch c.kind {
	case instant, wallTime:
		// A number of milliseconds has to fit into an int.
		return fmt.Sprintf("DATEADD(millisecond, -%d, DATEADD(second, -%d, %s))", by.duration.Milliseconds()%1000, int64(by.duration.Seconds()), e)
	case date:
		return fmt.Sprintf("DATEADD(day, -%d, %s)", by.days(), e)
	}
	return e + " - " + strconv.FormatInt(by.number, 10)
}

func (sqlServer) page(columns, rest string, n int) string {
	return "SELECT TOP (" + strconv.Itoa(n) + ") " + columns + " FROM " + rest
}

func (sqlServer) failure(err error) (code, problem string, ok bool) {
	var e driver.Error
	if !errors.As(err, &e) {
		return "", "", false
	}
	return "error " + strconv.Itoa(int(e.Number)), map[int32]string{
		18456: "login_failed", 18486: "login_failed", 18487: "login_failed", 4060: "no_such_database", 229: "no_right_to_read", 230: "no_right_to_read",
		208: "no_such_table", 207: "no_such_column", 1222: "locked",
	}[e.Number], true
}

func (s sqlServer) grant(t tableName, user string) string {
	return fmt.Sprintf("GRANT SELECT ON %s TO %s", t.quoted(s), s.quote(user))
}
