package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

// sessionSettings are the same for every connection, so that a value reads the same from a snapshot and from the stream.
func (c *Connector) sessionSettings() map[string]string {
	return map[string]string{
		"application_name":   "shire " + c.Source.Name,
		"client_encoding":    "UTF8",
		"timezone":           "UTC",
		"datestyle":          "ISO, YMD",
		"intervalstyle":      "iso_8601",
		"bytea_output":       "hex",
		"extra_float_digits": "3",
		"xmlbinary":          "base64",
		"search_path":        "pg_catalog",
		// A policy that hides rows from this user makes the read fail; it does not make records vanish (I4).
		"row_security":                        "off",
		"statement_timeout":                   "0",
		"idle_in_transaction_session_timeout": "0",
	}
}

// config is how the database at an address is reached. Nothing is taken from the environment's PG variables.
func (c *Connector) config(address string) (*pgx.ConnConfig, error) {
	s := &c.settings
	query := url.Values{"sslmode": {s.TLS}, "connect_timeout": {"15"}, "passfile": {"/dev/null"}}
	if s.CA != "" {
		query.Set("sslrootcert", s.CA)
	}
	u := url.URL{Scheme: "postgres", User: url.User(s.User), Host: address, Path: "/" + s.Database, RawQuery: query.Encode()}
	config, err := pgx.ParseConfig(u.String())
	if err != nil {
		return nil, fmt.Errorf("the settings of the connection cannot be used: %w", err)
	}
	if config.Password, err = s.Password.Reveal(); err != nil {
		return nil, fmt.Errorf("the password cannot be read: %w", err)
	}
	config.RuntimeParams = c.sessionSettings()
	// Parameters are given as text, and the server finds their types: nothing depends on what this client knows of types.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	// A query that is given up is given up on the server too.
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: 2 * time.Second}
	}
	return config, nil
}

// connect reaches the primary among the addresses, and says which one it is.
func (c *Connector) connect(ctx context.Context) (conn *pgx.Conn, address string, err error) {
	var problems []error
	for _, address := range c.settings.Addresses {
		conn, err := c.connectTo(ctx, address)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		var standby bool
		if err = conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&standby); err == nil && standby {
			err = refuse("standby", "%s is a standby; name the primary under with.address, or several addresses of which one is the primary", address)
		}
		if err == nil {
			return conn, address, nil
		}
		hangUp(conn)
		problems = append(problems, plain(err))
	}
	if len(problems) == 1 {
		return nil, "", problems[0]
	}
	return nil, "", errors.Join(problems...)
}

func (c *Connector) connectTo(ctx context.Context, address string) (*pgx.Conn, error) {
	config, err := c.config(address)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, c.unreachable(address, err)
	}
	return conn, nil
}

// connectStream opens the session that the changes come through.
func (c *Connector) connectStream(ctx context.Context, address string) (*pgconn.PgConn, error) {
	config, err := c.config(address)
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["replication"] = "database"
	config.BuildFrontend, config.DialFunc = gatheringFrontend, dial
	conn, err := pgconn.ConnectConfig(ctx, &config.Config)
	if err != nil {
		return nil, c.unreachable(address, err)
	}
	return conn, nil
}

func (c *Connector) unreachable(address string, err error) error {
	user := quote(c.settings.User)
	switch codeOf(err) {
	case "42501":
		return refuse("no_replication_right", "%s may not read the stream of changes; run ALTER ROLE %s REPLICATION; on %s", c.settings.User, user, address)
	case "28000":
		return refuse("no_access", "%s does not let %s in from here: %v; pg_hba.conf needs a line for database %s (logical replication counts as a connection to the database)", address, c.settings.User, plain(err), c.settings.Database)
	case "28P01":
		return refuse("no_access", "%s refuses the password of %s; mend with.password", address, c.settings.User)
	case "3D000":
		return refuse("no_access", "there is no database %s at %s; mend with.database", c.settings.Database, address)
	}
	return fmt.Errorf("the database at %s cannot be reached: %w", address, plain(err))
}

func hangUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn.Close(ctx)
}

// serverError is an error of the server in its own words, without those that may hold a value of a record (I7): detail,
// hint and context, and the message itself where it is about data.
type serverError struct{ code, message string }

func (e *serverError) Error() string {
	return fmt.Sprintf("the server says: %s (%s)", e.message, e.code)
}

// plain makes an error fit to be shown.
func plain(err error) error {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return err
	}
	message := pe.Message
	if strings.HasPrefix(pe.Code, "22") || strings.HasPrefix(pe.Code, "23") {
		message = "a value cannot be used"
	}
	return &serverError{pe.Code, message}
}

// codeOf is the SQLSTATE of an error, "" when it is not the server's.
func codeOf(err error) string {
	if se, ok := errors.AsType[*serverError](err); ok {
		return se.code
	}
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pe.Code
	}
	return ""
}

// refusal is what keeps a source from being read until somebody does something about it.
type refusal struct {
	problem, dataset, unit, message string
}

func (r *refusal) Error() string { return r.message }

func refuse(problem, format string, args ...any) *refusal {
	return &refusal{problem: problem, message: fmt.Sprintf(format, args...)}
}

// of says which table a refusal is about.
func (r *refusal) of(f *feed) *refusal {
	r.dataset, r.unit = f.dataset.Name, f.unit
	return r
}

// quote writes a name as SQL does.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func quoteText(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// list writes names, quoted, with commas.
func list(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = quote(n)
	}
	return strings.Join(quoted, ", ")
}
