//go:build unix

package backup

import (
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/document"
)

// Settings are what stands under backup: of a job.
type Settings struct {
	To   string        `yaml:"to" json:"to" jsonschema:"required,description=Folder of the backups; each becomes a folder in it. Put it on another disk than the data directory"`
	Keep int           `yaml:"keep,omitempty" json:"keep,omitempty" jsonschema:"minimum=0,maximum=10000,description=How many backups are kept; all when 0. Older ones are removed when a new one is whole"`
	Key  county.Secret `yaml:"key,omitempty" json:"key,omitempty" jsonschema:"description=Pass phrase of at least 16 characters that the generated secrets are encrypted with; without it they are left out"`
}

// leastKey is how long a pass phrase has to be.
const leastKey = 16

// Check finds what is wrong with the settings, by their names. The error is document.Problems; who read them from a file
// gives the problems its lines. The key itself is looked at when it is used.
func (s Settings) Check() error {
	var problems document.Problems
	if s.To == "" {
		problems = append(problems, &document.Problem{File: "backup", Message: "to is missing", Do: "write the folder of the backups, such as to: /srv/backups/shire"})
	}
	if s.Keep < 0 || s.Keep > 10_000 {
		problems = append(problems, &document.Problem{File: "backup", Message: "keep is not a number of backups", Do: "write a whole number from 0, which keeps all, to 10000"})
	}
	return problems.OrNil()
}
