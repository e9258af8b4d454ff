package query

import (
	"crypto/tls"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	driver "github.com/sijms/go-ora/v2"
	"github.com/sijms/go-ora/v2/network"
)

// oracle is Oracle Database from 11g on.
type oracle struct{}

func (oracle) port() int { return 1521 }

func (oracle) open(s settings, password string, encryption *tls.Config) (*sql.DB, error) {
	options := map[string]string{"CONNECT TIMEOUT": strconv.Itoa(int(connectTimeout.Seconds()))}
	if encryption != nil {
		options["SSL"] = "true"
	}
	connector := driver.NewConnector(driver.BuildUrl(s.host, s.port, s.database, s.user, password, options))
	if c, ok := connector.(*driver.OracleConnector); ok && encryption != nil {
		c.WithTLSConfig(encryption)
	}
	return sql.OpenDB(connector), nil
}

func (oracle) offset() string {
	return "SELECT TO_CHAR(EXTRACT(TIMEZONE_HOUR FROM SYSTIMESTAMP) * 3600 + EXTRACT(TIMEZONE_MINUTE FROM SYSTIMESTAMP) * 60) FROM DUAL"
}

func (oracle) session(time.Duration) []string {
	return []string{
		"ALTER SESSION SET TIME_ZONE = '+00:00'",
		"ALTER SESSION SET NLS_NUMERIC_CHARACTERS = '.,'",
		// Order and comparison by bytes agree with each other and with the indexes.
		"ALTER SESSION SET NLS_SORT = BINARY NLS_COMP = BINARY",
	}
}

func (oracle) quote(name string) string { return doubled(name, `"`, `"`) }

func (oracle) catalog(t tableName) (string, []any) {
	return "SELECT column_name, data_type, TO_CHAR(char_length), TO_CHAR(data_precision), TO_CHAR(data_scale), nullable, char_used, TO_CHAR(data_length)" +
		" FROM all_tab_columns WHERE owner = :1 AND table_name = :2 ORDER BY column_id", []any{t.schema, t.name}
}

func (oracle) column(f []string) column {
	c := column{name: f[0], declared: f[1], base: f[1], size: atoi(f[2]), scale: atoi(f[4]), nullable: f[5] != "N"}
	switch base, _, _ := strings.Cut(c.base, "("); {
	case c.base == "NUMBER":
		c.kind, c.fix = decimal, leadingZero
		if f[3] != "" && f[4] != "" {
			c.declared = "NUMBER(" + f[3] + "," + f[4] + ")"
		}
		if f[4] == "0" {
			c.kind = integer
		}
	case c.base == "FLOAT":
		c.kind, c.fix = decimal, leadingZero
	case c.base == "BINARY_FLOAT":
		c.kind, c.fix = float, shortest(32)
	case c.base == "BINARY_DOUBLE":
		c.kind, c.fix = float, shortest(64)
	case c.base == "DATE":
		c.kind, c.scale = wallTime, 0
	case base == "TIMESTAMP" && strings.HasSuffix(c.base, "TIME ZONE"):
		c.kind = instant
	case base == "TIMESTAMP":
		c.kind = wallTime
	case c.base == "RAW":
		c.kind, c.declared = octets, "RAW("+f[7]+")"
	case c.base == "BLOB" || c.base == "LONG RAW" || c.base == "BFILE":
		c.kind, c.fix = octets, func(s string) string { return hex.EncodeToString([]byte(s)) }
	case strings.HasSuffix(c.base, "CHAR") || strings.HasSuffix(c.base, "CHAR2"):
		c.declared = c.base + "(" + f[2]
		if f[6] == "C" && !strings.HasPrefix(c.base, "N") {
			c.declared += " CHAR"
		}
		c.declared += ")"
	case base == "INTERVAL YEAR" || base == "INTERVAL DAY" || c.base == "XMLTYPE" || c.base == "ROWID" || c.base == "UROWID" || c.base == "JSON" || c.base == "BOOLEAN":
		c.kind = other
	}
	return c
}

// leadingZero puts back the zero before the point that Oracle leaves out.
func leadingZero(s string) string {
	if rest, ok := strings.CutPrefix(s, "-."); ok {
		return "-0." + rest
	}
	if strings.HasPrefix(s, ".") {
		return "0" + s
	}
	return s
}

func (oracle) indexed(t tableName, name string) (string, []any) {
	return "SELECT '1' FROM all_ind_columns WHERE table_owner = :1 AND table_name = :2 AND column_name = :3 AND column_position = 1 AND ROWNUM = 1",
		[]any{t.schema, t.name, name}
}

const oracleSecond = "YYYY-MM-DD HH24:MI:SS"

// fraction is the format of the digits after the second.
func fraction(c *column) string {
	if c.scale <= 0 {
		return ""
	}
	return ".FF" + strconv.Itoa(c.scale)
}

func (oracle) text(c *column, e string) string {
	switch {
	case c.kind == integer || c.kind == decimal || c.kind == float:
		return "TO_CHAR(" + e + ", 'TM9')"
	case strings.HasSuffix(c.base, "LOCAL TIME ZONE"): // the session's, which is UTC
		return "TO_CHAR(" + e + ", '" + oracleSecond + fraction(c) + "\"+00:00\"')"
	case c.kind == instant:
		return "TO_CHAR(SYS_EXTRACT_UTC(" + e + "), '" + oracleSecond + fraction(c) + "\"+00:00\"')"
	case c.kind == wallTime:
		return "TO_CHAR(" + e + ", '" + oracleSecond + fraction(c) + "')"
	case c.base == "RAW":
		return "LOWER(RAWTOHEX(" + e + "))"
	case c.base == "XMLTYPE":
		return "XMLSERIALIZE(CONTENT " + e + " AS CLOB)"
	case c.base == "JSON":
		return "JSON_SERIALIZE(" + e + " RETURNING CLOB)"
	case strings.HasSuffix(c.base, "ROWID"):
		return "ROWIDTOCHAR(" + e + ")"
	case c.base == "BOOLEAN":
		return "CASE " + e + " WHEN TRUE THEN 'true' WHEN FALSE THEN 'false' END"
	case c.kind == other:
		return "TO_CHAR(" + e + ")"
	}
	return e
}

func (oracle) typed(c *column, n int) string {
	p := ":" + strconv.Itoa(n)
	switch {
	case c.base == "BINARY_FLOAT" || c.base == "BINARY_DOUBLE":
		return "TO_" + c.base + "(" + p + ")"
	case c.kind == integer || c.kind == decimal:
		return "TO_NUMBER(" + p + ")"
	case c.kind == instant:
		return "TO_TIMESTAMP_TZ(" + p + ", '" + oracleSecond + fraction(c) + "TZH:TZM')"
	case c.base == "DATE":
		return "TO_DATE(" + p + ", '" + oracleSecond + "')"
	case c.kind == wallTime:
		return "TO_TIMESTAMP(" + p + ", '" + oracleSecond + fraction(c) + "')"
	case c.kind == octets:
		return "HEXTORAW(" + p + ")"
	case c.base == "CHAR" || c.base == "NCHAR": // otherwise compared without its blanks
		return "CAST(" + p + " AS " + c.declared + ")"
	}
	return p
}

func (oracle) now(c *column, seconds int) string {
	switch {
	case c.kind == instant:
		return "SYSTIMESTAMP"
	case c.base == "DATE":
		return fmt.Sprintf("CAST(SYS_EXTRACT_UTC(SYSTIMESTAMP) + NUMTODSINTERVAL(%d, 'SECOND') AS DATE)", seconds)
	case c.kind == wallTime:
		return fmt.Sprintf("SYS_EXTRACT_UTC(SYSTIMESTAMP) + NUMTODSINTERVAL(%d, 'SECOND')", seconds)
	}
	return ""
}

func (oracle) back(c *column, e string, by overlap) string {
	switch c.kind {
	case instant, wallTime:
		return e + " - NUMTODSINTERVAL(" + by.seconds() + ", 'SECOND')"
	}
	return e + " - " + strconv.FormatInt(by.number, 10)
}

// page does without FETCH FIRST, which 11g lacks.
func (oracle) page(columns, rest string, n int) string {
	return "SELECT * FROM (SELECT " + columns + " FROM " + rest + ") WHERE ROWNUM <= " + strconv.Itoa(n)
}

func (oracle) failure(err error) (code, problem string, ok bool) {
	var e *network.OracleError
	if !errors.As(err, &e) {
		return "", "", false
	}
	return fmt.Sprintf("ORA-%05d", e.ErrCode), map[int]string{
		1017: "login_failed", 28000: "login_failed", 28001: "login_failed", 1045: "login_failed", 12514: "no_such_database", 12505: "no_such_database",
		942: "no_such_table", 1031: "no_right_to_read", 904: "no_such_column", 1013: "slow_query", 54: "locked",
	}[e.ErrCode], true
}

func (o oracle) grant(t tableName, user string) string {
	return fmt.Sprintf("GRANT CREATE SESSION TO %s; GRANT SELECT ON %s TO %s", strings.ToUpper(user), t.quoted(o), strings.ToUpper(user))
}
