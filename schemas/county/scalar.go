package county

import (
	"os"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/invopop/jsonschema"

	"github.com/shirecounty/shire/schemas/document"
)

// scalar is a value as it is written, after the environment was filled in; empty when it is a list or a mapping.
func scalar(node ast.Node) string {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value
	case *ast.IntegerNode:
		return n.Token.Value
	}
	return ""
}

// environment is how a value may be taken from the environment, for the patterns below.
const environment = `\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}`

// JSONSchema documents the notation for editors.
func (Duration) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: `^(([0-9.]+(ms|s|m|h))+|` + environment + `)$`, Examples: []any{"200ms", "5s"}}
}

// Bytes is a size written as 64KiB, 8MiB, 2GiB or a plain number of bytes.
type Bytes int64

var units = []struct {
	suffix string
	factor int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"", 1}}

// ParseBytes reads "8MiB".
func ParseBytes(s string) (Bytes, bool) {
	for _, u := range units {
		digits, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > (1<<62)/u.factor {
			return 0, false
		}
		return Bytes(n * u.factor), true
	}
	return 0, false
}

// UnmarshalYAML reads "8MiB".
func (b *Bytes) UnmarshalYAML(node ast.Node) error {
	size, ok := ParseBytes(scalar(node))
	if !ok {
		return document.Errorf(node, "write a size such as 64KiB, 8MiB or 2GiB")
	}
	*b = size
	return nil
}

// JSONSchema documents the notation for editors.
func (Bytes) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
		{Type: "string", Pattern: `^([0-9]+ ?(KiB|MiB|GiB|TiB)?|` + environment + `)$`},
		{Type: "integer", Minimum: "0"},
	}, Examples: []any{"64KiB", "8MiB"}}
}

// Secret is a password or key. It is written as ${NAME} or file:PATH, never in the clear, and never printed.
type Secret string

// String keeps a secret out of every log and message.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(secret)"
}

// GoString, MarshalJSON and MarshalYAML do the same for the other ways to print.
func (s Secret) GoString() string             { return strconv.Quote(s.String()) }
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(strconv.Quote(s.String())), nil }
func (s Secret) MarshalYAML() ([]byte, error) { return []byte(strconv.Quote(s.String())), nil }

// Reveal is the secret itself; a file: reference is read, relative to the process's folder unless absolute.
func (s Secret) Reveal() (string, error) {
	path, isFile := strings.CutPrefix(string(s), "file:")
	if !isFile {
		return string(s), nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(data), "\r\n"), nil
}

// JSONSchema documents the notation for editors.
func (Secret) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: `^(\$\{[A-Za-z_][A-Za-z0-9_]*\}|file:.+)$`, Description: "${NAME} of an environment variable, or file:PATH"}
}
