package contract

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
)

// OwnDepartment is the department of Shire's own datasets: what people and programs tell the county node itself, which
// travels on the bus like any other change. No department's contract may name it.
const OwnDepartment = "shire"

// Shire's own datasets.
const (
	Verdicts    = "identity_verdicts"
	Models      = "identity_models"
	Acts        = "sharing_acts"
	Corrections = "corrections"

	Materials = "shared_materials"
)

//go:embed builtin/*.yaml
var builtin embed.FS

// Own is the contracts of Shire's own datasets. The flow knows them beside the county's; LoadDir keeps their names free,
// and since they are not in the set that it reads, no source can be told to deliver them.
func Own() Set {
	files, err := fs.Glob(builtin, "builtin/*.yaml")
	if err != nil {
		panic(err) // the pattern is a constant of this package
	}
	set := Set{}
	for _, file := range files {
		text, err := fs.ReadFile(builtin, file)
		if err != nil {
			panic(err)
		}
		d, err := ParseOwn("built in, "+path.Base(file), text, "UTC")
		if err != nil {
			panic(fmt.Sprintf("contract: a built-in contract is wrong: %v", err)) // the files are part of this package
		}
		set[d.Name] = d
	}
	return set
}

// ParseOwn is Parse for contracts that may be Shire's own: the built-in ones, and those that a recorded load was made
// with, which were proven before.
func ParseOwn(file string, text []byte, zone string) (*Dataset, error) {
	return parse(file, text, zone, true)
}
