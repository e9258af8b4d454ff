package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// server is the database system as it is now.
type server struct {
	system   string // its identifier, which a copy of its files shares
	timeline int
	flushed  lsn // end of its log
	version  int
}

const oldest = 120000

// inspect finds out whether the server can be followed at all.
func (r *run) inspect(ctx context.Context, stream *pgconn.PgConn) error {
	var level string
	err := r.side.QueryRow(ctx, "SELECT current_setting('server_version_num')::int, current_setting('wal_level')").Scan(&r.server.version, &level)
	if err != nil {
		return fmt.Errorf("the server's settings cannot be read: %w", plain(err))
	}
	if r.server.version < oldest {
		return refuse("old_server", "the server is older than PostgreSQL 12, which is the oldest that is read; use a connector that polls")
	}
	if level != "logical" {
		return refuse("not_logical", "the server's wal_level is %s; run ALTER SYSTEM SET wal_level = logical; and restart the server", level)
	}
	id, err := pglogrepl.IdentifySystem(ctx, stream)
	if err != nil {
		return fmt.Errorf("the server does not identify itself: %w", plain(err))
	}
	r.server.system, r.server.timeline, r.server.flushed = id.SystemID, int(id.Timeline), lsn(id.XLogPos)
	return nil
}

// switched is where the server's log left an older timeline; 0 when the server knows nothing of it.
func (r *run) switched(ctx context.Context, stream *pgconn.PgConn, timeline int) (lsn, error) {
	if timeline == r.server.timeline {
		return r.server.flushed, nil
	}
	history, err := pglogrepl.TimelineHistory(ctx, stream, int32(r.server.timeline))
	if err != nil {
		return 0, fmt.Errorf("the history of the server's log cannot be read: %w", plain(err))
	}
	for line := range strings.Lines(string(history.Content)) {
		parts := strings.Fields(line)
		if len(parts) > 1 && parts[0] == fmt.Sprint(timeline) {
			return parseLSN(parts[1])
		}
	}
	return 0, nil
}

// checkTables finds every table that cannot be read as it is, in one pass.
func (r *run) checkTables(ctx context.Context) error {
	var problems []error
	for _, f := range r.feeds {
		t, err := f.describe(ctx, r.side, r.settings.Publication)
		var no *refusal
		switch {
		case errors.As(err, &no):
			problems = append(problems, no)
		case err != nil:
			return err
		default:
			f.table = t
			problems = append(problems, r.checkTable(ctx, f))
		}
	}
	return errors.Join(problems...)
}

func (r *run) checkTable(ctx context.Context, f *feed) error {
	t := f.table
	switch {
	case t == nil:
		return refuse("no_table", "there is no table %s in database %s; mend with.tables", f.unit, r.settings.Database).of(f)
	case t.kind != "r" && t.kind != "p":
		return refuse("no_table", "%s is no table but a view or the like, which has no stream of changes; name the table behind it", f.unit).of(f)
	case t.persistence != "p":
		return refuse("no_table", "%s is an unlogged or temporary table, which has no stream of changes; run ALTER TABLE %s SET LOGGED;", f.unit, t.sql()).of(f)
	case t.kind == "p" && r.server.version < 130000:
		return refuse("no_table", "%s is partitioned, which can be followed from PostgreSQL 13 on; name its partitions, each with a dataset of its own", f.unit).of(f)
	}
	if !t.readable {
		return r.unreadable(f)
	}
	if err := t.identified(f); err != nil {
		return err
	}
	if t.kind == "p" && t.identity == 'f' {
		return r.checkPartitions(ctx, f)
	}
	return nil
}

func (c *Connector) unreadable(f *feed) error {
	user := quote(c.settings.User)
	return refuse("no_select_right", "%s may not read table %s; run GRANT USAGE ON SCHEMA %s TO %s; GRANT SELECT ON %s.%s TO %s;",
		c.settings.User, f.unit, quote(f.Schema), user, quote(f.Schema), quote(f.Name), user).of(f)
}

// checkPartitions: the replica identity of a partitioned table does not go down to its partitions.
func (r *run) checkPartitions(ctx context.Context, f *feed) error {
	rows, err := r.side.Query(ctx, `SELECT n.nspname::text, c.relname::text FROM pg_partition_tree($1::int8::oid::regclass) p JOIN pg_class c ON c.oid = p.relid
		JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.isleaf AND c.relreplident <> 'f' ORDER BY 1, 2`, int64(f.table.oid))
	if err != nil {
		return fmt.Errorf("the partitions of %s cannot be read: %w", f.unit, plain(err))
	}
	defer rows.Close()
	var sql []string
	for rows.Next() {
		var schema, name string
		if err := rows.Scan(&schema, &name); err != nil {
			return fmt.Errorf("the partitions of %s cannot be read: %w", f.unit, plain(err))
		}
		sql = append(sql, fmt.Sprintf("ALTER TABLE %s.%s REPLICA IDENTITY FULL;", quote(schema), quote(name)))
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("the partitions of %s cannot be read: %w", f.unit, plain(err))
	}
	if len(sql) > 0 {
		return refuse("replica_identity", "the replica identity of table %s is not that of all its partitions; run %s", f.unit, strings.Join(sql, " ")).of(f)
	}
	return nil
}

const publicationSQL = `SELECT p.oid::int8, pubinsert AND pubupdate AND pubdelete AND pubtruncate, coalesce((to_jsonb(p)->>'pubviaroot')::bool, false) FROM pg_publication p WHERE pubname = $1`

// publicationGone is a gap of the whole source: the slot cannot be read over a change that was made without a publication.
const publicationGone = "the publication was gone for a while"

// checkPublication makes the publication, or adds to it what it lacks, if the user may; else it says who has to do what.
// What changed in a table that was not in it was not in the stream: that is remembered before it is mended.
func (r *run) checkPublication(ctx context.Context) error {
	name := quote(r.settings.Publication)
	rows, err := r.side.Query(ctx, publicationSQL, r.settings.Publication)
	if err != nil {
		return fmt.Errorf("the publication cannot be read: %w", plain(err))
	}
	defer rows.Close()
	if !rows.Next() {
		rows.Close()
		if err := rows.Err(); err != nil {
			return fmt.Errorf("the publication cannot be read: %w", plain(err))
		}
		if r.spoken() {
			r.state.Gap, r.state.Publication = publicationGone, 0
			if err := r.state.save(); err != nil {
				return err
			}
		}
		with := ""
		if r.server.version >= 130000 {
			with = " WITH (publish_via_partition_root = true)"
		}
		sql := fmt.Sprintf("CREATE PUBLICATION %s FOR TABLE %s%s;", name, r.tableList(r.feeds), with)
		if err := r.publish(ctx, "there is no publication "+r.settings.Publication, sql); err != nil {
			return err
		}
		return r.checkPublication(ctx)
	}
	var number int64
	var all, viaRoot bool
	if err := rows.Scan(&number, &all, &viaRoot); err != nil {
		return fmt.Errorf("the publication cannot be read: %w", plain(err))
	}
	rows.Close()
	if !all {
		return refuse("publication_partial", "publication %s leaves out some kind of change; run ALTER PUBLICATION %s SET (publish = 'insert, update, delete, truncate');", r.settings.Publication, name)
	}
	if !viaRoot && slices.ContainsFunc(r.feeds, func(f *feed) bool { return f.table.kind == "p" }) {
		return refuse("publication_partial", "publication %s does not publish partitioned tables under their own name; run ALTER PUBLICATION %s SET (publish_via_partition_root = true);", r.settings.Publication, name)
	}
	if r.state.Publication != 0 && r.state.Publication != number && r.spoken() {
		r.state.Gap = publicationGone
	}
	r.state.Publication = number
	published, err := r.published(ctx, r.side)
	if err != nil {
		return err
	}
	lacked, err := r.missed(published)
	if err != nil || len(lacked) == 0 {
		return err
	}
	var units []string
	for _, f := range lacked {
		units = append(units, f.unit)
	}
	sql := fmt.Sprintf("ALTER PUBLICATION %s ADD TABLE %s;", name, r.tableList(lacked))
	if err := r.publish(ctx, fmt.Sprintf("publication %s lacks %s", r.settings.Publication, strings.Join(units, ", ")), sql); err != nil {
		return err
	}
	return r.checkPublication(ctx)
}

// missed finds the tables that are not in the publication, and remembers of these, and of those that were not for a while,
// that changes of them were not in the stream.
func (r *run) missed(published map[string]int64) (lacked []*feed, err error) {
	for _, f := range r.feeds {
		t := r.state.table(f.dataset.Name)
		entry, there := published[f.unit]
		if !there {
			lacked = append(lacked, f)
		}
		if f.last != "" && (!there || t.Entry != 0 && entry != t.Entry) {
			t.Gap = fmt.Sprintf("table %s was not in the publication for a while", f.unit)
		}
		t.Entry = entry
	}
	return lacked, r.state.save()
}

func (r *run) tableList(feeds []*feed) string {
	var names []string
	for _, f := range feeds {
		names = append(names, f.table.sql())
	}
	return strings.Join(names, ", ")
}

func (r *run) publish(ctx context.Context, what, sql string) error {
	_, err := r.side.Exec(ctx, sql)
	if codeOf(err) == "42501" {
		return refuse("not_published", "%s, and %s may not change that; have the owner of the tables run %s", what, r.settings.User, sql)
	}
	if err != nil {
		return fmt.Errorf("%s, and %s failed: %w", what, sql, plain(err))
	}
	r.Log.Info("publication changed", "sql", sql)
	return nil
}

// published are the tables of the publication, each with the number of its entry: another number is another entry, made
// after the first was removed. A row filter is refused: the records that it hides would be in the snapshot alone.
func (r *run) published(ctx context.Context, conn *pgx.Conn) (map[string]int64, error) {
	rows, err := conn.Query(ctx, `SELECT schemaname::text, tablename::text, coalesce(to_jsonb(p)->>'rowfilter', ''),
		coalesce((SELECT e.oid::int8 FROM pg_publication_rel e JOIN pg_publication b ON b.oid = e.prpubid WHERE b.pubname = p.pubname AND e.prrelid = to_regclass(format('%I.%I', schemaname, tablename))), 0)
		FROM pg_publication_tables p WHERE pubname = $1`, r.settings.Publication)
	if err != nil {
		return nil, fmt.Errorf("the tables of the publication cannot be read: %w", plain(err))
	}
	defer rows.Close()
	published := map[string]int64{}
	for rows.Next() {
		var schema, name, filter string
		var entry int64
		if err := rows.Scan(&schema, &name, &filter, &entry); err != nil {
			return nil, fmt.Errorf("the tables of the publication cannot be read: %w", plain(err))
		}
		full := schema + "." + name
		published[full] = entry
		if f := r.byName[full]; f != nil && filter != "" {
			publication := quote(r.settings.Publication)
			return nil, refuse("publication_partial", "publication %s hides rows of %s; run ALTER PUBLICATION %s DROP TABLE %s; ALTER PUBLICATION %s ADD TABLE %s;",
				r.settings.Publication, f.unit, publication, f.sql(), publication, f.sql()).of(f)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("the tables of the publication cannot be read: %w", plain(err))
	}
	return published, nil
}
