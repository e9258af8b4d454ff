package clickhouse

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The users of the warehouse.
const (
	Loader  = "shire_loader"  // migrates, loads, and is the definer of every view
	Analyst = "shire_analyst" // reads what carries no personal data
	Sharing = "shire_sharing" // reads one person's records for the sharing interface, and writes down that it did
	Jobs    = "shire_jobs"    // runs the county's own statements that write: reads as the analyst does, and writes to Own
)

// Own is the database of the county's own tables and views. The first job that writes makes it.
const Own = "own"

// User is one user of the warehouse and what it may do.
type User struct {
	Name     string
	Readonly bool              // may not write; may change the max_ settings only downwards
	Settings map[string]string // of the user's profile
	Grants   []string          // each what follows GRANT, such as "SELECT ON mart.*"
}

// databases are all that the program owns, in the order in which they are made.
var databases = []string{"store", "restricted", "mart", "known", "metrics", "prepared", "ops", "audit"}

// Access is who may read and write what: the one definition from which the embedded engine's users and [AccessSQL]
// are made.
func Access() []User {
	loader := User{Name: Loader, Grants: []string{"TABLE ENGINE ON *"}, Settings: map[string]string{
		// One load is one block under one token (I3); the server must not collect inserts into blocks of its own.
		"async_insert": "0",
		"deduplicate_blocks_in_dependent_materialized_views": "1",
		"log_queries": "0", // I7
	}}
	for _, d := range databases {
		loader.Grants = append(loader.Grants,
			"SHOW, SELECT, INSERT, ALTER, CREATE, DROP, TRUNCATE, OPTIMIZE ON "+d+".*")
	}
	loader.Grants = append(loader.Grants, "SHOW, SELECT, INSERT, ALTER, CREATE, DROP, TRUNCATE ON "+sharedPrefix+"*.*") // see [Shared]
	return []User{
		loader,
		{
			Name: Analyst, Readonly: true,
			Settings: map[string]string{
				"max_execution_time": "60",
				"max_memory_usage":   "1500000000",
				"max_result_rows":    "5000000",
				"max_threads":        "2",
				"log_queries":        "0", // I7: what people look for is in the text of their queries
			},
			// I7: neither restricted nor store. The views run with the loader's rights and show what may be seen.
			Grants: []string{"SELECT ON mart.*", "SELECT ON known.*", "SELECT ON metrics.*", "SELECT ON prepared.*", "SELECT ON ops.*", "SELECT ON audit.*", "SELECT ON " + Own + ".*"},
		},
		{
			Name: Sharing,
			Settings: map[string]string{
				"max_execution_time": "10",
				"max_memory_usage":   "500000000",
				"max_threads":        "2",
				"async_insert":       "0", // I8: an access is on disk before anything is read
				"log_queries":        "0", // I7
			},
			Grants: []string{"SELECT ON restricted.*", "SELECT ON mart.*", "SELECT, INSERT ON audit.*"},
		},
		{
			Name: Jobs,
			Settings: map[string]string{
				"max_execution_time": "21600",
				"max_memory_usage":   "1500000000",
				"max_threads":        "2",
				"async_insert":       "0", // what a job has written is there when it ends
				"log_queries":        "0", // I7
			},
			// I7: what it can read holds nothing personal, so neither does what it writes. No dictionaries, which read
			// with rights that are not their maker's, and no engine that reaches beyond this server.
			Grants: []string{
				"SELECT ON mart.*", "SELECT ON known.*", "SELECT ON metrics.*", "SELECT ON ops.*", "SELECT ON audit.*",
				"SHOW, SELECT, INSERT, ALTER TABLE, ALTER VIEW, TRUNCATE, OPTIMIZE, CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP TABLE, DROP VIEW ON " + Own + ".*",
				"TABLE ENGINE ON MergeTree", "TABLE ENGINE ON ReplacingMergeTree", "TABLE ENGINE ON SummingMergeTree", "TABLE ENGINE ON AggregatingMergeTree",
			},
		},
	}
}

// AccessSQL is Access as statements for an external server, with the users of departments, to be run by an administrator who
// may grant. It needs a password for every user; the error names the one that has none.
func AccessSQL(passwords map[string]string, departments ...string) ([]string, error) {
	var statements []string
	for _, u := range append(Access(), DepartmentUsers(departments)...) {
		password := passwords[u.Name]
		if password == "" {
			return nil, fmt.Errorf("the ClickHouse user %s has no password: give it one", u.Name)
		}
		settings := make([]string, 0, len(u.Settings)+1)
		for _, name := range slices.Sorted(maps.Keys(u.Settings)) {
			setting := fmt.Sprintf("%s = %s", name, quote(u.Settings[name]))
			if u.Readonly && strings.HasPrefix(name, "max_") {
				setting += fmt.Sprintf(" MAX %s CHANGEABLE_IN_READONLY", quote(u.Settings[name]))
			}
			settings = append(settings, setting)
		}
		if u.Readonly {
			settings = append(settings, "readonly = 1")
		}
		identified := "IDENTIFIED WITH sha256_password BY " + quote(password)
		statements = append(statements,
			"CREATE USER IF NOT EXISTS "+u.Name+" "+identified,
			"ALTER USER "+u.Name+" "+identified+" SETTINGS "+strings.Join(settings, ", "),
			"REVOKE ALL ON *.* FROM "+u.Name)
		for _, grant := range u.Grants {
			statements = append(statements, "GRANT "+grant+" TO "+u.Name)
		}
	}
	return statements, nil
}

// quote writes a string literal of ClickHouse's SQL.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
