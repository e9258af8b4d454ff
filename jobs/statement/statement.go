// Package statement is the worker of jobs that run a file of SQL against the warehouse.
//
// A file is read, taken apart, and understood by the server as a whole before its first statement runs. Its statements run
// one after another in one session, as the analyst, who can write nothing, or as the user of jobs that write, who can
// write to the database [clickhouse.Own] alone. Parameters are bound by the server and never become part of a statement.
//
// # How it fails
//
//   - The file is absent or wrong: an error that names file and line and wraps [jobs.ErrPermanent]; nothing has run.
//   - A statement fails: those before it stay done, since ClickHouse has no transaction around them; no file of results
//     is written.
//   - The run ends first: the query is cancelled and its connection closed, upon which the server ends it. A killed shire
//     closes the connection, too.
package statement

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/document"
)

// Worker runs a file of SQL.
type Worker struct {
	settings *Settings
	at       warehouse.Address
}

var _ jobs.Worker = (*Worker)(nil)

// New makes the worker of a job. reader is the warehouse as the analyst, writer as [clickhouse.Jobs]: settings with
// write: use the second, the others the first.
func New(s *Settings, reader, writer warehouse.Address) *Worker {
	if s.Write {
		return &Worker{s, writer}
	}
	return &Worker{s, reader}
}

// Do runs the statements. Its counts are statements, rows (of results), rows_written and files.
func (w *Worker) Do(ctx context.Context, t jobs.Task, output io.Writer) (result jobs.Result, err error) {
	statements, err := w.settings.statements()
	if err != nil {
		return result, fmt.Errorf("the statements of the job cannot be used: %w (%w)", err, jobs.ErrPermanent)
	}
	problems, kinds, err := w.understand(ctx, statements, t)
	switch {
	case err != nil:
		return result, w.ended(ctx, fmt.Errorf("ClickHouse could not be asked to read %s: %w", w.settings.File, err))
	case len(problems) > 0:
		return result, fmt.Errorf("%w (%w); nothing has run", problems, jobs.ErrPermanent)
	}
	conn, err := w.session(ctx)
	if err != nil {
		return result, w.ended(ctx, err)
	}
	defer conn.Close()
	r := &run{conn: conn, worker: w, task: t, output: output, counts: map[string]uint64{}}
	if w.settings.To != "" {
		r.results = newResults(w.settings.To, w.settings.name(), t.Due, count(kinds, returnsRows))
		defer r.results.discard()
	}
	for i, st := range statements {
		if err := r.statement(ctx, st, kinds[i]); err != nil {
			err = fmt.Errorf("%s, line %d: statement %d of %d: %w", w.settings.File, st.Line, i+1, len(statements), err)
			return jobs.Result{Counts: r.counts}, w.ended(ctx, err)
		}
	}
	if r.results != nil {
		if err := r.results.keep(); err != nil {
			return jobs.Result{Counts: r.counts}, err
		}
		r.counts["files"] = uint64(len(r.results.files))
	}
	return jobs.Result{Message: fmt.Sprintf("%d statements, %d rows in their results", len(statements), r.counts["rows"]), Counts: r.counts}, nil
}

// Prove asks the server whether it understands the statements, with the values that the run t would give them. Nothing
// runs. The error says that the server could not be asked; what it does not understand are problems of the SQL file.
func (w *Worker) Prove(ctx context.Context, t jobs.Task) (document.Problems, error) {
	statements, err := w.settings.statements()
	var found document.Problems
	if errors.As(err, &found) {
		return found, nil
	}
	if err != nil {
		return document.Problems{{File: w.settings.File, Message: "cannot be read", Do: "check the path and its permissions"}}, nil
	}
	problems, _, err := w.understand(ctx, statements, t)
	return problems, err
}

// understand has the server read every statement without running it, and says what each is.
func (w *Worker) understand(ctx context.Context, statements []Statement, t jobs.Task) (problems document.Problems, kinds []string, err error) {
	conn, err := warehouse.Open(w.at)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	for _, st := range statements {
		text, values, err := bind(st, t)
		if err != nil {
			problems = append(problems, &document.Problem{File: w.settings.File, Line: st.Line, Message: err.Error(), Do: "give the parameter in the job, or to the run"})
			continue
		}
		kind, err := explain(ctx, conn, text, values)
		var exception *ch.Exception
		if errors.As(err, &exception) {
			problems = append(problems, &document.Problem{File: w.settings.File, Line: st.Line, Message: "ClickHouse does not understand the statement: " + sentence(exception), Do: "try it with shire sql"})
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		kinds = append(kinds, kind)
	}
	return problems, kinds, nil
}

// ended says why a run ended that was to end.
func (w *Worker) ended(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, context.DeadlineExceeded):
		return fmt.Errorf("the statements took longer than they may and were cancelled: %w", errors.Join(cause, err))
	case cause != nil:
		return fmt.Errorf("the statements were cancelled: %w", errors.Join(cause, err))
	}
	return err
}

// run is one run of a file.
type run struct {
	conn    driver.Conn // one session: what SET and USE say holds to the end of the file
	worker  *Worker
	task    jobs.Task
	output  io.Writer
	results *results // nil: rows are counted only
	counts  map[string]uint64
}

// returnsRows tells what the results of which are counted and written, by the server's name for the statement.
func returnsRows(kind string) bool {
	return strings.HasPrefix(kind, "Select") || strings.HasPrefix(kind, "Show") || strings.HasPrefix(kind, "Describe") ||
		kind == "Explain" || strings.HasPrefix(kind, "Exists")
}

func count(kinds []string, is func(string) bool) (n int) {
	for _, k := range kinds {
		if is(k) {
			n++
		}
	}
	return n
}

func (r *run) statement(ctx context.Context, st Statement, kind string) error {
	text, values, err := bind(st, r.task)
	if err != nil {
		return err
	}
	var written atomic.Uint64
	ctx = ch.Context(ctx, ch.WithParameters(values), ch.WithSettings(r.settings()), ch.WithProgress(func(p *ch.Progress) { written.Add(p.WroteRows) }))
	began := time.Now()
	say := func(format string, args ...any) {
		line := fmt.Sprintf("%s:%d %s: ", filepath.Base(r.worker.settings.File), st.Line, st.verb()) + fmt.Sprintf(format, args...)
		_, _ = fmt.Fprintf(r.output, "%s in %s\n", line, time.Since(began).Round(time.Millisecond)) // who keeps the output knows when it cannot
	}
	r.counts["statements"]++
	if !returnsRows(kind) {
		if err := r.conn.Exec(ctx, text); err != nil {
			return r.failure(err)
		}
		r.counts["rows_written"] += written.Load()
		say("%d rows written", written.Load())
		return nil
	}
	rows, err := r.conn.Query(ctx, text)
	if err != nil {
		return r.failure(err)
	}
	defer rows.Close()
	n, file, err := r.read(rows)
	r.counts["rows"] += n
	if err != nil {
		return r.failure(err)
	}
	if file != "" {
		say("%d rows to %s", n, file)
	} else {
		say("%d rows", n)
	}
	return nil
}

// verb is what the statement begins with, for people.
func (st Statement) verb() string {
	if len(st.words) == 0 {
		return "statement"
	}
	return st.words[0].text
}

// read counts the rows of a result and writes them where they are wanted.
func (r *run) read(rows driver.Rows) (n uint64, file string, err error) {
	if r.results == nil {
		for rows.Next() {
			n++
		}
		return n, "", rows.Err()
	}
	return r.results.write(rows)
}

// settings are those of a single statement.
func (r *run) settings() ch.Settings {
	if r.worker.settings.MemoryMax == 0 {
		return nil
	}
	return ch.Settings{"max_memory_usage": r.worker.settings.MemoryMax}
}

// permanent are the codes of server exceptions that trying again does not mend: wrong statements and values, names that do
// not exist, rights that are not there.
var permanent = []int32{8, 10, 16, 20, 36, 41, 42, 43, 44, 46, 47, 53, 60, 62, 81, 115, 164, 215, 352, 386, 452, 456, 457, 497, 516}

// Codes of exceptions that say that a bound was passed.
const (
	codeTooSlow    = 159
	codeMemory     = 241
	codeResultRows = 396
)

// failure makes a sentence of an error of the driver or the server.
func (r *run) failure(err error) error {
	var exception *ch.Exception
	if !errors.As(err, &exception) {
		return err
	}
	text := sentence(exception)
	switch {
	case exception.Code == codeTooSlow || exception.Code == codeMemory || exception.Code == codeResultRows:
		return fmt.Errorf("a bound of the user %s was passed: %s", r.worker.at.User, text)
	case slices.Contains(permanent, exception.Code):
		return fmt.Errorf("ClickHouse does not run it: %s (%w)", text, jobs.ErrPermanent)
	}
	return fmt.Errorf("ClickHouse did not run it to its end: %s", text)
}

// sentence is what a person needs of an exception of the server.
func sentence(e *ch.Exception) string {
	text, _, _ := strings.Cut(e.Message, "\n")
	text, _, _ = strings.Cut(text, " Expected one of:")
	text, _, _ = strings.Cut(text, " (version ")
	const most = 500
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + " …"
	}
	return fmt.Sprintf("%s [code %d]", strings.TrimRight(strings.TrimSpace(text), ".:"), e.Code)
}

// forever is longer than a statement runs: the driver's bound is one for the whole of a statement, not for its silence.
const forever = 365 * 24 * time.Hour

// session opens one connection, which the driver may neither share nor replace.
func (w *Worker) session(ctx context.Context) (driver.Conn, error) {
	host, _, _ := net.SplitHostPort(w.at.Native)
	compression := ch.CompressionLZ4
	if net.ParseIP(host).IsLoopback() {
		compression = ch.CompressionNone // compressing costs more than loopback saves
	}
	var dialled atomic.Bool
	conn, err := ch.Open(&ch.Options{
		Addr: []string{w.at.Native}, Auth: ch.Auth{Username: w.at.User, Password: w.at.Password}, TLS: w.at.TLS,
		Compression: &ch.Compression{Method: compression}, DialTimeout: 5 * time.Second, ReadTimeout: forever,
		MaxOpenConns: 1, MaxIdleConns: 1, ConnMaxLifetime: forever, BlockBufferSize: 1,
		DialContext: w.dialOnce(&dialled),
	})
	if err != nil {
		return nil, fmt.Errorf("ClickHouse at %s: %w", w.at.Native, err)
	}
	if w.settings.Write {
		if err := conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+clickhouse.Own); err != nil {
			conn.Close()
			return nil, fmt.Errorf("the database %s cannot be made: %w", clickhouse.Own, err)
		}
	}
	return conn, nil
}

// dialOnce keeps the driver from going on in a second session, which would know nothing of the first one's SET and USE.
func (w *Worker) dialOnce(dialled *atomic.Bool) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, address string) (net.Conn, error) {
		if dialled.Load() {
			return nil, errors.New("the connection to ClickHouse was lost")
		}
		dialer := &net.Dialer{Timeout: 5 * time.Second}
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		if w.at.TLS != nil {
			if conn, err = overTLS(ctx, conn, w.at.TLS, address); err != nil {
				return nil, err
			}
		}
		dialled.Store(true)
		return conn, nil
	}
}

// explain has the server parse a statement, and says what it takes it for, such as SelectWithUnionQuery.
func explain(ctx context.Context, conn driver.Conn, text string, values map[string]string) (kind string, err error) {
	rows, err := conn.Query(ch.Context(ctx, ch.WithParameters(values)), "EXPLAIN AST "+text)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var line string
	if rows.Next() {
		if err := rows.Scan(&line); err != nil {
			return "", err
		}
	}
	kind, _, _ = strings.Cut(strings.TrimSpace(line), " ")
	for rows.Next() {
	}
	return kind, rows.Err()
}
