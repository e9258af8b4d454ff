package query

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

const connectTimeout = 10 * time.Second

// session is one connection to the department's database, set up by the dialect.
type session struct {
	settings settings
	db       *sql.DB
	conn     *sql.Conn
	seconds  int // the wall clock that local times are on is ahead of UTC
}

// connect opens a session. The error is a refusal, or that of ctx.
func (s settings) connect(ctx context.Context) (*session, error) {
	password, err := s.password.Reveal()
	if err != nil {
		return nil, refuse("login_failed", "the password cannot be read (%v); mend with.password", errors.Unwrap(err))
	}
	encryption, err := s.encryption()
	if err != nil {
		return nil, err
	}
	db, err := s.dialect.open(s, password, encryption)
	if err != nil {
		return nil, s.explain(err, nil)
	}
	db.SetMaxOpenConns(1)
	opened := &session{settings: s, db: db}
	if err := opened.begin(ctx); err != nil {
		opened.close()
		return nil, err
	}
	return opened, nil
}

func (s *session) begin(ctx context.Context) (err error) {
	limited, cancel := context.WithTimeout(ctx, connectTimeout+s.settings.timeout)
	defer cancel()
	if s.conn, err = s.db.Conn(limited); err != nil {
		return s.settings.explain(err, nil)
	}
	if s.settings.zone != nil {
		_, s.seconds = time.Now().In(s.settings.zone).Zone()
	} else if s.seconds, err = s.number(limited, statement{text: s.settings.dialect.offset()}); err != nil {
		return err
	}
	for _, text := range s.settings.dialect.session(s.settings.timeout) {
		if _, err := s.conn.ExecContext(limited, text); err != nil {
			return s.settings.explain(err, nil)
		}
	}
	return nil
}

func (s *session) close() {
	if s.conn != nil {
		s.conn.Close()
	}
	s.db.Close()
}

// encryption is nil for none.
func (s settings) encryption() (*tls.Config, error) {
	if s.tls == "off" {
		return nil, nil
	}
	c := &tls.Config{ServerName: s.host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.tls == "unverified"}
	if s.ca == "" {
		return c, nil
	}
	pem, err := os.ReadFile(s.ca)
	if err != nil {
		return nil, refuse("tls_failed", "the certificate of the authority %s cannot be read (%v); mend with.ca", s.ca, errors.Unwrap(err))
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, refuse("tls_failed", "%s holds no certificate in PEM; mend with.ca", s.ca)
	}
	return c, nil
}

// rows calls fn with each row of an answer; what fn gets is valid during the call only. Fn returns false to have no more.
func (s *session) rows(ctx context.Context, q statement, t *tableSettings, fn func(values []sql.NullString) (bool, error)) error {
	limited, cancel := context.WithTimeout(ctx, s.settings.timeout)
	defer cancel()
	rows, err := s.conn.QueryContext(limited, q.text, q.args...)
	if err != nil {
		return s.settings.explain(err, t)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return s.settings.explain(err, t)
	}
	values, into := make([]sql.NullString, len(names)), make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return s.settings.explain(err, t)
		}
		if more, err := fn(values); err != nil || !more {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return s.settings.explain(err, t)
	}
	return nil
}

// one is the first value of an answer; "" when there is none or it is NULL.
func (s *session) one(ctx context.Context, q statement, t *tableSettings) (text string, err error) {
	err = s.rows(ctx, q, t, func(values []sql.NullString) (bool, error) {
		text = strings.Clone(values[0].String)
		return false, nil
	})
	return text, err
}

func (s *session) number(ctx context.Context, q statement) (int, error) {
	text, err := s.one(ctx, q, nil)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		return 0, refuse("database_error", "the database answers a question for a number with something else; is with.driver the right one?")
	}
	return n, nil
}

// explain turns what a driver says into a refusal. The database's own words may quote a value (I7) and are left out; its
// code tells its administrator as much. An error of ctx passes.
func (s settings) explain(err error, t *tableSettings) error {
	var no *refusal
	if errors.As(err, &no) || errors.Is(err, context.Canceled) {
		return err
	}
	server := net.JoinHostPort(s.host, strconv.Itoa(s.port))
	no = &refusal{cause: errors.New("left out"), lost: true}
	code, problem, fromDatabase := s.dialect.failure(err)
	var opaque *net.OpError
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var otherHost x509.HostnameError
	var header tls.RecordHeaderError
	var verification *tls.CertificateVerificationError
	switch {
	case fromDatabase:
		no.lost = t == nil
	case errors.Is(err, context.DeadlineExceeded):
		problem = "slow_query"
	case errors.As(err, &unknown), errors.As(err, &invalid), errors.As(err, &otherHost), errors.As(err, &header), errors.As(err, &verification),
		strings.Contains(strings.ToLower(err.Error()), "tls"):
		problem = "tls_failed"
	case errors.As(err, &opaque):
		code = opaque.Err.Error()
		problem = "unreachable"
	default:
		problem = "unreachable"
	}
	no.problem = problem
	if problem == "" {
		no.problem = "database_error"
	}
	no.message = s.sentence(no.problem, server, code, t)
	return no
}

// sentence says what happened and what to do.
func (s settings) sentence(problem, server, code string, t *tableSettings) string {
	name, grant := "", ""
	if t != nil {
		name, grant = t.name, s.dialect.grant(s.named(*t), s.user)
	}
	if code != "" {
		code = " (" + code + ")"
	}
	switch problem {
	case "login_failed":
		return fmt.Sprintf("the database at %s refuses the user %s%s; mend with.user and with.password, or have the account unlocked", server, s.user, code)
	case "no_such_database":
		return fmt.Sprintf("there is no database %s at %s, or the user %s may not use it%s; mend with.database", s.database, server, s.user, code)
	case "tls_failed":
		return fmt.Sprintf("the connection to %s cannot be encrypted as with.tls asks%s; set with.ca to the authority that signed the server's certificate, or with.tls: off if the server has none", server, code)
	case "no_right_to_read":
		return fmt.Sprintf("the user %s may not read the table %s%s; its administrator runs: %s", s.user, name, code, grant)
	case "no_such_table":
		return fmt.Sprintf("there is no table %s, or the user %s may not see it%s; write it as the database's catalog does, or its administrator runs: %s", name, s.user, code, grant)
	case "no_such_column":
		return fmt.Sprintf("a column of the table %s was not there when it was read%s; it is looked at anew", name, code)
	case "slow_query":
		return fmt.Sprintf("the database at %s took longer than query_timeout (%s)%s; an index on the watermark and the key makes it fast, a smaller chunk_rows too", server, s.timeout, code)
	case "locked":
		return fmt.Sprintf("rows of the table %s were locked by a writer for longer than query_timeout (%s)%s; they are read at the next poll", name, s.timeout, code)
	case "unreachable":
		return fmt.Sprintf("the database at %s does not answer%s; check the address, the network and whether it runs", server, code)
	}
	return fmt.Sprintf("the database at %s reports %s while the table %s is read; its administrator finds the words in the server's log", server, strings.Trim(code, " ()"), name)
}
