package file

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/transform"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
)

// discard takes everything and keeps the last position alone.
type discard struct {
	connectors.Outlet
	rows int
	last change.Position
}

func (d *discard) Append(_ context.Context, _, _ string, _ []string, c change.Change) error {
	d.rows++
	d.last = c.Position
	return nil
}
func (d *discard) Flush(context.Context) error                             { return nil }
func (d *discard) Resume(context.Context, string) (change.Position, error) { return "", nil }
func (d *discard) History(context.Context, string, uint64, func(uint64, *change.Batch) error) error {
	return nil
}

const benchRows = 1_000_000

func writeBench(tb testing.TB, path, encoding string, quoted bool) int64 {
	tb.Helper()
	out, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer out.Close()
	var w *bufio.Writer
	if encoding == "gb18030" {
		w = bufio.NewWriterSize(transform.NewWriter(out, simplifiedchinese.GB18030.NewEncoder()), 1<<20)
	} else {
		w = bufio.NewWriterSize(out, 1<<20)
	}
	line := "%d,王小明,330123%08d%04d,男,1990-01-01,1391234%04d,某某县某某镇第%d村,H%06d,2026-11-23 08:00:00\n"
	if quoted {
		line = "%d,\"王小明\",330123%08d%04d,男,1990-01-01,1391234%04d,\"某某县某某镇第%d村\",H%06d,2026-11-23 08:00:00\n"
	}
	fmt.Fprint(w, "number,name,id,sex,birth,phone,address,household,updated\n")
	for i := range benchRows {
		fmt.Fprintf(w, line, i, i%10_000_000, i%10_000, i%10_000, i%100, i%1_000_000)
	}
	if err := w.Flush(); err != nil {
		tb.Fatal(err)
	}
	info, err := out.Stat()
	if err != nil {
		tb.Fatal(err)
	}
	return info.Size()
}

func BenchmarkMillionRows(b *testing.B) {
	for _, c := range []struct {
		name, encoding, delivery string
		quoted                   bool
	}{
		{"utf-8", "utf-8", "changes", false}, {"utf-8 quoted", "utf-8", "changes", true},
		{"gb18030", "gb18030", "changes", false}, {"snapshot", "utf-8", "snapshot", false},
	} {
		b.Run(c.name, func(b *testing.B) {
			f := newFolder(b, c.delivery)
			b.SetBytes(writeBench(b, filepath.Join(f.dir, "a.csv"), c.encoding, c.quoted))
			b.ReportAllocs()
			for b.Loop() {
				os.RemoveAll(f.state)
				out := &discard{}
				if err := f.connector().Run(b.Context(), out, false); err != nil {
					b.Fatal(err)
				}
				if out.rows != benchRows {
					b.Fatalf("%d rows, events %+v", out.rows, f.events)
				}
			}
		})
	}
	b.Run("survey", func(b *testing.B) {
		path := filepath.Join(b.TempDir(), "a.csv")
		b.SetBytes(writeBench(b, path, "utf-8", false))
		for b.Loop() {
			if _, err := survey(path); err != nil {
				b.Fatal(err)
			}
		}
	})
}
