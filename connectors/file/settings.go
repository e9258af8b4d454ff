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

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/contract"
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
func decodeSettings(from connectors.Settings) (settings, error) {
	source, contracts := from.Source, from.Contracts
	d := connectors.NewDecoder(from)
	s := settings{Settle: 2 * time.Second, Poll: 2 * time.Second, MaxRecord: 16 << 20, MaxDeletions: 0.5}
	d.Known("with", source.With, settingKeys)
	d.Text("with", source.With, "directory", &s.Directory)
	d.Duration("with", source.With, "settle", &s.Settle)
	d.Duration("with", source.With, "poll", &s.Poll)
	d.Size("with", source.With, "max_record", &s.MaxRecord)
	d.Share("with", source.With, "max_deletions", &s.MaxDeletions)
	if s.Directory == "" && !d.Wrong("with.directory") {
		d.Fail("with.directory", "name the drop folder, relative to county.yaml", "is missing")
	}
	list, ok := source.With["files"].([]any)
	if !ok || len(list) == 0 {
		d.Fail("with.files", "write files: [{match: \"*.csv\", dataset: NAME}]", "is not a list of patterns")
	}
	served := map[string]bool{}
	for i, item := range list {
		path := fmt.Sprintf("with.files[%d]", i)
		m, ok := item.(map[string]any)
		if !ok {
			d.Fail(path, "write {match: \"*.csv\", dataset: NAME}", "is not a pattern")
			continue
		}
		p := decodePattern(d, path, m, contracts)
		served[p.Dataset] = true
		s.Files = append(s.Files, p)
	}
	if d.Err() == nil {
		for _, name := range contracts.Names() {
			if !served[name] {
				d.Fail("with.files", fmt.Sprintf("add {match: ..., dataset: %s}, or take it out of datasets:", name), "has no pattern for dataset %s", name)
			}
		}
	}
	return s, d.Err()
}

var delimiters = map[string]byte{",": ',', ";": ';', "|": '|', "\t": '\t', `\t`: '\t', "tab": '\t', "comma": ',', "semicolon": ';', "pipe": '|'}

func decodePattern(d *connectors.Decoder, path string, m map[string]any, contracts contract.Set) pattern {
	var p pattern
	d.Known(path, m, patternKeys)
	d.Text(path, m, "match", &p.Match)
	d.Text(path, m, "dataset", &p.Dataset)
	d.Text(path, m, "sheet", &p.Sheet)
	if _, err := filepath.Match(p.Match, ""); p.Match == "" || err != nil || strings.ContainsAny(p.Match, `/\`) || !utf8.ValidString(p.Match) {
		d.Fail(path+".match", `write a pattern on the file's name, such as "residents-*.csv"`, "is not a pattern")
	}
	if contracts[p.Dataset] == nil {
		d.Fail(path+".dataset", document.DidYouMean(p.Dataset, contracts.Names()), "%q is not in the datasets: of this source", p.Dataset)
	}
	if v, there := m["encoding"]; there {
		name, ok := encodingNames[strings.ToLower(fmt.Sprint(v))]
		if !ok {
			d.Fail(path+".encoding", document.DidYouMean(fmt.Sprint(v), slices.Collect(maps.Keys(encodingNames))), "%q is not an encoding that is read", fmt.Sprint(v))
		}
		p.Encoding = name
	}
	if v, there := m["delimiter"]; there {
		b, ok := delimiters[fmt.Sprint(v)]
		if !ok {
			d.Fail(path+".delimiter", `write ",", ";", "|" or tab`, "%q is not a delimiter that is read", fmt.Sprint(v))
		}
		p.Delimiter = b
	}
	if v, there := m["header_row"]; there {
		n, err := strconv.ParseInt(fmt.Sprint(v), 10, 64)
		if err != nil || n < 1 {
			d.Fail(path+".header_row", "write the row's number, from 1", "is not a row number")
		}
		p.HeaderRow = n
	}
	return p
}
