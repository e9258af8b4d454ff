package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/portal"
	"github.com/shirecounty/shire/schemas/document"
)

// Exit codes, part of the command line's surface.
const (
	exitOK          = 0
	exitFailed      = 1
	exitInput       = 2 // what you wrote is wrong: file, line, what to write instead
	exitEnvironment = 3 // where it runs is wrong: which address, what to check
)

// app is one invocation.
type app struct {
	config  string // -c
	data    string // --data
	json    bool   // --json
	verbose bool   // -v
	out     io.Writer
	err     io.Writer
	log     *slog.Logger

	command string
	result  any // what --json shows
}

// inputError is a mistake of whoever called.
type inputError struct{ message string }

func (e *inputError) Error() string { return e.message }

func inputf(format string, args ...any) error { return &inputError{fmt.Sprintf(format, args...)} }

func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	a := &app{out: out, err: errOut}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	// Arguments that are wrong are never parsed to their end, and yet who asked for JSON gets it.
	a.json = asksForJSON(args)
	var text bytes.Buffer // what cobra prints: help, completion scripts
	if a.json {
		root.SetOut(&text)
	}
	cmd, err := root.ExecuteContextC(ctx)
	if a.command == "" && cmd != nil {
		a.command = commandOf(cmd)
	}
	code := exitCode(ctx, err)
	if a.json {
		if a.result == nil && text.Len() > 0 {
			a.result = text.String()
		}
		a.envelope(err, code)
		return code
	}
	if err != nil {
		fmt.Fprintln(errOut, strings.TrimRight(sentence(err), "\n"))
	}
	return code
}

// commandOf is how the envelope names a command.
func commandOf(cmd *cobra.Command) string { return strings.TrimPrefix(cmd.CommandPath(), "shire ") }

func asksForJSON(args []string) bool {
	for _, arg := range args {
		switch arg {
		case "--":
			return false
		case "--json", "--json=true":
			return true
		}
	}
	return false
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "shire",
		Short:         "The county node: one shared record, and honest figures on how the county is served",
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRun: func(cmd *cobra.Command, _ []string) {
			a.command = commandOf(cmd)
			level := slog.LevelWarn
			if a.verbose {
				level = slog.LevelDebug
			}
			a.log = slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level}))
			slog.SetDefault(a.log)
		},
	}
	flags := root.PersistentFlags()
	flags.StringVarP(&a.config, "config", "c", "", "county.yaml (default: the one used last with this data directory, else ./county.yaml)")
	flags.StringVar(&a.data, "data", "data", "data directory: the state of the embedded engines")
	flags.BoolVar(&a.json, "json", false, "print one JSON object {command, ok, result, error} and nothing else")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "log what happens")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return inputf("%v; see %s --help", err, cmd.CommandPath())
	})
	root.AddCommand(a.upCommand(), a.demoCommand(), a.loadCommand(), a.checkCommand(), a.sqlCommand(), a.statusCommand(),
		a.quarantineCommand(), a.identityCommand(), a.reconcileCommand(), a.replayCommand(), a.metricsCommand(), a.jobsCommand(), a.backupCommand(), a.restoreCommand(), a.auditCommand(), a.clientsCommand(), a.catalogueCommand(), a.sharingCommand(), a.subscriptionsCommand(), a.keysCommand(), a.pushCommand(), a.doctorCommand(), a.schemaCommand(), a.versionCommand())
	return root
}

// group is a command that only holds others: alone it shows them, and another word than their names is a mistake.
func group(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	return inputf("%s has no command %q; %s", cmd.CommandPath(), args[0], document.DidYouMean(args[0], names))
}

// exactly is cobra's argument check with a sentence and the exit code of wrong input.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return inputf("%s takes %s; see %s --help", cmd.CommandPath(), what, cmd.CommandPath())
		}
		return nil
	}
}

func exitCode(ctx context.Context, err error) int {
	var (
		input       *inputError
		problems    document.Problems
		environment *embedded.EnvError
		address     *portal.AddressError
		otherBus    warehouse.OtherBusError
		payload     *bus.PayloadError
		request     *jobs.RequestError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &input), errors.As(err, &problems), errors.As(err, &request), strings.HasPrefix(err.Error(), "unknown command"):
		return exitInput
	case errors.As(err, &environment), errors.As(err, &address), errors.As(err, &otherBus), errors.As(err, &payload), errors.Is(err, errUnreachable):
		return exitEnvironment
	}
	return exitFailed
}

// errUnreachable marks an external engine that does not answer.
var errUnreachable = errors.New("the engine does not answer")

func sentence(err error) string {
	var problems document.Problems
	if errors.As(err, &problems) {
		return problems.Error()
	}
	return "shire: " + err.Error()
}

// envelope is what --json prints.
func (a *app) envelope(err error, code int) {
	type failure struct {
		Code     int               `json:"code"`
		Message  string            `json:"message"`
		Problems document.Problems `json:"problems,omitempty"`
	}
	e := struct {
		Command string   `json:"command"`
		OK      bool     `json:"ok"`
		Result  any      `json:"result"`
		Error   *failure `json:"error"`
	}{Command: a.command, OK: err == nil, Result: a.result}
	if err != nil {
		e.Error = &failure{Code: code, Message: err.Error()}
		errors.As(err, &e.Error.Problems)
	}
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	if err := enc.Encode(e); err != nil {
		fmt.Fprintln(os.Stderr, "shire: the result cannot be written:", err)
	}
}

// say prints for a person; --json prints the result alone.
func (a *app) say(format string, args ...any) {
	if !a.json {
		fmt.Fprintf(a.out, format+"\n", args...)
	}
}
