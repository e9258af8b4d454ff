package simulate

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/xuri/excelize/v2"
)

var insuredHeader = []any{"社保编号", "姓名", "身份证号码", "性别", "出生日期", "手机号码", "单位名称", "统一社会信用代码", "参保日期", "参保证明编号", "证明有效期起", "证明有效期止", "参保状态"}

// writeSocialSecurity writes the insured (参保人员) as workbooks: all of them at the beginning, and half way those whose
// employer or telephone changed and those who joined.
func writeSocialSecurity(ctx context.Context, o *office) error {
	s := o.dataset("insured_persons", "", noBadRows)
	half := o.first + (o.last-o.first)/2
	for k, day := range []int32{o.first, half} {
		f := excelize.NewFile()
		name := "参保人员"
		if err := f.SetSheetName("Sheet1", name); err != nil {
			return err
		}
		w, err := f.NewStreamWriter(name)
		if err != nil {
			return err
		}
		if err := w.SetRow("A1", insuredHeader); err != nil {
			return err
		}
		line := 1
		err = o.each(ctx, func(i int32) error {
			row, ok := o.insured(i, day, k > 0, half)
			if !ok {
				return nil
			}
			known := false // since the first file
			if k > 0 {
				_, known = o.insured(i, o.first, false, half)
			}
			note := s.writes(i, &row.m)
			if !known {
				note = errors.Join(s.about(row.key, "insured", i, &row.m), s.holds(row.key, "", "insured", i, materials[insuranceRecord].code, row.proof.from, row.proof.until))
			}
			if note != nil {
				return note
			}
			line++
			o.rows++
			cell, err := excelize.CoordinatesToCellName(1, line)
			if err != nil {
				return err
			}
			return w.SetRow(cell, row.cells)
		})
		if err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if err := o.saveWorkbook(f, "参保人员-"+formatDate(day, "200601")+".xlsx"); err != nil {
			return err
		}
	}
	return nil
}

type insuredRow struct {
	key   string
	m     mention
	proof document
	cells []any
}

// insured makes the row of a person; update asks for the second file, which holds what changed since the first.
func (o *office) insured(i, day int32, update bool, half int32) (insuredRow, bool) {
	q := &o.people[i]
	age := o.age(i, day)
	if age < 16 || !o.present(i, day) || !o.knows(ofInsured, i, .78) {
		return insuredRow{}, false
	}
	changed := mix(o.opts.Seed, ofInsured, uint64(i), 5)%100 < 9
	joined := mix(o.opts.Seed, ofInsured, uint64(i), 6)%100 < 5 // between the files
	if !update && joined || update && !joined && !changed {
		return insuredRow{}, false
	}
	d := o.d.at(ofInsured, uint64(i), 0)
	m := o.mention(d, &o.opts.Defects, i, o.first)
	employer, since := d.IntN(len(o.organisations)), o.first-int32(d.between(10, 5000))
	if update && changed {
		employer = d.IntN(len(o.organisations))
	}
	if joined {
		since = half - int32(d.between(1, int(half-o.first)))
	}
	var orgName, orgCode string
	if age < 60 && d.chance(.55) {
		orgName, orgCode = o.organisations[employer].name, o.organisations[employer].code
	}
	proof := documentOf(o.opts.Seed, insuranceRecord, uint64(i), o.last)
	status := "正常参保"
	if age >= 60 {
		status = "待遇享受"
	}
	key := "SB" + division + number(2_000_000+int(i))
	const layout = "2006/1/2"
	return insuredRow{key, m, proof, []any{key, m.name, m.number, sexWord(q.male), formatDate(m.birth, layout), m.phone, orgName, orgCode, formatDate(since, layout),
		proof.number, formatDate(proof.from, layout), formatDate(proof.until, layout), status}}, true
}

// saveWorkbook writes the file under a temporary name first. The library's archive carries no time of its own.
func (o *office) saveWorkbook(f *excelize.File, name string) error {
	dir := filepath.Join(o.root, "departments", o.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tmp, err := os.Create(filepath.Join(dir, name+".tmp"))
	if err != nil {
		return err
	}
	defer tmp.Close()
	if err := f.Write(tmp); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), filepath.Join(dir, name))
}
