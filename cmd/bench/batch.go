package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/shirecounty/shire/connectors/simulate"
	"github.com/shirecounty/shire/pipeline/identity/evaluate"
)

const countyModel = "docs/examples/identity/county.yaml"

// missingNumbers is the share of records without a citizen number in the second file.
const missingNumbers = .30

// batchFigures is a file of person records whose people are found out by Shire and by Splink, in turn.
type batchFigures struct {
	rows     int
	usual    batchRuns // defects of an ordinary county
	few      batchRuns // most of them, and numbers missing in a third of the records
	noPeer   string    // why Splink could not be run; empty when it was
	versions map[string]string
}

// batchRuns are the measurements of one file: each round is ours, the peer, ours, the peer.
type batchRuns struct {
	ours []evaluate.Evaluation // two in a round
	peer []splinkRun           // likewise; none when there is no peer
}

// splinkRun is what splink_county.py prints.
type splinkRun struct {
	Versions map[string]string `json:"versions"`
	Records  int               `json:"records"`
	Seconds  struct {
		Load    float64 `json:"load"`
		Clean   float64 `json:"clean"`
		Train   float64 `json:"train"`
		Predict float64 `json:"predict"`
		Cluster float64 `json:"cluster"`
	} `json:"seconds"`
	RecordsPerSecond float64 `json:"records_per_second"`
	PeakMemory       int64   `json:"peak_memory_bytes"`
	Best             struct {
		Threshold   float64 `json:"threshold"`
		FalsePairs  int64   `json:"false_pairs"`
		MissedPairs int64   `json:"missed_pairs"`
		F1          float64 `json:"f1"`
		BCubed      float64 `json:"b_cubed"`
	} `json:"best"`
}

func measureBatch(ctx context.Context, o options, dir string) (*batchFigures, error) {
	f := &batchFigures{rows: o.rows}
	script, err := writeScript(dir)
	if err != nil {
		return nil, err
	}
	python, err := readyPython(ctx, o.python, dir)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		f.noPeer = err.Error()
		fmt.Println("identity: the peer cannot be run:", f.noPeer)
	}
	usual := simulate.DefaultPersonDefects()
	few := usual
	few.NumberAbsent = missingNumbers
	for _, part := range []struct {
		name    string
		defects simulate.PersonDefects
		rounds  int
		warm    int // rounds before, that do not count
		runs    *batchRuns
	}{{"usual", usual, o.rounds, 1, &f.usual}, {"few numbers", few, 1, 0, &f.few}} {
		file := filepath.Join(dir, "people.csv")
		if err := simulatePersons(file, o.rows, part.defects); err != nil {
			return nil, err
		}
		for round := range part.rounds + part.warm {
			var runs batchRuns
			for range 2 {
				if err := f.both(ctx, o, python, script, file, &runs); err != nil {
					return nil, err
				}
			}
			fmt.Printf("identity, %s, round %d: shire %.0f records/s", part.name, round, each(runs.ours, ourRate))
			if f.noPeer == "" {
				fmt.Printf(", Splink %.0f records/s", each(runs.peer, peerRate))
			}
			fmt.Println()
			if round >= part.warm {
				part.runs.ours = append(part.runs.ours, runs.ours...)
				part.runs.peer = append(part.runs.peer, runs.peer...)
			}
		}
	}
	return f, nil
}

// both runs ours and then the peer. A peer that fails is told of in the report, and does not end the rest.
func (f *batchFigures) both(ctx context.Context, o options, python, script, file string, runs *batchRuns) error {
	ours, err := evaluateFile(ctx, o, file)
	if err != nil {
		return err
	}
	runs.ours = append(runs.ours, *ours)
	if f.noPeer != "" {
		return nil
	}
	peer, err := runSplink(ctx, python, script, file)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		f.noPeer = err.Error()
		fmt.Println("identity: the peer failed:", f.noPeer)
	default:
		f.versions = peer.Versions
		runs.peer = append(runs.peer, *peer)
	}
	return nil
}

func simulatePersons(path string, rows int, defects simulate.PersonDefects) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(file)
	return errors.Join(simulate.WritePersons(w, simulate.PersonsOptions{Records: rows, Seed: 1, Defects: defects}), w.Flush(), file.Close())
}

// evaluateFile runs `shire identity evaluate`, and reads what it says. Its peak of memory is of the whole process: with
// reading the file before, and with scoring after.
func evaluateFile(ctx context.Context, o options, file string) (*evaluate.Evaluation, error) {
	cmd := exec.CommandContext(ctx, o.shire, "identity", "evaluate", file, "--truth", "ent", "--model", countyModel, "--draws", "0", "--json")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("shire identity evaluate: %w: %s", err, out)
	}
	var answer struct{ Result evaluate.Evaluation }
	if err := json.Unmarshal(out, &answer); err != nil {
		return nil, fmt.Errorf("shire identity evaluate: %w", err)
	}
	return &answer.Result, nil
}

func runSplink(ctx context.Context, python, script, file string) (*splinkRun, error) {
	cmd := exec.CommandContext(ctx, python, script, file, "--threads", strconv.Itoa(runtime.NumCPU()))
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(said.String()), "\n")
		return nil, fmt.Errorf("its script failed: %w: %s", err, lines[len(lines)-1])
	}
	var run splinkRun
	if err := json.Unmarshal(out, &run); err != nil {
		return nil, fmt.Errorf("what its script prints is not understood: %w", err)
	}
	return &run, nil
}

func ourRate(e evaluate.Evaluation) float64   { return e.RecordsPerSecond }
func peerRate(r splinkRun) float64            { return r.RecordsPerSecond }
func ourMemory(e evaluate.Evaluation) float64 { return float64(e.PeakMemory) / (1 << 20) }
func peerMemory(r splinkRun) float64          { return float64(r.PeakMemory) / (1 << 20) }

// against divides pair by pair.
func against(a, b []float64) []float64 {
	out := make([]float64, min(len(a), len(b)))
	for i := range out {
		out[i] = a[i] / b[i]
	}
	return out
}

// again divides the second of each round by its first: the noise.
func again(values []float64) []float64 {
	var out []float64
	for i := 1; i < len(values); i += 2 {
		out = append(out, values[i]/values[i-1])
	}
	return out
}
