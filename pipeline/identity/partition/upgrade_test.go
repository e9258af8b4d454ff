package partition_test

import (
	"fmt"
	"hash/fnv"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/pipeline/identity/evidence"
	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/pipeline/identity/partition"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// A state that another version of the program kept, with other keys and edges, is made anew from its records' words at the
// next change: the partition is the right one, and the parties go on.
func TestStateOfAnotherVersion(t *testing.T) {
	spec := small(t, 1, 4)
	m, err := match.Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		changes := story(rt, rapid.IntRange(2, 40).Draw(rt, "changes"))
		if len(changes) < 2 {
			return // verdicts on a record and itself are none
		}
		at := rapid.IntRange(1, len(changes)-1).Draw(rt, "when")
		r, same := open(rt, t.TempDir()), open(rt, t.TempDir())
		defer func() { r.p.Close(); same.p.Close() }()
		for _, x := range []*rig{r, same} {
			x.choose(rt, spec)
			x.apply(rt, changes[:at])
			if err := x.p.Keep(changes[at-1].At); err != nil {
				rt.Fatal(err)
			}
		}
		before := maps.Clone(r.at)
		if err := r.p.KeepAsAnother(); err != nil {
			rt.Fatal(err)
		}
		r.reopen(rt)
		if rapid.Bool().Draw(rt, "killed") {
			// Killed while the state was made anew: it is as it was.
			r.apply(rt, changes[at:])
			r.reopen(rt)
			r.newest = map[pseudonym.ID]uint64{}
			for _, c := range changes[:at] {
				if c.Verdict == nil {
					r.newest[c.Record] = max(r.newest[c.Record], c.Version)
				}
			}
			r.at = maps.Clone(before)
		}
		cut(rt, r, changes[at:])
		same.apply(rt, changes[at:])
		compare(rt, "after the upgrade", r.at, plainly(m, firstOf(last(changes)), secondOf(last(changes))))
		if !maps.Equal(r.at, same.at) {
			rt.Fatal("parties did not go on")
		}
		r.reopen(rt)
		if records, _ := r.p.Records(); records != len(r.at) {
			rt.Fatalf("the state has %d records, and %d are there", records, len(r.at))
		}
	})
}

// raw is values as sources write them, right and wrong ones, of every kind there is.
var raw = []string{
	"", " ", "无", "不详", "null", "-", "张伟", "张 伟", "張偉", "章伟", "张玮", "伟张", "张伟伟", "张□", "张?", "欧阳娜娜", "歐陽娜娜", "陈静雯", "陈静文", "沈静雯", "努尔兰·巴图", "努尔兰巴图",
	"努尔兰.巴图", "𠮷田", "zhang wei", "Zhang Wei", "ZHANG, Wei", "O'Brien", "josé", "jose", "smith", "smyth",
	"11010519491231002X", "11010519491231002x", "110105491231002", "110105194912310038", "110105194912310039", "１１０１０５１９４９１２３１００２Ｘ", "810000199001011234", "440524188001010014", "000000000000000000",
	"91350100M000100Y43", "91350100m000100y43", "91350100M000100Y44", "350100100000000", "福州市鼓楼区示例商行", "福州示例商行", "澄溪县鑫泰竹木有限公司", "澄溪县鑫泰竹木有限责任公司", "鑫泰竹木",
	"1949-12-31", "1949-12-13", "1949-11-12", "1949/12/31", "19491231", "31.12.1949", "1949-12", "1949", "2026-02-30", "0001-01-01",
	"14212345678", "142-1234-5678", "+86 142 1234 5678", "0591-87654321", "87654321", "14212345679", "110", "00000000000",
	"澄溪县石塘镇上湾村3组12号", "石塘镇上湾村三组12号", "澄溪县石塘镇下湾村3组12号", "澄溪县城关镇人民路8号2单元301室", "No. 8 Station Road", "male", "男", "1", "female", "女", "0", "12", "-3.5",
}

// EvidenceVersion is to be raised whenever the same words would be found by other keys, or weigh otherwise, than in a state
// that was kept before: else old and new keys would stand side by side. What is kept of the evidence is keys and weights;
// both follow from what is hashed here.
func TestEvidenceVersionIsRaised(t *testing.T) {
	var lines []string
	for _, name := range slices.Sorted(slices.Values(evidence.Names())) {
		kind, _ := evidence.Lookup(name)
		h := fnv.New64a()
		values := make([]evidence.Value, len(raw))
		ok := make([]bool, len(raw))
		keys := slices.Sorted(maps.Keys(kind.Keys))
		for i := range raw {
			values[i], ok[i] = kind.Prepare(raw[i])
			fmt.Fprintln(h, i, ok[i], values[i].Valid)
			if !ok[i] {
				continue
			}
			for _, k := range keys {
				fmt.Fprintln(h, k, kind.Keys[k].Of(&values[i], 3, nil))
			}
		}
		for _, c := range slices.Sorted(maps.Keys(kind.Comparators)) {
			for _, bound := range []float64{.8, 2} {
				for i := range raw {
					for j := range raw {
						if ok[i] && ok[j] && kind.Comparators[c].Agree(&values[i], &values[j], bound) {
							fmt.Fprintln(h, c, bound, i, j)
						}
					}
				}
			}
		}
		lines = append(lines, fmt.Sprintf("%s %016x", name, h.Sum64()))
	}
	// How the parts of a key are put together, and weights added up, is the model's.
	m, err := match.Compile(small(t, 1, 4))
	if err != nil {
		t.Fatal(err)
	}
	h := fnv.New64a()
	var before match.Record
	for i := range raw {
		r := m.Prepare([]string{raw[i], raw[(i*7)%len(raw)], raw[(i*13)%len(raw)]})
		fmt.Fprintln(h, m.Keys(r, nil))
		if before != nil {
			fmt.Fprintln(h, m.Score(before, r), m.Conflict(before, r))
		}
		before = r
	}
	lines = append(lines, fmt.Sprintf("model %016x", h.Sum64()))
	got := fmt.Sprintf("version %d\n%s\n", partition.EvidenceVersion, strings.Join(lines, "\n"))
	path := filepath.Join("testdata", "evidence.txt")
	text, err := os.ReadFile(path)
	if err == nil && string(text) == got {
		return
	}
	written, _, _ := strings.Cut(string(text), "\n")
	version := fmt.Sprintf("version %d", partition.EvidenceVersion)
	if os.Getenv("SHIRE_WRITE") == "1" && written != version {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if written == version {
		t.Fatalf("the evidence is another than when %s was written, and EvidenceVersion is the same; raise it, then run this test with SHIRE_WRITE=1\n%s\nand was\n%s", version, got, text)
	}
	t.Fatalf("%s is of another version; run this test with SHIRE_WRITE=1", path)
}
