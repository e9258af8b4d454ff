package clickhouse

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/schemas/canonical"
)

// The views of the database known are those of mart with a parameter: known.cases(at = '2026-11-01 00:00:00') is mart.cases as it
// would have been seen then (I9). They are made of the same text, so that they cannot say something else: what mart reads of
// store is read from the versions that had arrived by then, and links from those that were in effect.

const acts = "sharing_acts"

const at = "at = {at:DateTime64(6, 'UTC')}"

// Kept lists the tables of which every version is kept.
func Kept() []string {
	var names []string
	for _, t := range canonical.Tables {
		if t.Database == "store" && !t.Own {
			names = append(names, t.Name)
		}
	}
	return names
}

var (
	martView  = regexp.MustCompile(`CREATE OR REPLACE VIEW mart\.(\w+)`)
	finalRead = regexp.MustCompile(`\b(FROM|JOIN) store\.(\w+)(( AS \w+)?) FINAL( PREWHERE)?`)
	plainRead = regexp.MustCompile(`\b(FROM|JOIN) store\.(\w+)\b`)
	martRead  = regexp.MustCompile(`\b(FROM|JOIN) mart\.(\w+)`)
	comment   = regexp.MustCompile(`(?m)^\s*--.*\n`)
)

// known turns the text of a view of mart into that of its view in known; "" when the view cannot be known of another time,
// because it reads what is kept as it stands now only. Reference data (the calendar, the catalogue) are always those of now.
// twins are the views of mart that have one in known; this one is added to them.
func known(text string, twins map[string]bool) string {
	text = comment.ReplaceAllString(text, "")
	view := martView.FindStringSubmatch(text)
	if view == nil {
		return ""
	}
	name := view[1]
	if strings.Contains(text, "restricted.") || strings.Contains(text, "store.models") || strings.Contains(text, "store.links") {
		return ""
	}
	kept := Kept()
	text = martView.ReplaceAllString(text, "CREATE OR REPLACE VIEW known.$1")
	text = finalRead.ReplaceAllStringFunc(text, func(read string) string {
		part := finalRead.FindStringSubmatch(read)
		if part[2] == acts { // never changed: what had arrived by then is what was known
			return part[1] + " (SELECT * FROM store." + acts + " FINAL WHERE received_at IS NULL OR received_at <= {at:DateTime64(6, 'UTC')})" + part[3]
		}
		if !slices.Contains(kept, part[2]) {
			return read
		}
		where := ""
		if part[5] != "" {
			where = " WHERE"
		}
		return part[1] + " store." + part[2] + "_known(" + at + ")" + part[3] + where
	})
	text = plainRead.ReplaceAllStringFunc(text, func(read string) string {
		part := plainRead.FindStringSubmatch(read)
		switch table := part[2]; {
		case table == "current_links":
			return part[1] + " store.known_links(" + at + ")"
		case slices.Contains(kept, table): // any version, of whatever time: a view that reads without FINAL narrows further on
			return read + "_versions"
		}
		return read
	})
	text = martRead.ReplaceAllStringFunc(text, func(read string) string {
		part := martRead.FindStringSubmatch(read)
		if !twins[part[2]] {
			return read
		}
		return part[1] + " known." + part[2] + "(" + at + ")"
	})
	if !strings.Contains(text, at) { // reference data
		return ""
	}
	twins[name] = true
	return text
}

// knownTables are the views by which those of known read the tables: the last version of each record that had arrived.
// The order is that of the table backwards, so that it is read and not sorted. Versions from before anybody noted when they
// arrived count as known from the beginning.
func knownTables(definer string) []string {
	views := []string{fmt.Sprintf("CREATE OR REPLACE VIEW store.known_links\n(\n    record UUID COMMENT 'a record that had changed its person or organisation by then',\n"+
		"    party_id UUID COMMENT 'the person or organisation that it belonged to',\n    version UInt64 COMMENT 'stream sequence and row of the change that brought it about'\n)\n"+
		"DEFINER = `%s` SQL SECURITY DEFINER\nAS SELECT record_id AS record, argMax(l.party_id, l.version) AS party_id, max(l.version) AS version\n"+
		"FROM store.links AS l\nWHERE l.effective_at IS NULL OR l.effective_at <= {at:DateTime64(6, 'UTC')}\nGROUP BY record_id\n"+
		"COMMENT 'store.current_links as they were at a time'", definer)}
	for _, name := range Kept() {
		views = append(views, fmt.Sprintf("CREATE OR REPLACE VIEW store.%[1]s_known\nDEFINER = `%[2]s` SQL SECURITY DEFINER\nAS SELECT * FROM\n(\n"+
			"    SELECT * FROM store.%[1]s_versions\n    WHERE received_at IS NULL OR received_at <= {at:DateTime64(6, 'UTC')}\n"+
			"    ORDER BY dataset DESC, record_id DESC, version DESC, received_at DESC\n    LIMIT 1 BY dataset, record_id\n)\nWHERE deleted = 0\n"+
			"COMMENT 'store.%[1]s as it was at a time'", name, definer))
	}
	return append(views, changes(definer))
}

// changes is the view known.changes: what has come in since a moment, of each record the last word. A record that came and went since
// then is none.
func changes(definer string) string {
	const now = "{at:DateTime64(6, 'UTC')}"
	var parts []string
	for _, name := range Kept() {
		parts = append(parts, fmt.Sprintf(`    SELECT '%[1]s' AS table_name, dataset, record_id AS record,
        multiIf(before = 0, 'added', gone, 'removed', 'corrected') AS change, at
    FROM
    (
        SELECT dataset, record_id, countIf(received_at IS NULL OR received_at <= %[2]s) AS before,
            argMax(deleted, (version, received_at)) AS gone, assumeNotNull(max(received_at)) AS at
        FROM store.%[1]s_versions
        WHERE record_id IN (SELECT record_id FROM store.%[1]s_versions WHERE received_at > %[2]s)
        GROUP BY dataset, record_id
    )
    WHERE NOT (before = 0 AND gone)`, name, now))
	}
	parts = append(parts, `    SELECT 'links', '', record_id, toString(argMax(l.kind, l.version)), assumeNotNull(max(effective_at))
    FROM store.links AS l
    WHERE effective_at > `+now+`
    GROUP BY record_id`)
	return fmt.Sprintf(`CREATE OR REPLACE VIEW known.changes
(
    table_name LowCardinality(String) COMMENT 'table of the model (mart.<table>); links for records that belong to another person or organisation since',
    dataset LowCardinality(String) COMMENT 'dataset it belongs to; empty for links',
    record UUID COMMENT 'the record: the same in every load',
    change LowCardinality(String) COMMENT 'added, corrected, removed; merge or split for links',
    received_at DateTime64(6, 'UTC') COMMENT 'when the last of it reached the county'
)
DEFINER = %s SQL SECURITY DEFINER
AS SELECT table_name, dataset, record, change, at AS received_at FROM
(
%s
)
COMMENT 'what has changed in the model since a time: why figures that were known then are restated'`, "`"+definer+"`", strings.Join(parts, "\n    UNION ALL\n"))
}

func applyKnown(ctx context.Context, conn driver.Conn, definer string, texts []string) error {
	for _, text := range append(knownTables(definer), texts...) {
		if err := conn.Exec(ctx, text); err != nil {
			name, _, _ := strings.Cut(text, "\n")
			return fmt.Errorf("%s: %w", strings.ToLower(name), err)
		}
	}
	return nil
}
