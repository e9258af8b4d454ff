package clickhouse

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/sharing"
)

// sharedPrefix begins the names of the databases in which departments read what they are granted.
const sharedPrefix = "shared_"

// SharedDatabase is the database of what a department is granted.
func SharedDatabase(department string) string { return sharedPrefix + department }

// DepartmentUser is the name of a department's own user of the warehouse.
func DepartmentUser(department string) string { return "shire_of_" + department }

// DepartmentUsers are the users of departments. Each may read its own database alone; what stands there, [Shared] says.
func DepartmentUsers(departments []string) []User {
	var users []User
	for _, d := range departments {
		users = append(users, User{
			Name: DepartmentUser(d), Readonly: true,
			Settings: map[string]string{
				"max_execution_time": "60",
				"max_memory_usage":   "1500000000",
				"max_result_rows":    "5000000",
				"max_threads":        "2",
				"log_queries":        "0", // I7
				// What a reader asks for is computed on the rows that the view lets through, never before: else a condition
				// that fails on a value tells of rows that the grant does not cover. The reader cannot change these.
				"query_plan_filter_push_down":          "0",
				"query_plan_merge_filters":             "0",
				"query_plan_merge_expressions":         "0",
				"enable_optimize_predicate_expression": "0",
				"optimize_move_to_prewhere_if_final":   "0",
			},
			Grants: []string{"SELECT ON " + SharedDatabase(d) + ".*"},
		})
	}
	return users
}

// Shared is what departments with users of their own read: views over the tables as they stand now, made of the grants.
//
// I8: a read through such a user names no case, so nothing personal is here, whatever the grant says: fields that are not
// personal, and pseudonyms. What a view cannot show as the grant says, it does not show.
type Shared struct {
	Definer     string   // user of the connection: with its rights readers see the tables below
	Departments []string // those with a user
	Contracts   contract.Set
}

// SharedViews are the statements that make the views, by the views' names with their database, and sentences on what is
// granted and cannot be read in this way.
func (s Shared) SharedViews(requests []*sharing.Request) (views map[string]string, withheld []string) {
	views = map[string]string{}
	for _, department := range s.Departments {
		byDataset := map[string][]*sharing.Request{}
		for _, r := range requests {
			// Since when and until when a grant is in force, the view asks itself: it ends although nobody writes it anew.
			if c := s.Contracts[r.Terms.Dataset]; r.From == department && r.State == sharing.Live && c != nil && r.Owner == c.Department {
				byDataset[c.Name] = append(byDataset[c.Name], r)
			}
		}
		for _, dataset := range slices.Sorted(maps.Keys(byDataset)) {
			d := &sharedDataset{contract: s.Contracts[dataset], definer: s.Definer, database: SharedDatabase(department)}
			for _, r := range byDataset[dataset] {
				d.grants = append(d.grants, newSharedGrant(d.contract, r))
			}
			d.views(views)
			for _, g := range d.grants {
				withheld = append(withheld, g.sentences()...)
			}
		}
	}
	return views, withheld
}

// ApplyShared makes the databases of the departments, writes their views and drops every other: a view for which there is no
// grant any more, and the database of a department that has no user any more.
func (s Shared) ApplyShared(ctx context.Context, conn driver.Conn, views map[string]string) error {
	if !validUser.MatchString(s.Definer) {
		return fmt.Errorf("the ClickHouse user %q cannot be a definer: its name has to be letters, digits, _ and -", s.Definer)
	}
	var present []struct{ Database, Name string }
	if err := conn.Select(ctx, &present, `SELECT d.name AS Database, t.name AS Name FROM system.databases AS d LEFT JOIN system.tables AS t ON t.database = d.name
		WHERE startsWith(d.name, ?)`, sharedPrefix); err != nil {
		return fmt.Errorf("list what departments may read: %w", err)
	}
	wanted := map[string]bool{}
	for _, d := range s.Departments {
		wanted[SharedDatabase(d)] = true
	}
	// What is granted no more goes first.
	for _, p := range present {
		var err error
		switch view := p.Database + "." + p.Name; {
		case !wanted[p.Database]:
			err = conn.Exec(ctx, "DROP DATABASE IF EXISTS `"+p.Database+"`")
		case p.Name != "" && views[view] == "":
			err = conn.Exec(ctx, "DROP VIEW IF EXISTS `"+p.Database+"`.`"+p.Name+"`")
		}
		if err != nil {
			return fmt.Errorf("take away what %s may read no more: %w", p.Database, err)
		}
	}
	for _, d := range slices.Sorted(maps.Keys(wanted)) {
		if err := conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+d+" COMMENT 'what one department may read by the grants that it has'"); err != nil {
			return fmt.Errorf("make the database %s: %w", d, err)
		}
	}
	for _, view := range slices.Sorted(maps.Keys(views)) {
		if err := conn.Exec(ctx, views[view]); err != nil {
			return fmt.Errorf("write the view %s: %w", view, err)
		}
	}
	return nil
}

// sharedGrant is a grant as the warehouse can keep it.
type sharedGrant struct {
	request  *sharing.Request
	contract *contract.Dataset
	shown    map[string]bool   // fields that a view shows
	withheld map[string]string // why a field, or all of it (""), is not shown
}

func newSharedGrant(c *contract.Dataset, r *sharing.Request) *sharedGrant {
	g := &sharedGrant{request: r, contract: c, shown: map[string]bool{}, withheld: map[string]string{}}
	if r.Terms.Rows.Own {
		g.withheld[""] = "it covers only cases of the department itself, and a read of the warehouse names no case"
	}
	return g
}

// mask is what the grant shows of a field; "" for nothing.
func (g *sharedGrant) mask(field string) sharing.Mask {
	i, there := g.contract.Field(field)
	if !there {
		return ""
	}
	if t := g.contract.Fields[i].Sharing; t == "none" || t == "" && g.contract.Sharing.Type == "none" {
		return ""
	}
	return g.request.Terms.Fields[field]
}

// sentences say what is granted and not shown.
func (g *sharedGrant) sentences() (out []string) {
	say := func(what, why string) {
		out = append(out, fmt.Sprintf("%s of the grant %s to %s cannot be read in ClickHouse: %s", what, g.request.ID, g.request.From, why))
	}
	if why := g.withheld[""]; why != "" {
		say("nothing", why)
		return out
	}
	for _, field := range slices.Sorted(maps.Keys(g.request.Terms.Fields)) {
		if g.shown[field] {
			continue
		}
		why := g.withheld[field]
		if i, there := g.contract.Field(field); there && g.contract.Fields[i].IsPersonal() {
			why = "it is personal, and is read for a live case alone, through the sharing interface"
		}
		if why == "" {
			why = "no table outside of the restricted ones holds it"
		}
		say("the field "+field, why)
	}
	return out
}

// sharedDataset is a dataset of which a department has grants.
type sharedDataset struct {
	contract          *contract.Dataset
	definer, database string
	grants            []*sharedGrant
}

func (d *sharedDataset) views(into map[string]string) {
	emits := map[string][]*contract.Emit{}
	for i := range d.contract.Emits {
		e := &d.contract.Emits[i]
		emits[e.Table] = append(emits[e.Table], e)
	}
	for _, name := range slices.Sorted(maps.Keys(emits)) {
		table, known := canonical.Lookup(name)
		if !known || table.Database != "store" || table.Personal || table.Own {
			continue // I7
		}
		v := &sharedView{sharedDataset: d, table: table, emits: emits[name]}
		if text := v.statement(); text != "" {
			into[d.database+"."+v.name()] = text
		}
	}
}

// sharedView is what a department reads of one table that a dataset fills.
type sharedView struct {
	*sharedDataset
	table *canonical.Table
	emits []*contract.Emit
	party string // of which the division of the record is: person or organisation; "" when no grant asks for it
}

func (v *sharedView) name() string { return v.contract.Name + "__" + v.table.Name }

// statement is the view; "" when no grant shows anything of the table.
func (v *sharedView) statement() string {
	var live []*sharedGrant
	for _, g := range v.grants {
		if g.withheld[""] == "" && v.rowsCanTell(g) && v.presenceMayBeKnown(g) {
			live = append(live, g)
		}
	}
	var header, columns []string
	used := map[*sharedGrant]bool{}
	for i := range v.table.Columns {
		c := &v.table.Columns[i]
		var shows, tells []string // the branches of the column, and who may know that there is a value
		var partials []string
		fields := v.fields(c)
		if len(fields) == 0 {
			continue
		}
		for k, g := range live {
			least := v.least(g, c, fields)
			if least == "" {
				continue
			}
			flag := fmt.Sprintf("granted_%d", k)
			switch value, why := shownAs(c, least); {
			case why != "":
				for _, f := range fields {
					g.withheld[f] = why
				}
				continue
			case least == sharing.Exists:
				tells = append(tells, flag)
			case least == sharing.Partial && c.Origin == canonical.Mapped:
				partials = append(partials, flag+", "+value)
			default:
				shows = append(shows, flag+", "+value)
			}
			used[g] = true
			for _, f := range fields {
				g.shown[f] = true
			}
		}
		if branches := append(shows, partials...); len(branches) > 0 { // who has two grants sees the more of the two
			header = append(header, fmt.Sprintf("`%s` %s COMMENT %s", c.Name, sharedType(c), quote(c.Doc+"; NULL in rows of which it is not granted")))
			columns = append(columns, fmt.Sprintf("multiIf(%s, NULL) AS `%s`", strings.Join(branches, ", "), c.Name))
		}
		if len(tells) > 0 {
			header = append(header, fmt.Sprintf("`has_%s` Nullable(UInt8) COMMENT %s", c.Name, quote("1 when there is a value: "+c.Doc+"; NULL in rows of which it is not granted")))
			columns = append(columns, fmt.Sprintf("if(%s, %s, NULL) AS `has_%s`", strings.Join(tells, " OR "), present(c), c.Name))
		}
	}
	if len(columns) == 0 {
		return ""
	}
	return v.text(live, used, header, columns)
}

func (v *sharedView) text(live []*sharedGrant, used map[*sharedGrant]bool, header, columns []string) string {
	var flags, granted, ids []string
	divided := false
	for k, g := range live {
		if !used[g] {
			continue
		}
		t := g.request.Terms
		condition := fmt.Sprintf("now64(6, 'UTC') >= %s AND now64(6, 'UTC') < %s", instant(t.From), instant(t.Until))
		if len(t.Rows.Divisions) > 0 {
			divided = true
			var in []string
			for _, division := range t.Rows.Divisions {
				in = append(in, "startsWith(party.division, "+quote(division)+")")
			}
			condition += " AND (" + strings.Join(in, " OR ") + ")"
		}
		flags = append(flags, fmt.Sprintf("(%s) AS granted_%d", condition, k))
		granted = append(granted, fmt.Sprintf("granted_%d", k))
		ids = append(ids, g.request.ID)
	}
	join := ""
	if divided {
		join = fmt.Sprintf("\nLEFT ANY JOIN (SELECT record_id, toString(division) AS division FROM restricted.%s_records FINAL WHERE dataset = %s) AS party ON r.%s_record = party.record_id",
			v.party, quote(v.contract.Name), v.party)
	}
	// FINAL before anything is left out, or an older version of a row that has left the grant's divisions would show; and so
	// that nothing of the reader's is moved below it.
	return fmt.Sprintf("CREATE OR REPLACE VIEW %s.`%s`\n(\n    `record` UUID COMMENT 'the record: the same in every load',\n    %s\n)\nDEFINER = `%s` SQL SECURITY DEFINER\nAS SELECT\n    record_id AS record,\n    %s\n"+
		"FROM\n(\nSELECT r.*, %s\nFROM store.%s AS r FINAL%s\nWHERE r.dataset = %s\n)\nWHERE %s\nSETTINGS optimize_move_to_prewhere_if_final = 0\nCOMMENT %s",
		v.database, v.name(), strings.Join(header, ",\n    "), v.definer, strings.Join(columns, ",\n    "), strings.Join(flags, ", "), v.table.Name, join, quote(v.contract.Name),
		strings.Join(granted, " OR "), quote(fmt.Sprintf("what is granted of %s by %s", v.contract.Name, strings.Join(ids, ", "))))
}

func instant(t time.Time) string {
	return fmt.Sprintf("fromUnixTimestamp64Micro(toInt64(%d), 'UTC')", t.UnixMicro())
}

// rowsCanTell tells whether the table's rows know the division that the grant asks for. It is that of whom the record is
// about, as for the sharing interface; a record about several has several.
func (v *sharedView) rowsCanTell(g *sharedGrant) bool {
	if len(g.request.Terms.Rows.Divisions) == 0 {
		return true
	}
	var about []string
	for _, e := range v.contract.Emits {
		switch t, _ := canonical.Lookup(e.Table); {
		case t == nil:
		case t.Mention == canonical.PersonMention:
			about = append(about, "person")
		case t.Mention == canonical.OrganisationMention:
			about = append(about, "organisation")
		}
	}
	if len(about) == 1 && v.table.Parties {
		v.party = about[0]
		return true
	}
	for field := range g.request.Terms.Fields {
		g.withheld[field] = fmt.Sprintf("it is granted for some divisions, and the table %s does not say in which one a record of %s lies", v.table.Name, v.contract.Name)
	}
	return false
}

// presenceMayBeKnown tells whether the grant covers what the mere presence of a row says: a row that is there only for some
// values of a field tells that value.
func (v *sharedView) presenceMayBeKnown(g *sharedGrant) bool {
	for _, e := range v.emits {
		if e.When == nil {
			continue
		}
		if m := g.mask(e.When.Field); m == "" || m != sharing.Full && !e.When.Present {
			for field := range g.request.Terms.Fields {
				g.withheld[field] = fmt.Sprintf("that there is a row of %s tells of the field %s, which is not granted in full", v.table.Name, e.When.Field)
			}
			return false
		}
	}
	return true
}

// fields are those that fill a column, in any of the emits.
func (v *sharedView) fields(c *canonical.Column) (out []string) {
	if c.Origin == canonical.Assigned {
		return nil
	}
	for _, e := range v.emits {
		value := e.Columns[c.Name]
		if value.Field != "" {
			out = append(out, value.Field)
		}
		out = append(out, value.Fields...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// least is how much the grant shows of every field that fills a column; "" when it does not cover one, or one is personal and
// stands there as it is.
func (v *sharedView) least(g *sharedGrant, c *canonical.Column, fields []string) sharing.Mask {
	least := sharing.Full
	for _, f := range fields {
		m := g.mask(f)
		if m == "" {
			return ""
		}
		if i, _ := g.contract.Field(f); c.Origin != canonical.Pseudonym && g.contract.Fields[i].IsPersonal() {
			return "" // I7, I8: the contract's proof keeps these out of store already
		}
		if m.Within(least) {
			least = m
		}
	}
	return least
}

// shownAs is how a column is shown under a mask, or why it cannot be.
func shownAs(c *canonical.Column, m sharing.Mask) (sql, why string) {
	text := c.Type == canonical.Text || c.Type == canonical.Code
	column := "`" + c.Name + "`"
	switch {
	case m == sharing.Equals:
		return "", "it is granted for comparison with a value that the caller brings, which a table cannot do"
	case m == sharing.Exists:
		return present(c), ""
	case c.Origin == canonical.Pseudonym:
		return "toNullable(toString(" + column + "))", "" // a keyed hash already: nothing less is kept
	case m == sharing.Hashed:
		return "", "it is granted as a keyed hash, and the key does not go to ClickHouse"
	case m == sharing.Full && text:
		return "toNullable(toString(" + column + "))", ""
	case m == sharing.Full:
		return column, ""
	case m == sharing.Partial && text:
		return "toNullable(" + partialSQL("toString("+column+")") + ")", ""
	}
	return "", fmt.Sprintf("a part of it is granted (%s), which is shown of texts alone", m)
}

// sharedType is the type of a column that is not granted in every row.
func sharedType(c *canonical.Column) string {
	switch c.Type {
	case canonical.Date:
		return "Nullable(Date32)"
	case canonical.Timestamp:
		return "Nullable(DateTime64(6, 'UTC'))"
	case canonical.Integer, canonical.Money:
		return "Nullable(Int64)"
	}
	return "Nullable(String)"
}

// present is 1 where a column has a value.
func present(c *canonical.Column) string {
	if c.Type.Nullable() {
		return "isNotNull(`" + c.Name + "`)"
	}
	return "notEmpty(toString(`" + c.Name + "`))"
}

// partialSQL is [sharing.Partial] in ClickHouse's words; a test compares them.
func partialSQL(v string) string {
	n := "toInt64(lengthUTF8(" + v + "))"
	ends := func(head, tail int) string {
		return fmt.Sprintf("concat(substringUTF8(%[1]s, 1, %[3]d), repeat('*', %[2]s - %[4]d), substringUTF8(%[1]s, -%[5]d))", v, n, head, head+tail, tail)
	}
	return fmt.Sprintf("multiIf(%[2]s <= 1, repeat('*', %[2]s), %[2]s >= 15, %[3]s, %[2]s >= 10, %[4]s, %[2]s >= 8, %[5]s, concat(substringUTF8(%[1]s, 1, 1), repeat('*', %[2]s - 1)))",
		v, n, ends(3, 4), ends(3, 2), ends(2, 2))
}
