package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/portal/signon"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

func (a *app) doctorCommand() *cobra.Command {
	var access bool
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look at everything the platform stands on and say what to mend", Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if access {
				return a.printAccess()
			}
			return a.doctor(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&access, "access", false, "print the SQL that makes Shire's users on an external ClickHouse; put the passwords in yourself")
	return cmd
}

func (a *app) printAccess() error {
	placeholders := map[string]string{}
	var departments []string
	if _, err := a.configFile(); err == nil { // without one, the users that every county has
		s, err := a.readSetup()
		if err != nil {
			return err
		}
		departments = s.config.Sharing.WarehouseDepartments()
	}
	for _, u := range append(clickhouse.Access(), clickhouse.DepartmentUsers(departments)...) {
		placeholders[u.Name] = "PASSWORD OF " + u.Name
	}
	statements, err := clickhouse.AccessSQL(placeholders, departments...)
	if err != nil {
		return err
	}
	a.result = statements
	for _, s := range statements {
		a.say("%s;", s)
	}
	return nil
}

type finding struct {
	What    string `json:"what"`
	OK      bool   `json:"ok"`
	Message string `json:"message,omitempty"`
}

// doctor looks at one thing after the other and goes on after a bad one, as far as the next does not need it.
func (a *app) doctor(ctx context.Context) error {
	var findings []finding
	var first error
	look := func(what string, err error) bool {
		f := finding{What: what, OK: err == nil}
		mark := "ok  "
		if err != nil {
			f.Message, mark = err.Error(), "BAD "
			first = errors.Join(first, err)
		}
		findings = append(findings, f)
		a.say("%s%s %s", mark, what, f.Message)
		return err == nil
	}
	_, err := embedded.FindLibrary()
	look(fmt.Sprintf("ClickHouse library for %s/%s", runtime.GOOS, runtime.GOARCH), err)
	s, err := a.readSetup()
	if look("county.yaml, contracts, calendars, metrics", err) {
		look("contracts and connectors fit together", a.check(ctx, s, true))
		if o := s.config.Portal.OIDC; o != nil {
			p, err := signon.New(*o, nil)
			if err == nil {
				err = p.Reach(ctx)
			}
			look("sign-on provider", err)
		}
		e, err := a.start(ctx, s, nil)
		if errors.Is(err, embedded.ErrLocked) {
			e, _, err = a.attach(s)
		}
		if look("data directory and engines", err) {
			defer e.stop()
			b, err := openBus(ctx, s, e)
			if look("streams of the bus", err) {
				last, err := b.LastSequence(ctx)
				look(fmt.Sprintf("changes on the bus: %d messages", last), err)
			}
			conn, err := warehouse.Open(e.analyst)
			if err == nil {
				err = conn.Ping(ctx)
				conn.Close()
			}
			look("ClickHouse as the analyst", err)
		}
	}
	a.result = findings
	return first
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the versions of shire, its data layout and its warehouse schema", Args: exactly(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			a.result = map[string]any{"version": version, "layout": layoutVersion, "schema": clickhouse.Version(), "go": runtime.Version()}
			a.say("shire %s (data layout %s, warehouse schema %d, %s %s/%s)", version, layoutVersion, clickhouse.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}

func (a *app) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use: "schema county|contract", Short: "Print the JSON Schema of county.yaml or of a contract, for editors", Args: exactly(1, "county or contract"),
		RunE: func(_ *cobra.Command, args []string) error {
			var text []byte
			var err error
			switch args[0] {
			case "county":
				text, err = county.JSONSchema()
			case "contract":
				text, err = contract.JSONSchema()
			default:
				return inputf("%q has no schema; write county or contract", args[0])
			}
			if err != nil {
				return err
			}
			a.result = string(text)
			a.say("%s", text)
			return nil
		},
	}
}
