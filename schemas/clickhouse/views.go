package clickhouse

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/schemas/calendar/clock"
	"github.com/shirecounty/shire/schemas/metrics"
)

//go:embed views/*.sql
var views embed.FS

var validUser = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// Views is what the views of mart, ops and metrics are made of, beside their own text.
type Views struct {
	Zone       string      // the county's time zone, an IANA name
	Definer    string      // user of the connection: with its rights readers see the tables below
	Clock      clock.Rules // how the county counts legal time
	EndsFilled []string    // datasets whose contract says that the start stands where an end is not known
	Metrics    metrics.Set
}

// ApplyViews applies the Views of a county that counts legal time in whole days and none of whose contracts says ends_filled.
func ApplyViews(ctx context.Context, conn driver.Conn, zone, definer string, set metrics.Set) error {
	return Views{Zone: zone, Definer: definer, Metrics: set}.Apply(ctx, conn)
}

// Apply writes every view of mart, known, ops and metrics anew, and drops views of metrics that are no longer defined. The
// views are definitions without data, so this is done at every start: a new program, another time zone, other rules of the
// clock or a changed metric show at once.
func (v Views) Apply(ctx context.Context, conn driver.Conn) error {
	constants, err := v.constants()
	if err != nil {
		return err
	}
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
	if err := applyKnown(ctx, conn, v.Definer, past); err != nil {
		return err
	}
	for _, definition := range v.Metrics.All() {
		if err := conn.Exec(ctx, metrics.Compile(definition, v.Zone, v.Definer)); err != nil {
			return fmt.Errorf("create the view of the metric %s: %w", definition.Name, err)
		}
	}
	return dropUndefined(ctx, conn, v.Metrics.Names())
}

// constants is what the views' texts leave open. ClickHouse wants constants for all of it, so they become part of the text.
func (v Views) constants() (*strings.Replacer, error) {
	if _, err := time.LoadLocation(v.Zone); err != nil || v.Zone == "" || v.Zone == "Local" {
		return nil, fmt.Errorf("the county's time zone %q is not an IANA name such as Asia/Shanghai", v.Zone)
	}
	if !validUser.MatchString(v.Definer) {
		return nil, fmt.Errorf("the ClickHouse user %q cannot be a definer: its name has to be letters, digits, _ and -", v.Definer)
	}
	filled := make([]string, len(v.EndsFilled))
	for i, dataset := range v.EndsFilled {
		filled[i] = quote(dataset)
	}
	anyFilled := "0"
	if len(filled) > 0 {
		anyFilled = "1"
	}
	return strings.NewReplacer("{zone}", quote(v.Zone), "{definer}", v.Definer,
		"{parts}", strconv.Itoa(v.Clock.Parts()), "{noon}", strconv.Itoa(int(v.Clock.Noon.Minutes())),
		"{filled}", strings.Join(filled, ", "), "{any_filled}", anyFilled), nil
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
