package clickhouse

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/schemas/metrics"
)

//go:embed views/*.sql
var views embed.FS

var validUser = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// ApplyViews writes every view of mart, known, ops and metrics anew, and drops views of metrics that are no longer defined. The
// views are definitions without data, so this is done at every start: a new program, another time zone (an IANA name) or a
// changed metric shows at once. definer is the user of conn: with its rights readers see the tables below.
func ApplyViews(ctx context.Context, conn driver.Conn, zone, definer string, set metrics.Set) error {
	if _, err := time.LoadLocation(zone); err != nil || zone == "" || zone == "Local" {
		return fmt.Errorf("the county's time zone %q is not an IANA name such as Asia/Shanghai", zone)
	}
	if !validUser.MatchString(definer) {
		return fmt.Errorf("the ClickHouse user %q cannot be a definer: its name has to be letters, digits, _ and -", definer)
	}
	// ClickHouse wants constants for both, so they become part of the text.
	constants := strings.NewReplacer("{zone}", quote(zone), "{definer}", definer)
	files, err := fs.Glob(views, "views/*.sql")
	if err != nil {
		return fmt.Errorf("read the views: %w", err)
	}
	var past []string
	twins := map[string]bool{}
	for _, file := range files { // sorted: a view comes after those it reads
		text, err := fs.ReadFile(views, file)
		if err != nil {
			return fmt.Errorf("read the views: %w", err)
		}
		if err := conn.Exec(ctx, constants.Replace(string(text))); err != nil {
			return fmt.Errorf("create the view of %s: %w", path.Base(file), err)
		}
		if view := known(constants.Replace(string(text)), twins); view != "" {
			past = append(past, view)
		}
	}
	if err := applyKnown(ctx, conn, definer, past); err != nil {
		return err
	}
	for _, definition := range set.All() {
		if err := conn.Exec(ctx, metrics.Compile(definition, zone, definer)); err != nil {
			return fmt.Errorf("create the view of the metric %s: %w", definition.Name, err)
		}
	}
	return dropUndefined(ctx, conn, set.Names())
}

func dropUndefined(ctx context.Context, conn driver.Conn, defined []string) error {
	var present []struct{ Name string }
	if err := conn.Select(ctx, &present, "SELECT name AS Name FROM system.tables WHERE database = 'metrics'"); err != nil {
		return fmt.Errorf("list the views of metrics: %w", err)
	}
	for _, view := range present {
		if slices.Contains(defined, view.Name) {
			continue
		}
		if err := conn.Exec(ctx, "DROP VIEW IF EXISTS metrics.`"+view.Name+"`"); err != nil {
			return fmt.Errorf("drop the view of the former metric %s: %w", view.Name, err)
		}
	}
	return nil
}
