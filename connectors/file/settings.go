package file

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/document"
)

// settings is what stands under with: of a source of kind file.
//
//	directory: drop/civil-affairs      # relative to county.yaml
//	files:
//	  - match: residents-*.csv         # on the file's name; the first that matches decides
//	    dataset: residents
//	    encoding: gb18030              # utf-8, gb18030, utf-16; found out when absent
//	    delimiter: ";"                 # , ; | or tab; found out when absent
//	    sheet: 明细                    # of an XLSX; the first when absent
//	    header_row: 3                  # line or row of the column names; the first that is not blank when absent
//	settle: 2s                         # follow: how long a file stays unchanged before it counts as complete
//	poll: 2s                           # follow: how often the folder is looked into
//	max_record: 16MiB                  # longest line, and longest record over several lines
//	max_deletions: 50%                 # a full file that would delete more of its dataset is held
type settings struct {
	Directory    string
	Files        []pattern
	Settle       time.Duration
	Poll         time.Duration
	MaxRecord    int
	MaxDeletions float64 // share, 0 to 1
}

// pattern says which files belong to a dataset and how they are written.
type pattern struct {
	Match     string
	Dataset   string
	Encoding  encodingName
	Delimiter byte // 0: found out
	Sheet     string
	HeaderRow int64 // from 1; 0: the first row that is not blank
}

var (
	settingKeys = []string{"directory", "files", "settle", "poll", "max_record", "max_deletions"}
	patternKeys = []string{"match", "dataset", "encoding", "delimiter", "sheet", "header_row"}
)

// decodeSettings reads with: strictly and finds every mistake in one pass.
func decodeSettings(source county.Source, contracts contract.Set) (settings, error) {
	d := &decoder{source: source.Name}
	s := settings{Settle: 2 * time.Second, Poll: 2 * time.Second, MaxRecord: 16 << 20, MaxDeletions: 0.5}
	d.known("with", source.With, settingKeys)
	d.text("with", source.With, "directory", &s.Directory)
	d.duration(source.With, "settle", &s.Settle)
	d.duration(source.With, "poll", &s.Poll)
	d.size(source.With, "max_record", &s.MaxRecord)
	d.share(source.With, "max_deletions", &s.MaxDeletions)
	if s.Directory == "" && !d.wrong["with.directory"] {
		d.fail("with.directory", "name the drop folder, relative to county.yaml", "is missing")
	}
	list, ok := source.With["files"].([]any)
	if !ok || len(list) == 0 {
		d.fail("with.files", "write files: [{match: \"*.csv\", dataset: NAME}]", "is not a list of patterns")
	}
	served := map[string]bool{}
	for i, item := range list {
		path := fmt.Sprintf("with.files[%d]", i)
		m, ok := item.(map[string]any)
		if !ok {
			d.fail(path, "write {match: \"*.csv\", dataset: NAME}", "is not a pattern")
			continue
		}
		p := d.pattern(path, m, contracts)
		served[p.Dataset] = true
		s.Files = append(s.Files, p)
	}
	if len(d.problems) == 0 {
		for _, name := range contracts.Names() {
			if !served[name] {
				d.fail("with.files", fmt.Sprintf("add {match: ..., dataset: %s}, or take it out of datasets:", name), "has no pattern for dataset %s", name)
			}
		}
	}
	return s, d.problems.OrNil()
}

type decoder struct {
	source   string
	problems document.Problems
	wrong    map[string]bool
}

// fail notes a mistake. Settings reach the connector without their lines, so the key's path says where.
func (d *decoder) fail(path, do, format string, args ...any) {
	if d.wrong == nil {
		d.wrong = map[string]bool{}
	}
	d.wrong[path] = true
	d.problems = append(d.problems, &document.Problem{File: "source " + d.source, Message: path + " " + fmt.Sprintf(format, args...), Do: do})
}

func (d *decoder) known(path string, m map[string]any, valid []string) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(valid, k) {
			d.fail(path+"."+k, document.DidYouMean(k, valid), "is not a setting")
		}
	}
}

func (d *decoder) text(path string, m map[string]any, key string, into *string) {
	v, there := m[key]
	if !there || v == nil {
		return
	}
	s, ok := v.(string)
	if !ok || strings.TrimSpace(s) == "" {
		d.fail(path+"."+key, "write a text", "is not a text")
		return
	}
	*into = s
}

func (d *decoder) duration(m map[string]any, key string, into *time.Duration) {
	v, there := m[key]
	if !there {
		return
	}
	parsed, err := time.ParseDuration(fmt.Sprint(v))
	if err != nil || parsed <= 0 {
		d.fail("with."+key, "write a duration such as 200ms, 5s or 2m", "is not a duration")
		return
	}
	*into = parsed
}

func (d *decoder) size(m map[string]any, key string, into *int) {
	v, there := m[key]
	if !there {
		return
	}
	b, ok := county.ParseBytes(fmt.Sprint(v))
	if !ok || b < 1<<10 || b > 1<<30 {
		d.fail("with."+key, "write a size between 1KiB and 1GiB, such as 16MiB", "is not a size that can be used")
		return
	}
	*into = int(b)
}

func (d *decoder) share(m map[string]any, key string, into *float64) {
	v, there := m[key]
	if !there {
		return
	}
	text, percent := strings.CutSuffix(fmt.Sprint(v), "%")
	share, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if percent {
		share /= 100
	}
	if err != nil || !(share >= 0 && share <= 1) {
		d.fail("with."+key, "write a share such as 50% or 0.5", "is not a share between 0 and 1")
		return
	}
	*into = share
}

var delimiters = map[string]byte{",": ',', ";": ';', "|": '|', "\t": '\t', `\t`: '\t', "tab": '\t', "comma": ',', "semicolon": ';', "pipe": '|'}

func (d *decoder) pattern(path string, m map[string]any, contracts contract.Set) pattern {
	var p pattern
	d.known(path, m, patternKeys)
	d.text(path, m, "match", &p.Match)
	d.text(path, m, "dataset", &p.Dataset)
	d.text(path, m, "sheet", &p.Sheet)
	if _, err := filepath.Match(p.Match, ""); p.Match == "" || err != nil || strings.ContainsAny(p.Match, `/\`) || !utf8.ValidString(p.Match) {
		d.fail(path+".match", `write a pattern on the file's name, such as "residents-*.csv"`, "is not a pattern")
	}
	if contracts[p.Dataset] == nil {
		d.fail(path+".dataset", document.DidYouMean(p.Dataset, contracts.Names()), "%q is not in the datasets: of this source", p.Dataset)
	}
	if v, there := m["encoding"]; there {
		name, ok := encodingNames[strings.ToLower(fmt.Sprint(v))]
		if !ok {
			d.fail(path+".encoding", document.DidYouMean(fmt.Sprint(v), slices.Collect(maps.Keys(encodingNames))), "%q is not an encoding that is read", fmt.Sprint(v))
		}
		p.Encoding = name
	}
	if v, there := m["delimiter"]; there {
		b, ok := delimiters[fmt.Sprint(v)]
		if !ok {
			d.fail(path+".delimiter", `write ",", ";", "|" or tab`, "%q is not a delimiter that is read", fmt.Sprint(v))
		}
		p.Delimiter = b
	}
	if v, there := m["header_row"]; there {
		n, err := strconv.ParseInt(fmt.Sprint(v), 10, 64)
		if err != nil || n < 1 {
			d.fail(path+".header_row", "write the row's number, from 1", "is not a row number")
		}
		p.HeaderRow = n
	}
	return p
}
