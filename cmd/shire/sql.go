package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/warehouse"
)

func (a *app) sqlCommand() *cobra.Command {
	var asCSV bool
	cmd := &cobra.Command{
		Use:   `sql "SELECT ..."`,
		Short: "Ask the warehouse, as an analyst: the databases mart, metrics, ops and audit",
		Args:  exactly(1, "one statement in quotes"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withWarehouse(cmd.Context(), func(ctx context.Context, s *setup, e *engines) error {
				conn, err := warehouse.Open(e.analyst)
				if err != nil {
					return err
				}
				defer conn.Close()
				return a.sql(ctx, conn, args[0], asCSV)
			})
		},
	}
	cmd.Flags().BoolVar(&asCSV, "csv", false, "print CSV")
	return cmd
}

// withWarehouse runs fn with the engines of the data directory: those of the process that runs there, else its own.
func (a *app) withWarehouse(ctx context.Context, fn func(context.Context, *setup, *engines) error) error {
	s, err := a.readSetup()
	if err != nil {
		return err
	}
	e, err := a.start(ctx, s, nil)
	if errors.Is(err, embedded.ErrLocked) {
		e, _, err = a.attach(s)
	}
	if err != nil {
		return err
	}
	defer e.stop()
	return fn(ctx, s, e)
}

type table struct {
	Columns []string `json:"columns"`
	Rows    [][]any  `json:"rows"`
}

func (a *app) sql(ctx context.Context, conn driver.Conn, query string, asCSV bool) error {
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return inputf("ClickHouse does not run this: %v", err)
	}
	defer rows.Close()
	t := table{Columns: rows.Columns(), Rows: [][]any{}}
	types := rows.ColumnTypes()
	for rows.Next() {
		line := make([]any, len(types))
		for i, c := range types {
			line[i] = reflect.New(c.ScanType()).Interface()
		}
		if err := rows.Scan(line...); err != nil {
			return fmt.Errorf("a row cannot be read: %w", err)
		}
		for i := range line {
			line[i] = plain(line[i], types[i].DatabaseTypeName())
		}
		t.Rows = append(t.Rows, line)
	}
	if err := rows.Err(); err != nil {
		return inputf("ClickHouse stopped: %v", err)
	}
	a.result = t
	if a.json {
		return nil
	}
	return a.print(t, asCSV)
}

func (a *app) print(t table, asCSV bool) error {
	if asCSV {
		w := csv.NewWriter(a.out)
		lines := [][]string{t.Columns}
		for _, r := range t.Rows {
			lines = append(lines, texts(r))
		}
		return w.WriteAll(lines)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(t.Columns, "\t"))
	for _, r := range t.Rows {
		fmt.Fprintln(w, strings.Join(texts(r), "\t"))
	}
	return w.Flush()
}

func texts(row []any) []string {
	out := make([]string, len(row))
	for i, v := range row {
		if v != nil {
			out[i] = fmt.Sprint(v)
		}
	}
	return out
}

// plain takes the pointers off a scanned value and writes dates and times the way they are sorted.
func plain(v any, kind string) any {
	r := reflect.ValueOf(v)
	for r.Kind() == reflect.Pointer {
		if r.IsNil() {
			return nil
		}
		r = r.Elem()
	}
	switch x := r.Interface().(type) {
	case time.Time:
		if strings.Contains(kind, "Date") && !strings.Contains(kind, "DateTime") {
			return x.Format(time.DateOnly)
		}
		return x.Format(time.RFC3339Nano)
	case fmt.Stringer:
		return x.String()
	default:
		return x
	}
}
