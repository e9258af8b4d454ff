//go:build unix

package embedded

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// User is a ClickHouse user who logs in with a password from 127.0.0.1.
type User struct {
	Name     string
	Password string
	Settings map[string]string // of the user's profile, such as max_execution_time

	// Readonly lets the user read only. Of its settings it can change those in Settings that begin with max_ and are
	// numbers, and those only downwards: a driver may hand its deadline on, a reader may not lift a bound.
	Readonly bool

	Grants      []string // each what follows GRANT, such as "SELECT ON mart.*"; none: the user may do nothing
	RowPolicies []RowPolicy
}

// RowPolicy shows a user only the rows of a table for which Filter, an SQL expression, holds.
type RowPolicy struct{ Database, Table, Filter string }

// element is an XML element whose name is known at run time only.
type element struct {
	name     string
	text     string
	children []element
}

func (e element) MarshalXML(encoder *xml.Encoder, _ xml.StartElement) error {
	start := xml.StartElement{Name: xml.Name{Local: e.name}}
	if err := encoder.EncodeToken(start); err != nil {
		return err
	}
	if e.text != "" {
		if err := encoder.EncodeToken(xml.CharData(e.text)); err != nil {
			return err
		}
	}
	for _, child := range e.children {
		if err := child.MarshalXML(encoder, xml.StartElement{}); err != nil {
			return err
		}
	}
	return encoder.EncodeToken(start.End())
}

func leaf(name, text string) element { return element{name: name, text: text} }

func branch(name string, children ...element) element {
	return element{name: name, children: children}
}

func (e element) document() ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("<!-- Generated at every start; changes are lost. -->\n")
	encoder := xml.NewEncoder(&out)
	encoder.Indent("", "  ")
	if err := encoder.Encode(e); err != nil {
		return nil, fmt.Errorf("write the ClickHouse configuration: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// serverConfig is the server's configuration. The library overrides the level of its main log with "trace"; the error
// log keeps the level that it is given.
func serverConfig(dir string, maxMemoryBytes uint64) element {
	levels := branch("levels")
	for _, logger := range []string{
		// I7: these quote the text of failed queries, with the values in it. The client gets the same error.
		"executeQuery", "TCPHandler", "HTTPHandler", "DynamicQueryHandler", "PredefinedQueryHandler",
		// These warn several times a second that a task is rescheduled.
		"BackgroundSchedulePool/BgSchPool", "BackgroundSchedulePool/BgStrmSchPool",
		"BackgroundSchedulePool/BgBufSchPool", "BackgroundSchedulePool/BgDistSchPool",
	} {
		levels.children = append(levels.children, branch("logger", leaf("name", logger), leaf("level", "none")))
	}
	return branch("clickhouse",
		branch("logger",
			leaf("errorlog", filepath.Join(dir, logDir, "clickhouse.log")),
			leaf("errorlog_level", "warning"),
			leaf("size", "10M"),
			leaf("count", "3"),
			levels,
		),
		leaf("users_config", filepath.Join(dir, clickhouseConf, "users.xml")),
		leaf("timezone", "UTC"),
		leaf("max_server_memory_usage", strconv.FormatUint(maxMemoryBytes, 10)),
		branch("query_log",
			leaf("database", "system"),
			leaf("table", "query_log"),
			leaf("partition_by", "event_date"),
			leaf("ttl", "event_date + INTERVAL 7 DAY DELETE"),
			leaf("flush_interval_milliseconds", "7500"),
		),
	)
}

var (
	xmlName     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	wholeNumber = regexp.MustCompile(`^[0-9]+$`)
)

// usersConfig generates the users file. probe is the user with which the parent of the child asks whether it is ready.
//
// The child's own session logs in as default, without a password, which cannot be given, and from what counts as
// 127.0.0.1. So that nobody else gets anything by that name, default may open the listeners and little else, and have
// one session, which is the child's own. Dictionaries read as default, too, outside of a session: hence
// dictionaryGrants.
func usersConfig(users []User, probe User, dictionaryGrants []string) (element, error) {
	const own = "of_default"
	profiles := branch("profiles",
		// I7: query texts hold the values that people look for, bound parameters included. A user whose queries never
		// hold any gets log_queries=1 in its Settings.
		branch("default", leaf("log_queries", "0")),
		branch(own, leaf("profile", "default"), leaf("max_sessions_for_user", "1")))
	list := branch("users", branch("default",
		leaf("password", ""), branch("networks", leaf("ip", loopback)), leaf("profile", own), leaf("quota", "default"),
		grantList(append([]string{"SYSTEM LISTEN ON *.*"}, dictionaryGrants...))))

	seen := map[string]bool{"default": true}
	for _, user := range append([]User{probe}, users...) {
		if !xmlName.MatchString(user.Name) {
			return element{}, fmt.Errorf("embedded.User: the name %q is not made of letters, digits and underscores", user.Name)
		}
		if seen[user.Name] {
			return element{}, fmt.Errorf("embedded.User: the name %q is taken", user.Name)
		}
		seen[user.Name] = true
		if user.Password == "" {
			return element{}, fmt.Errorf("embedded.User %s: no password", user.Name)
		}
		profile, err := user.profile()
		if err != nil {
			return element{}, err
		}
		profiles.children = append(profiles.children, profile)
		account, err := user.account(profile.name)
		if err != nil {
			return element{}, err
		}
		list.children = append(list.children, account)
	}
	return branch("clickhouse", profiles, branch("quotas", branch("default")), list), nil
}

func (u User) profile() (element, error) {
	profile := branch("of_"+u.Name, leaf("profile", "default"))
	constraints := branch("constraints")
	for _, name := range slices.Sorted(maps.Keys(u.Settings)) {
		if !xmlName.MatchString(name) || name == "readonly" {
			return element{}, fmt.Errorf("embedded.User %s: %q cannot be one of its settings", u.Name, name)
		}
		value := u.Settings[name]
		profile.children = append(profile.children, leaf(name, value))
		if u.Readonly && strings.HasPrefix(name, "max_") && wholeNumber.MatchString(value) {
			bounds := branch(name, leaf("max", value), element{name: "changeable_in_readonly"})
			if value != "0" {
				bounds.children = append(bounds.children, leaf("min", "1")) // 0 would mean: no bound
			}
			constraints.children = append(constraints.children, bounds)
		}
	}
	if u.Readonly {
		profile.children = append(profile.children, leaf("readonly", "1"))
	}
	if len(constraints.children) > 0 {
		profile.children = append(profile.children, constraints)
	}
	return profile, nil
}

func (u User) account(profile string) (element, error) {
	digest := sha256.Sum256([]byte(u.Password))
	account := branch(u.Name,
		leaf("password_sha256_hex", hex.EncodeToString(digest[:])),
		branch("networks", leaf("ip", loopback)),
		leaf("profile", profile),
		leaf("quota", "default"),
		grantList(u.Grants),
	)
	databases := map[string][]element{}
	for _, policy := range u.RowPolicies {
		if !xmlName.MatchString(policy.Database) || !xmlName.MatchString(policy.Table) {
			return element{}, fmt.Errorf("embedded.User %s: %q.%q cannot have a row policy: names are letters, digits and underscores",
				u.Name, policy.Database, policy.Table)
		}
		databases[policy.Database] = append(databases[policy.Database], branch(policy.Table, leaf("filter", policy.Filter)))
	}
	if len(databases) > 0 {
		policies := branch("databases")
		for _, name := range slices.Sorted(maps.Keys(databases)) {
			policies.children = append(policies.children, branch(name, databases[name]...))
		}
		account.children = append(account.children, policies)
	}
	return account, nil
}

// grantList must be there even if it is empty: a user without one may do everything.
func grantList(rights []string) element {
	grants := branch("grants")
	for _, right := range rights {
		grants.children = append(grants.children, leaf("query", "GRANT "+right))
	}
	return grants
}
