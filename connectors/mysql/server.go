package mysql

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-sql-driver/mysql"
)

// server is a connection for questions; the binlog comes over one of its own.
type server struct {
	conn     *sql.Conn
	db       *sql.DB
	settings *settings
	flavor   flavor
	version  version
	id       string // tells the server apart from others behind the same address
	tls      *tls.Config
	charsets map[uint64]string // by collation
	decoders map[string]charset
}

// version of a server, such as 10.11.19.
type version [3]int

func (v version) since(other version) bool { return slices.Compare(v[:], other[:]) >= 0 }

var digits = regexp.MustCompile(`\d+`)

// parseVersion reads what SELECT VERSION() says. MariaDB may put 5.5.5- in front of its own for old clients.
func parseVersion(text string) (f flavor, v version) {
	f = mysqlFlavor
	if strings.Contains(strings.ToLower(text), "mariadb") {
		f, text = mariaDBFlavor, strings.TrimPrefix(text, "5.5.5-")
	}
	for i, n := range digits.FindAllString(text, 3) {
		v[i], _ = strconv.Atoi(n)
	}
	return f, v
}

const dialTimeout = 10 * time.Second

// longWrite is how long the server waits for us to take what it sends, in seconds: the bus may hold us back.
const longWrite = "3600"

func (s *settings) tlsConfig() (*tls.Config, error) {
	host, _, _ := net.SplitHostPort(s.Address)
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if s.CA != "" {
		pem, err := os.ReadFile(s.CA)
		if err != nil {
			return nil, fmt.Errorf("the authority in with.ca cannot be read: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM form", s.CA)
		}
	}
	switch s.TLS {
	case "disable":
		return nil, nil
	case "prefer", "require":
		c.InsecureSkipVerify = true // encrypted, and no word on whose server it is
	case "verify-ca":
		roots := c.RootCAs
		c.InsecureSkipVerify = true // the name is left out, the chain is not
		c.VerifyConnection = func(state tls.ConnectionState) error {
			o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
			for _, cert := range state.PeerCertificates[1:] {
				o.Intermediates.AddCert(cert)
			}
			_, err := state.PeerCertificates[0].Verify(o)
			return err
		}
	}
	return c, nil
}

// connect opens the connection for questions and finds out whose server it is.
func (s *settings) connect(ctx context.Context) (*server, error) {
	password, err := s.Password.Reveal()
	if err != nil {
		return nil, fmt.Errorf("the password in with.password cannot be read: %w", err)
	}
	secure, err := s.tlsConfig()
	if err != nil {
		return nil, err
	}
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr = s.User, password, "tcp", s.Address
	c.TLS, c.AllowFallbackToPlaintext = secure, s.TLS == "prefer"
	c.Timeout, c.Logger, c.AllowNativePasswords = dialTimeout, quiet{}, true
	c.Params = map[string]string{
		"time_zone":             "'+00:00'", // TIMESTAMP in UTC, whatever zone the server is in
		"sql_mode":              "''",       // CHAR without the blanks that PAD_CHAR_TO_FULL_LENGTH adds
		"character_set_results": "NULL",     // text in the column's own bytes, as the binlog has it
		"net_write_timeout":     longWrite,
		"wait_timeout":          "86400",
	}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	v := &server{db: sql.OpenDB(connector), settings: s, decoders: map[string]charset{}}
	if v.conn, err = v.db.Conn(ctx); err != nil {
		v.close()
		return nil, fmt.Errorf("the server at %s cannot be reached as user %s: %w", s.Address, s.User, err)
	}
	if err := v.discover(ctx); err != nil {
		v.close()
		return nil, fmt.Errorf("the server at %s: %w", s.Address, err)
	}
	if v.tls = secure; s.TLS == "prefer" {
		// What the library for the binlog cannot find out by itself, this connection has.
		if cipher, err := v.variable(ctx, "SHOW SESSION STATUS LIKE 'Ssl_cipher'"); err != nil || cipher == "" {
			v.tls = nil
		}
	}
	return v, nil
}

func (v *server) close() {
	if v.conn != nil {
		v.conn.Close()
	}
	v.db.Close()
}

// quiet keeps the libraries' own chatter out of the log. What fails is returned to the caller as well.
type quiet struct{}

func (quiet) Print(...any) {}

var silent = slog.New(slog.DiscardHandler)

func (v *server) discover(ctx context.Context) error {
	var text string
	if err := v.conn.QueryRowContext(ctx, "SELECT VERSION()").Scan(&text); err != nil {
		return err
	}
	v.flavor, v.version = parseVersion(text)
	least := version{5, 7, 0}
	if v.flavor == mariaDBFlavor {
		least = version{10, 1, 0}
	}
	if !v.version.since(least) {
		return fmt.Errorf("version %s is older than what can be read: MySQL 5.7, MariaDB 10.1", text)
	}
	if err := v.conn.QueryRowContext(ctx, identity).Scan(&v.id); err != nil {
		return err
	}
	if _, err := v.conn.ExecContext(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"); err != nil {
		return err
	}
	return v.collations(ctx)
}

// identity is the same for all connections to one server and another for each server.
const identity = "SELECT CONCAT_WS('/', @@hostname, @@port, @@server_id)"

func (v *server) collations(ctx context.Context) error {
	rows, err := v.conn.QueryContext(ctx, "SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY WHERE ID IS NOT NULL")
	if code(err) == badField { // MySQL, and MariaDB before 10.10
		rows, err = v.conn.QueryContext(ctx, "SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS WHERE ID IS NOT NULL")
	}
	if err != nil {
		return err
	}
	defer rows.Close()
	v.charsets = map[uint64]string{}
	for rows.Next() {
		var id uint64
		var name string
		if err := rows.Scan(&id, &name); err != nil {
			return err
		}
		v.charsets[id] = name
	}
	return rows.Err()
}

// Error numbers of the server.
const (
	badField         = 1054
	accessDenied     = 1227
	tableDenied      = 1142
	binlogFatal      = 1236
	unknownVariable  = 1193
	userAccessDenied = 1045
)

// code is the number of a server's error, from either library; 0 when it is none.
func code(err error) uint16 {
	var asked *mysql.MySQLError
	if errors.As(err, &asked) {
		return asked.Number
	}
	var streamed *gomysql.MyError
	if errors.As(err, &streamed) {
		return streamed.Code
	}
	return 0
}

// variable is the value of SHOW ... LIKE; "" when the server has no such.
func (v *server) variable(ctx context.Context, show string) (string, error) {
	var name string
	var value sql.NullString
	err := v.conn.QueryRowContext(ctx, show).Scan(&name, &value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value.String, err
}

func (v *server) global(ctx context.Context, name string) (string, error) {
	return v.variable(ctx, "SHOW GLOBAL VARIABLES LIKE '"+name+"'")
}

// requirement is a setting of the server without which its binlog cannot be read.
type requirement struct {
	name string
	good []string // values that will do; "" also stands for a server that has no such setting
	do   string
}

func (v *server) requirements() []requirement {
	all := []requirement{
		{"log_bin", []string{"ON"}, "start it with log_bin=binlog and a server_id of its own in its configuration"},
		{"binlog_format", []string{"ROW", ""}, "SET GLOBAL binlog_format=ROW, and binlog_format=ROW in its configuration"},
		{"binlog_row_image", []string{"FULL", "FULL_NODUP"}, "SET GLOBAL binlog_row_image=FULL, and binlog_row_image=FULL in its configuration"},
	}
	if v.flavor == mysqlFlavor {
		all = append(all,
			requirement{"gtid_mode", []string{"ON"}, "SET GLOBAL enforce_gtid_consistency=ON, then gtid_mode to OFF_PERMISSIVE, ON_PERMISSIVE and ON, one after the other, and both in its configuration: without GTIDs a snapshot cannot be proven to fit the binlog"},
			requirement{"binlog_row_value_options", []string{""}, "SET GLOBAL binlog_row_value_options=''"},
			requirement{"binlog_transaction_compression", []string{"OFF", ""}, "SET GLOBAL binlog_transaction_compression=OFF"})
	}
	return all
}

// errServer is a server that is not set up for it.
var errServer = errors.New("the server is not set up for it")

// check proves that the server writes down what has to be read.
func (v *server) check(ctx context.Context, schemas []string) error {
	var problems []string
	for _, r := range v.requirements() {
		value, err := v.global(ctx, r.name)
		if err != nil {
			return err
		}
		if !slices.Contains(r.good, strings.ToUpper(value)) {
			problems = append(problems, fmt.Sprintf("%s is %q; %s", r.name, value, r.do))
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("%w: %s", errServer, strings.Join(problems, ". "))
	}
	s, err := v.status(ctx)
	if err != nil {
		return err
	}
	for _, schema := range schemas {
		if len(s.only) > 0 && !slices.Contains(s.only, schema) || slices.Contains(s.ignored, schema) {
			return fmt.Errorf("%w: the binlog leaves out the database %s; take it out of binlog_do_db and binlog_ignore_db in the server's configuration", errServer, schema)
		}
	}
	return nil
}

// status is where the binlog stands.
type status struct {
	at            place
	only, ignored []string // databases
	executed      string   // MySQL: the GTIDs
}

// statusStatement is how the server is asked for it: the name changed.
func (v *server) statusStatement() string {
	if v.flavor == mysqlFlavor && v.version.since(version{8, 2, 0}) {
		return "SHOW BINARY LOG STATUS"
	}
	return "SHOW MASTER STATUS"
}

func (v *server) status(ctx context.Context) (s status, err error) {
	rows, err := v.conn.QueryContext(ctx, v.statusStatement())
	if code(err) == accessDenied {
		return s, fmt.Errorf("%w: the user may not see where the binlog stands; run %s", errServer, v.grant(ctx, v.monitorPrivilege(), "*.*"))
	}
	if err != nil {
		return s, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return s, err
	}
	if !rows.Next() {
		return s, errors.Join(fmt.Errorf("%w: it writes no binlog", errServer), rows.Err())
	}
	texts := make([]sql.NullString, max(len(columns), 5))
	into := make([]any, len(columns))
	for i := range into {
		into[i] = &texts[i]
	}
	if err := rows.Scan(into...); err != nil {
		return s, err
	}
	s.at.file = texts[0].String
	s.at.offset, err = strconv.ParseUint(texts[1].String, 10, 64)
	s.only, s.ignored, s.executed = list(texts[2].String), list(texts[3].String), texts[4].String
	return s, err
}

func list(text string) (out []string) {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

func (v *server) monitorPrivilege() string {
	if v.flavor == mariaDBFlavor && v.version.since(version{10, 5, 2}) {
		return "BINLOG MONITOR"
	}
	return "REPLICATION CLIENT"
}

// grant is the statement that gives the user a privilege.
func (v *server) grant(ctx context.Context, privilege, on string) string {
	var user string
	if v.conn.QueryRowContext(ctx, "SELECT CURRENT_USER()").Scan(&user) != nil {
		user = v.settings.User + "@%"
	}
	at := strings.LastIndexByte(user, '@')
	return fmt.Sprintf("GRANT %s ON %s TO '%s'@'%s'", privilege, on, user[:max(at, 0)], user[at+1:])
}

// end is the binlog's present end: where it is, and all transactions before it.
type end struct {
	at   place
	done gtids
}

func (v *server) end(ctx context.Context) (e end, err error) {
	s, err := v.status(ctx)
	if err != nil {
		return e, err
	}
	text := s.executed
	if v.flavor == mariaDBFlavor {
		var found sql.NullString
		if err := v.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT BINLOG_GTID_POS('%s', %d)", s.at.file, s.at.offset)).Scan(&found); err != nil {
			return e, err
		}
		text = found.String
	}
	e.at = s.at
	e.done, err = parseGTIDs(v.flavor, text)
	return e, err
}

// place is a place in the binlog as this server has it.
type place struct {
	file   string
	offset uint64
}

// before compares places of one server: its files are numbered.
func (p place) before(q place) bool {
	a, b := fileNumber(p.file), fileNumber(q.file)
	return a < b || a == b && p.offset < q.offset
}

func fileNumber(name string) uint64 {
	n, _ := strconv.ParseUint(name[strings.LastIndexByte(name, '.')+1:], 10, 64)
	return n
}

// expiry is how long the server keeps its binlog; 0 for ever.
func (v *server) expiry(ctx context.Context) (time.Duration, error) {
	for _, name := range []struct {
		variable string
		unit     time.Duration
	}{{"binlog_expire_logs_seconds", time.Second}, {"expire_logs_days", 24 * time.Hour}} {
		value, err := v.global(ctx, name.variable)
		if err != nil {
			return 0, err
		}
		if n, err := strconv.ParseFloat(value, 64); err == nil && n > 0 {
			return time.Duration(n * float64(name.unit)), nil
		}
	}
	return 0, nil
}
