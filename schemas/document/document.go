// Package document reads the YAML files that people edit (contracts, county.yaml, metric definitions,
// calendars) so that every mistake in them is answered with the file, the line and what to write instead.
package document

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"sort"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Problem is one mistake in a document: where it stands, what is wrong, and what to write instead.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Message string `json:"message"`
	Do      string `json:"do,omitempty"` // what to write instead; may be empty
}

func (p *Problem) Error() string {
	where := p.File
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	if p.Do == "" {
		return where + ": " + p.Message
	}
	return where + ": " + p.Message + "; " + p.Do
}

// Problems is every mistake found in one pass, so that a person mends them in one go.
type Problems []*Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// OrNil keeps an empty list from becoming a non-nil error.
func (ps Problems) OrNil() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// Document is a parsed file that remembers where each value stands.
type Document struct {
	File string
	root *ast.File
}

// Read parses the file strictly into the value that into points to. The error is Problems.
func Read(file string, into any) (*Document, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, Problems{{File: file, Message: "cannot be read: " + errors.Unwrap(err).Error(), Do: "check the path and its permissions"}}
	}
	return Parse(file, data, into)
}

// Parse is Read for data that is already in memory; file only names it in messages.
func Parse(file string, data []byte, into any) (*Document, error) {
	return parse(file, data, into, nil)
}

// ParseWithEnv is Parse after ${NAME}, or ${NAME:-default}, was replaced in every string by what lookup says.
func ParseWithEnv(file string, data []byte, into any, lookup func(string) (string, bool)) (*Document, error) {
	return parse(file, data, into, lookup)
}

func parse(file string, data []byte, into any, lookup func(string) (string, bool)) (_ *Document, err error) {
	// The YAML library panics on some malformed files, such as a tag without a value where a list is due.
	defer func() {
		if r := recover(); r != nil {
			err = Problems{{File: file, Message: "this is not YAML that can be read", Do: "look for a stray !, & or * and for wrong indentation"}}
		}
	}()
	root, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, Problems{fromYAML(file, err, into)}
	}
	doc := &Document{File: file, root: root}
	if len(root.Docs) == 0 || root.Docs[0].Body == nil {
		return nil, Problems{{File: file, Line: 1, Message: "the file is empty", Do: "start from an example under docs/examples"}}
	}
	if len(root.Docs) > 1 {
		return nil, Problems{{File: file, Line: root.Docs[1].Start.Position.Line, Message: "the file holds more than one YAML document", Do: "keep one document in a file"}}
	}
	if lookup != nil {
		if ps := substitute(file, root.Docs[0].Body, lookup); len(ps) > 0 {
			return nil, ps
		}
	}
	if err := yaml.NodeToValue(root.Docs[0].Body, into, yaml.Strict()); err != nil {
		return nil, Problems{fromYAML(file, err, into)}
	}
	return doc, nil
}

// Decode reads a part of a parsed file strictly into the value that into points to: for those who learn only from the file
// what a part of it means. The error is Problems.
func Decode(file string, node ast.Node, into any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = Problems{{File: file, Line: nodeLine(node), Message: "this is not YAML that can be read"}}
		}
	}()
	if err := yaml.NodeToValue(node, into, yaml.Strict()); err != nil {
		return Problems{fromYAML(file, err, into)}
	}
	return nil
}

// At makes a problem at the place of a YAML path such as "$.fields[2].type". A path that does not exist
// (the value is what is missing) is placed at the nearest parent that does.
func (d *Document) At(path, message, do string) *Problem {
	return &Problem{File: d.File, Line: d.line(path), Message: message, Do: do}
}

// Sequence tells whether the document is a list.
func (d *Document) Sequence() bool {
	_, list := d.root.Docs[0].Body.(*ast.SequenceNode)
	return list
}

func (d *Document) line(path string) int {
	for path != "" {
		if p, err := yaml.PathString(path); err == nil {
			if node, err := p.FilterNode(d.root.Docs[0].Body); err == nil && node != nil {
				return nodeLine(node)
			}
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut <= 0 {
			break
		}
		path = path[:cut]
	}
	return 1
}

func nodeLine(node ast.Node) int {
	if m, ok := node.(*ast.MappingNode); ok && len(m.Values) > 0 {
		return m.Values[0].Key.GetToken().Position.Line
	}
	if m, ok := node.(*ast.MappingValueNode); ok {
		return m.Key.GetToken().Position.Line
	}
	return node.GetToken().Position.Line
}

// Errorf is for types that read their own YAML: an error that knows where the node stands.
func Errorf(node ast.Node, format string, args ...any) error {
	return &yaml.SyntaxError{Message: fmt.Sprintf(format, args...), Token: node.GetToken()}
}

// words are what people call the Go types that the library's messages name.
var words = strings.NewReplacer("map[string]interface {}", "a mapping", "[]interface {}", "a list", "string", "a text", "uint64", "a number",
	"int64", "a number", "float64", "a number with decimals", "int", "a number", "bool", "true or false", "a sequence", "a list")

var wrongType = regexp.MustCompile(`^cannot unmarshal (.+) into Go (?:struct field \S+|value) of type (.+)$`)

var wrongShape = regexp.MustCompile(`^(\S+) was used where (mapping|sequence) is expected$`)

var unknownField = regexp.MustCompile(`unknown field "([^"]+)"`)

// fromYAML turns the library's error into a sentence, with the nearest valid name where a key is misspelt.
func fromYAML(file string, err error, into any) *Problem {
	p := &Problem{File: file, Message: err.Error()}
	var ye yaml.Error
	if errors.As(err, &ye) {
		p.Message = ye.GetMessage()
		if t := ye.GetToken(); t != nil {
			p.Line = t.Position.Line
		}
	}
	if m := wrongType.FindStringSubmatch(p.Message); m != nil {
		p.Message = words.Replace(m[1]) + " stands here"
		if !strings.Contains(m[2], ".") {
			p.Do = "write " + words.Replace(m[2])
		}
	}
	if m := wrongShape.FindStringSubmatch(p.Message); m != nil {
		p.Message, p.Do = words.Replace(m[1])+" stands here", "write "+words.Replace("a "+m[2])
	}
	if m := unknownField.FindStringSubmatch(p.Message); m != nil {
		p.Message = fmt.Sprintf("%q is not a key here", m[1])
		p.Do = DidYouMean(m[1], keys(reflect.TypeOf(into), map[reflect.Type]bool{}))
	}
	return p
}

// keys lists every YAML key that a type and the types below it accept: the candidates for a typo.
func keys(t reflect.Type, seen map[reflect.Type]bool) []string {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Array:
		return keys(t.Elem(), seen)
	case reflect.Struct:
	default:
		return nil
	}
	if seen[t] {
		return nil
	}
	seen[t] = true
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name != "" && name != "-" {
			out = append(out, name)
		}
		out = append(out, keys(f.Type, seen)...)
	}
	return out
}

// Nearest is the valid name closest to a misspelt one, or "" when none is near.
func Nearest(name string, valid []string) string {
	best, bestDistance := "", len([]rune(name))/2+1
	sorted := append([]string(nil), valid...)
	sort.Strings(sorted)
	for _, v := range sorted {
		if d := levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(v)); d < bestDistance {
			best, bestDistance = v, d
		}
	}
	return best
}

// DidYouMean is the "what to write instead" of a misspelt name.
func DidYouMean(name string, valid []string) string {
	if near := Nearest(name, valid); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	sorted := append([]string(nil), valid...)
	sort.Strings(sorted)
	if len(sorted) > 30 {
		return ""
	}
	return "valid are: " + strings.Join(sorted, ", ")
}

var placeholder = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)(:-[^}]*)?\}`)

type substituter struct {
	file     string
	lookup   func(string) (string, bool)
	problems Problems
}

func (s *substituter) Visit(node ast.Node) ast.Visitor {
	str, ok := node.(*ast.StringNode)
	if !ok {
		return s
	}
	str.Value = placeholder.ReplaceAllStringFunc(str.Value, func(m string) string {
		name, fallback, hasFallback := strings.Cut(m[2:len(m)-1], ":-")
		value, ok := s.lookup(name)
		if !ok && hasFallback {
			return fallback
		}
		if !ok {
			s.problems = append(s.problems, &Problem{
				File: s.file, Line: str.GetToken().Position.Line,
				Message: fmt.Sprintf("the environment variable %s is not set", name),
				Do:      fmt.Sprintf("export %s=... before you start shire", name),
			})
		}
		return value
	})
	return s
}

func substitute(file string, node ast.Node, lookup func(string) (string, bool)) Problems {
	s := &substituter{file: file, lookup: lookup}
	ast.Walk(s, node)
	return s.problems
}
