package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/semantic"
)

// loadFigures is one million person records from a CSV file to the warehouse.
type loadFigures struct {
	rows, bytes int
	seconds     []float64 // of shire load
	peer        []float64 // of INSERT ... FROM INFILE
	ratio       []float64 // shire / peer, pair by pair
	noise       []float64 // peer / peer, pair by pair
	memory      []memory  // of the shire process, without the ClickHouse child
}

const benchCounty = `county: {division: "330127", name_zh: 基准县, name_en: Bench county}
contracts: contracts
sources:
  - name: persons
    kind: file
    datasets: [persons]
    with: {directory: drop, files: [{match: "*.csv", dataset: persons}]}
`

const benchContract = `dataset: persons
department: population_office
owner: {zh: 人口办, en: Population office}
title: {zh: 人口登记, en: Population register}
version: 1
key: [number]
delivery: changes
sharing: {type: conditional}
fields:
  - {name: number, headers: [人员编号], type: identifier, required: true, sensitivity: internal}
  - {name: name, headers: [姓名], type: chinese_name, required: true, sensitivity: personal}
  - {name: id_number, headers: [身份证号], type: citizen_number, lenient: true, sensitivity: personal}
  - {name: sex, headers: [性别], type: sex, sensitivity: personal}
  - {name: birth_date, headers: [出生日期], type: date, sensitivity: personal}
  - {name: phone, headers: [联系电话], type: phone, lenient: true, sensitivity: personal}
  - {name: address, headers: [住址], type: address, sensitivity: personal}
  - {name: division, headers: [行政区划], type: division_code, sensitivity: internal}
  - {name: household, headers: [户号], type: identifier, sensitivity: internal}
emits:
  - table: person_records
    role: self
    columns: {name: name, id_number: id_number, sex: sex, birth_date: birth_date, phone: phone, address: address, division: division, household: household}
`

// peerTable holds the file's columns, typed, in a table of the kind that Shire loads into.
const peerTable = "CREATE TABLE person_records (`人员编号` String, `姓名` String, `身份证号` String, `性别` LowCardinality(String)," +
	" `出生日期` Nullable(Date32), `联系电话` String, `住址` String, `行政区划` LowCardinality(String), `户号` String)" +
	" ENGINE = ReplacingMergeTree ORDER BY `人员编号`"

func measureLoad(ctx context.Context, o options, dir string) (*loadFigures, error) {
	f := &loadFigures{rows: o.rows}
	file := filepath.Join(dir, "drop", "persons.csv")
	for path, text := range map[string]string{"county.yaml": benchCounty, "contracts/persons.yaml": benchContract} {
		if err := writeFile(filepath.Join(dir, path), text); err != nil {
			return nil, err
		}
	}
	if err := writePersons(file, o.rows); err != nil {
		return nil, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	f.bytes = int(info.Size())
	for round := range o.rounds + 1 {
		shire, m, err := f.shire(ctx, o, dir)
		if err != nil {
			return nil, err
		}
		first, err := peerLoad(ctx, dir, file)
		if err != nil {
			return nil, err
		}
		second, err := peerLoad(ctx, dir, file)
		if err != nil {
			return nil, err
		}
		fmt.Printf("load, round %d: shire %.2f s (%.0f MiB), INFILE %.2f s and %.2f s\n", round, shire, m.Peak, first, second)
		if round == 0 {
			continue // warms the page cache
		}
		f.seconds, f.peer, f.memory = append(f.seconds, shire), append(f.peer, first), append(f.memory, m)
		f.ratio, f.noise = append(f.ratio, shire/first), append(f.noise, second/first)
	}
	return f, nil
}

// shire runs `shire load` into an empty data directory, and proves that all is queryable.
func (f *loadFigures) shire(ctx context.Context, o options, dir string) (seconds float64, m memory, err error) {
	data := filepath.Join(dir, "data")
	if err := os.RemoveAll(data); err != nil {
		return 0, m, err
	}
	cmd := exec.CommandContext(ctx, o.shire, "load", "-c", filepath.Join(dir, "county.yaml"), "--data", data)
	cmd.Stderr = os.Stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, m, err
	}
	stop := watch(cmd.Process.Pid)
	err = cmd.Wait()
	seconds, m = time.Since(began).Seconds(), stop()
	if err != nil {
		return 0, m, fmt.Errorf("shire load: %w", err)
	}
	return seconds, m, f.prove(ctx, o, data)
}

func (f *loadFigures) prove(ctx context.Context, o options, data string) error {
	out, err := exec.CommandContext(ctx, o.shire, "sql", "--csv", "--data", data, "SELECT countIf(current) FROM mart.links").Output()
	if err != nil {
		return fmt.Errorf("shire sql: %w", err)
	}
	if got := strings.Fields(string(out)); len(got) != 2 || got[1] != strconv.Itoa(f.rows) {
		return fmt.Errorf("the mart does not hold the %d records that were loaded: %q", f.rows, out)
	}
	return nil
}

// peerLoad has the engine's own client load the same file into an empty table of its own.
func peerLoad(ctx context.Context, dir, file string) (seconds float64, err error) {
	data := filepath.Join(dir, "peer")
	if err := os.RemoveAll(data); err != nil {
		return 0, err
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	query := peerTable + "; INSERT INTO person_records FROM INFILE '" + file + "' FORMAT CSVWithNames"
	cmd := exec.CommandContext(ctx, self, "local", "--path", data, "--query", query)
	var problem strings.Builder
	cmd.Stderr = &problem
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, errors.Join(fmt.Errorf("INSERT FROM INFILE: %w", err), errors.New(problem.String()))
	}
	return time.Since(began).Seconds(), nil
}

func writeFile(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

var (
	surnames = []rune("王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹")
	given    = []rune("伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰建国文斌波")
)

// writePersons writes a register of people with valid numbers. The same rows give the same file.
func writePersons(path string, rows int) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(file, 1<<20)
	r := rand.New(rand.NewPCG(1, 2))
	fmt.Fprintln(w, "人员编号,姓名,身份证号,性别,出生日期,联系电话,住址,行政区划,户号")
	first := calendar.NewDate(1940, 1, 1)
	for i := range rows {
		born := (first + calendar.Date(r.IntN(29_000))).String()
		sequence := r.IntN(1000)
		number := fmt.Sprintf("330127%s%03d", strings.ReplaceAll(born, "-", ""), sequence)
		check, ok := semantic.CheckDigit(number)
		if !ok {
			return fmt.Errorf("no check digit for a generated number")
		}
		sex := "女"
		if sequence%2 == 1 {
			sex = "男"
		}
		fmt.Fprintf(w, "P%07d,%c%c%c,%s%c,%s,%s,1%010d,浙江省淳安县千岛湖镇第%d村%d组%d号,330127%03d,H%07d\n",
			i, surnames[r.IntN(len(surnames))], given[r.IntN(len(given))], given[r.IntN(len(given))], number, check, sex, born,
			3_000_000_000+r.Int64N(6_999_999_999), r.IntN(400), r.IntN(12), r.IntN(200), 100+r.IntN(23), i/3)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return file.Close()
}
