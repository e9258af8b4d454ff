package query

import (
	"crypto/tls"
	"database/sql"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kind is how a column's values are ordered, bounded and written.
type kind int

const (
	textual kind = iota
	integer
	decimal
	float
	instant  // a time with a zone
	wallTime // a date and time without
	date
	octets
	rowversion // SQL Server's own counter of changes
	other      // ordered and compared as the text that it is shown as
)

// column is a column of a table.
type column struct {
	name     string
	declared string // in the database's own words: numeric(12,2)
	kind     kind
	base     string // the type's name alone, in the letters of the database
	size     int    // characters of a text of fixed length
	scale    int    // of a number, or digits of a second; negative when the database does not say
	nullable bool
	collated string                   // SQL Server: the collation of a text
	fix      func(text string) string // what is left to do with the text that the database gives; nil: nothing
}

// dialect is what differs between databases. Statements are put together in statements.go.
type dialect interface {
	port() int
	// open makes a pool; encryption is nil for none.
	open(s settings, password string, encryption *tls.Config) (*sql.DB, error)
	// offset asks for the seconds by which the server's own clock on the wall is ahead of UTC, before session is done.
	offset() string
	// session makes a session read only, in UTC, and its texts the same whatever the server is set to.
	session(timeout time.Duration) []string
	quote(name string) string
	// catalog asks for the columns of a table in order; column makes one of a row of it.
	catalog(t tableName) (string, []any)
	column(fields []string) column
	// indexed gives a row when an index begins with the column.
	indexed(t tableName, name string) (string, []any)
	// text is the expression as text; typed the n-th placeholder, which holds such a text, as a value of the column's type.
	text(c *column, expression string) string
	typed(c *column, n int) string
	// now is the database's clock as a value of the column's type, on a wall that is seconds ahead of UTC.
	now(c *column, seconds int) string
	// back is an expression of the column's type, moved back.
	back(c *column, expression string, by overlap) string
	// page is a select of the first n rows.
	page(columns, rest string, n int) string
	// failure says what a database error means: its code and one of the problems below, "" when it is not known.
	failure(err error) (code, problem string, ok bool)
	// grant is the statement that lets the user read the table.
	grant(t tableName, user string) string
}

// tableName is where a table is; schema is never empty when the dialect knows a default.
type tableName struct{ schema, name string }

func (t tableName) quoted(d dialect) string {
	if t.schema == "" {
		return d.quote(t.name)
	}
	return d.quote(t.schema) + "." + d.quote(t.name)
}

// named is the table of the settings.
func (s settings) named(t tableSettings) tableName {
	if len(t.parts) == 2 {
		return tableName{t.parts[0], t.parts[1]}
	}
	schema := ""
	switch s.driver {
	case "mysql":
		schema = s.database
	case "oracle":
		schema = strings.ToUpper(s.user)
	}
	return tableName{schema, t.parts[0]}
}

var dialects = map[string]dialect{"postgres": postgres{}, "mysql": mySQL{}, "oracle": oracle{}, "sqlserver": sqlServer{}}

var driverNames = slices.Sorted(maps.Keys(dialects))

func doubled(name, left, right string) string {
	return left + strings.ReplaceAll(name, right, right+right) + right
}

// atoi reads a number of the catalog; -1 when there is none.
func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}

// days is the overlap in whole days, and at least one: a date is the same all day.
func (o overlap) days() int64 {
	const day = 24 * time.Hour
	return max(1, int64((o.duration+day-1)/day))
}

func (o overlap) seconds() string {
	return strconv.FormatFloat(o.duration.Seconds(), 'f', -1, 64)
}

// shortest writes a floating point number with the digits that tell it from its neighbours.
func shortest(bits int) func(string) string {
	return func(s string) string {
		f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil {
			return s
		}
		return strconv.FormatFloat(f, 'g', -1, bits)
	}
}
