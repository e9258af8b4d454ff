package command

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shirecounty/shire/jobs"
)

// builtin are the names that every run gives, beside the job's parameters.
var builtin = []string{"from", "to", "due", "run", "job", "attempt"}

var template = regexp.MustCompile(`\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}`)

// names are the parameters that a text names, in order.
func names(text string) (out []string) {
	for _, m := range template.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

// expand puts values in the place of {{name}}, once: what a value holds is not looked into.
func expand(text string, values map[string]string) (string, error) {
	var missing error
	out := template.ReplaceAllStringFunc(text, func(m string) string {
		name := template.FindStringSubmatch(m)[1]
		value, ok := values[name]
		if !ok {
			missing = fmt.Errorf("the run has nothing for {{%s}}", name)
		}
		return value
	})
	return out, missing
}

// valuesOf are what {{name}} means in a run. A run without a data interval has no from and no to.
func valuesOf(t jobs.Task) map[string]string {
	values := maps.Clone(t.Parameters)
	if values == nil {
		values = map[string]string{}
	}
	values["due"], values["run"], values["job"], values["attempt"] = t.Due.Format(time.RFC3339), t.Run, t.Job, strconv.Itoa(t.Attempt)
	delete(values, "from")
	delete(values, "to")
	if !t.From.IsZero() && !t.To.IsZero() {
		values["from"], values["to"] = t.From.Format(time.RFC3339), t.To.Format(time.RFC3339)
	}
	return values
}

// environmentOf is the environment variable that brings a value.
func environmentOf(name string) string {
	if slices.Contains(builtin, name) {
		return "SHIRE_" + strings.ToUpper(name)
	}
	return "SHIRE_PARAM_" + strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(name))
}
