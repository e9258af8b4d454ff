//go:build unix

// Package command is the worker of jobs that run a program.
//
// The program runs with a clean environment, in a session of its own, below a supervisor: a process of this same binary
// that ends everything the program started, however it hid, when the program ends, when the run is to end, and when shire
// has gone, killed or not. What the program prints becomes harmless lines, up to a bound.
//
// A binary that runs a [Worker] must call [RunSupervisorIfAsked] at the beginning of main.
//
// # How it fails
//
//   - The program is not there, cannot be run, or its folder is absent: an error that says so and wraps
//     [jobs.ErrPermanent].
//   - The run ends first: SIGTERM to every process, after grace SIGKILL.
//   - The program passes memory_max or processes_max: SIGKILL to every process.
//   - shire is killed: the supervisor sees its pipe end, kills every process and removes the scratch folder.
//   - The supervisor is killed: where it is isolated the kernel kills everything below it. Elsewhere the kernel kills the
//     program, and shire what still has the run's scratch folder in its environment; only if both are killed at once can
//     something that the program started live on.
package command

import (
	"bufio"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/shirecounty/shire/jobs"
)

// Worker runs a command.
type Worker struct {
	settings *Settings
	scratch  string
	plain    bool          // without namespaces, as where they cannot be made
	patience time.Duration // with processes that do not end though they were killed
}

var _ jobs.Worker = (*Worker)(nil)

// New makes the worker of a job. Its runs get their folders in scratch; in the system's folder for temporary files when
// that is empty.
func New(s *Settings, scratch string) *Worker {
	return &Worker{settings: s, scratch: scratch, patience: patience}
}

// Do runs the command. Its counts are output_lines and output_bytes, cpu_ms of all its processes, and memory_peak_bytes
// of the largest one.
func (w *Worker) Do(ctx context.Context, t jobs.Task, output io.Writer) (jobs.Result, error) {
	scratch, err := os.MkdirTemp(w.scratch, "shire-job-")
	if err != nil {
		return jobs.Result{}, fmt.Errorf("the command gets no scratch folder: %w", reason(err))
	}
	result, err := w.do(ctx, t, output, scratch)
	if failed := removeAll(scratch); failed != nil {
		err = errors.Join(err, fmt.Errorf("the scratch folder %s could not be removed: %w; remove it by hand", scratch, reason(failed)))
	}
	return result, err
}

func (w *Worker) do(ctx context.Context, t jobs.Task, output io.Writer, scratch string) (jobs.Result, error) {
	o, secrets, err := w.order(t, scratch)
	if err != nil {
		return jobs.Result{}, fmt.Errorf("%w (%w)", err, jobs.ErrPermanent)
	}
	if ctx.Err() != nil {
		return jobs.Result{}, fmt.Errorf("the command %s was not started: %w", w.settings.Run[0], context.Cause(ctx))
	}
	recorder := newRecorder(output, w.settings.OutputMax, secrets)
	end, err := w.supervise(ctx, o, recorder, mayIsolate() && !w.plain)
	if errors.Is(err, errUnfit) {
		end, err = w.supervise(ctx, o, recorder, false)
	}
	result := jobs.Result{Counts: map[string]uint64{"output_lines": uint64(recorder.lines), "output_bytes": uint64(recorder.printed)}}
	if err != nil {
		return result, err
	}
	result.Counts["cpu_ms"], result.Counts["memory_peak_bytes"] = uint64(end.CPU.Milliseconds()), end.PeakRSS
	if end.Left > 0 {
		result.Message = fmt.Sprintf("%d processes still ran after the command had ended, and were ended, too", end.Left)
	}
	return result, w.verdict(ctx, end)
}

// order makes of a run what its supervisor is to do. Its errors cannot be mended by trying again.
func (w *Worker) order(t jobs.Task, scratch string) (o order, secrets []string, err error) {
	s := w.settings
	o = order{Scratch: scratch, Grace: s.Grace, Patience: w.patience, MemoryMax: uint64(s.MemoryMax), ProcessesMax: s.ProcessesMax, FileMax: uint64(s.FileMax), Nice: s.Nice}
	values := valuesOf(t)
	for name, value := range values {
		if strings.ContainsRune(value, 0) {
			return o, nil, fmt.Errorf("the parameter %s holds a zero byte, which no program can be given", name)
		}
	}
	fill := func(what, text string) string {
		filled, failed := expand(text, values)
		if failed != nil && err == nil {
			err = fmt.Errorf("%s of the command %s cannot be filled in: %w", what, s.Run[0], failed)
		}
		return filled
	}
	for i, argument := range s.Run {
		o.Args = append(o.Args, fill(fmt.Sprintf("argument %d", i), argument))
	}
	o.Folder = fill("the folder", s.Folder)

	environment := map[string]string{
		"PATH": s.path(), "LANG": firstOf(os.Getenv("LANG"), "C.UTF-8"), "HOME": scratch, "TMPDIR": scratch, "SHIRE_SCRATCH": scratch,
	}
	if zone := t.Due.Location().String(); zone != "" && zone != "Local" {
		if _, unknown := time.LoadLocation(zone); unknown == nil {
			environment["TZ"] = zone
		}
	}
	for name, value := range values {
		environment[environmentOf(name)] = value
	}
	for name, text := range s.Environment {
		environment[name] = fill("environment."+name, text)
	}
	for name, secret := range s.Secrets {
		value, failed := secret.Reveal()
		if failed != nil {
			return o, nil, fmt.Errorf("secrets.%s cannot be read: %w; check the path and its permissions", name, reason(failed))
		}
		if strings.ContainsRune(value, 0) {
			return o, nil, fmt.Errorf("secrets.%s holds a zero byte, which no program can be given", name)
		}
		environment[name] = value
		secrets = append(secrets, value)
	}
	for _, name := range slices.Sorted(maps.Keys(environment)) {
		o.Env = append(o.Env, name+"="+environment[name])
	}
	if err != nil {
		return o, nil, err
	}
	if err := checkFolder(o.Folder); err != nil {
		return o, nil, fmt.Errorf("the command %s cannot be started: its folder %w", s.Run[0], err)
	}
	if o.Program, err = locate(s.Run[0], environment["PATH"]); err != nil {
		return o, nil, fmt.Errorf("the command %s cannot be started: %w", s.Run[0], err)
	}
	return o, secrets, nil
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// errUnfit tells that a supervisor could not be isolated; then nothing has been started.
var errUnfit = errors.New("no namespaces can be made here")

// giveUpAfter is how much longer than it should a supervisor may take for the end that was asked for.
const giveUpAfter = 5 * time.Second

// drainTime is for what the pipe still holds when no process of the command is left, or none that ends.
const drainTime = 2 * time.Second

// supervise runs the supervisor of one command to its end, and returns its report. No process of the command is left
// then, unless the report names it.
func (w *Worker) supervise(ctx context.Context, o order, to *recorder, isolated bool) (end *report, err error) {
	pipes, err := openPipes()
	if err != nil {
		return nil, fmt.Errorf("the command gets no pipes: %w", reason(err))
	}
	defer pipes.close()
	cmd := exec.Command(ownExecutable)
	cmd.Args = []string{supervisorName, w.settings.Run[0]}
	cmd.Env = []string{supervisorMarker + "=" + supervisorAmong, scratchMarker + "=" + o.Scratch, "GOMAXPROCS=2"}
	if isolated {
		cmd.Env[0] = supervisorMarker + "=" + supervisorAlone
	}
	cmd.SysProcAttr = supervisorAttributes(isolated)
	cmd.Stdout, cmd.Stderr = pipes.output.write, pipes.output.write
	cmd.ExtraFiles = []*os.File{pipes.control.read, pipes.report.write}
	if err := cmd.Start(); isolated && err != nil {
		return nil, errUnfit
	} else if err != nil {
		return nil, fmt.Errorf("the supervisor of the command cannot be started: %w", reason(err))
	}
	pipes.handOver()
	// A dead supervisor takes no order, and gives no report.
	_ = gob.NewEncoder(pipes.control.write).Encode(o)

	asked := context.AfterFunc(ctx, func() { _, _ = pipes.control.write.Write([]byte{orderStop}) }) // fails when it has ended already
	defer asked()
	tooMuch := &atomic.Bool{}
	drained := make(chan error, 1)
	go func() {
		drained <- w.drain(pipes.output.read, to, func() {
			tooMuch.Store(true)
			_, _ = pipes.control.write.Write([]byte{orderStop})
		})
	}()
	ended := make(chan *report, 1)
	go func() {
		var r report
		if gob.NewDecoder(bufio.NewReader(pipes.report.read)).Decode(&r) == nil {
			ended <- &r
		}
		close(ended)
	}()
	end = w.await(ctx, cmd, ended)
	swept := 0
	if end == nil {
		swept = sweep("SHIRE_SCRATCH=" + o.Scratch)
	}
	_ = pipes.output.read.SetReadDeadline(time.Now().Add(drainTime))
	failed := <-drained
	if end != nil && end.Unfit {
		return nil, errUnfit
	}
	if failed != nil {
		return end, fmt.Errorf("the output of the command %s could not be kept: %w", w.settings.Run[0], failed)
	}
	if end == nil {
		return nil, fmt.Errorf("the supervisor of the command %s was killed from outside; the command was ended with it, and %d of its processes after it", w.settings.Run[0], swept)
	}
	if tooMuch.Load() && end.Ended == byRequest && ctx.Err() == nil {
		end.Ended = byOutput
	}
	return end, nil
}

// await waits for the supervisor's report and its end; nil if it gives none. One that does not heed the end of ctx is
// killed.
func (w *Worker) await(ctx context.Context, cmd *exec.Cmd, ended <-chan *report) *report {
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-over:
			return
		case <-ctx.Done():
		}
		select {
		case <-over:
		case <-time.After(w.settings.Grace + patience + giveUpAfter):
			_ = cmd.Process.Kill() // fails when it has ended
		}
	}()
	end := <-ended
	if end != nil && len(end.Undead) > 0 {
		go cmd.Wait() // it stays with them
		return end
	}
	_ = cmd.Wait() // it says nothing that the report does not
	return end
}

// drain reads what the command prints until nobody can print any more.
func (w *Worker) drain(from *os.File, to *recorder, full func()) error {
	piece := make([]byte, readSize)
	told := false
	for {
		if told {
			time.Sleep(time.Millisecond) // it prints for nobody; that need not cost anything
		}
		n, err := from.Read(piece)
		if n > 0 {
			_, _ = to.Write(piece[:n]) // close returns its error; until then the command must not wait for a reader
			if to.cutting && w.settings.OutputFull == stop && !told {
				told = true
				full()
			}
		}
		if err != nil { // the end, or the deadline
			return to.close()
		}
	}
}

// sweepTries bounds how long what a killed supervisor left is looked for.
const sweepTries = 200

// sweep kills what has the marker in its environment until nothing has it, and tells how many there were.
func sweep(marker string) (swept int) {
	for range sweepTries {
		n := killMarked(marker)
		if n == 0 {
			break
		}
		swept = max(swept, n)
		time.Sleep(killEvery)
	}
	return swept
}
