package semantic

import (
	"fmt"
	"strconv"

	"github.com/goccy/go-yaml/ast"
)

// UnmarshalYAML reads parameters from a contract and keeps every scalar that is not plainly a number as it is written. YAML
// takes the code 02 for the octal number 2 and 1.50 for 1.5; in a code table that is a wrong answer without an error.
func (p *Params) UnmarshalYAML(node ast.Node) error {
	v, err := yamlValue(node)
	if err != nil {
		return err
	}
	switch m := v.(type) {
	case nil:
		*p = nil
	case map[string]any:
		*p = m
	default:
		return yamlError(node, "parameters are a map of names to values")
	}
	return nil
}

func yamlValue(node ast.Node) (any, error) {
	switch n := node.(type) {
	case *ast.NullNode:
		return nil, nil
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.BoolNode:
		return n.Value, nil
	case *ast.IntegerNode:
		if number, err := strconv.ParseInt(n.Token.Value, 10, 64); err == nil && strconv.FormatInt(number, 10) == n.Token.Value {
			return number, nil
		}
		return n.Token.Value, nil
	case *ast.FloatNode:
		if strconv.FormatFloat(n.Value, 'f', -1, 64) == n.Token.Value {
			return n.Value, nil
		}
		return n.Token.Value, nil
	case *ast.AnchorNode:
		return yamlValue(n.Value)
	case *ast.SequenceNode:
		list := make([]any, len(n.Values))
		for i, item := range n.Values {
			v, err := yamlValue(item)
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
		return list, nil
	case *ast.MappingValueNode:
		return yamlMap(n)
	case *ast.MappingNode:
		return yamlMap(n.Values...)
	}
	return nil, yamlError(node, "write the value out: aliases, tags and merge keys are not understood inside parameters")
}

func yamlMap(entries ...*ast.MappingValueNode) (map[string]any, error) {
	m := make(map[string]any, len(entries))
	for _, e := range entries {
		if _, scalar := e.Key.(ast.ScalarNode); !scalar {
			return nil, yamlError(e.Key, "a name or a source value is expected before the colon")
		}
		name := e.Key.GetToken().Value
		if _, twice := m[name]; twice {
			return nil, yamlError(e.Key, "%q is given twice", name)
		}
		v, err := yamlValue(e.Value)
		if err != nil {
			return nil, err
		}
		m[name] = v
	}
	return m, nil
}

func yamlError(node ast.Node, format string, args ...any) error {
	message := fmt.Sprintf(format, args...)
	if token := node.GetToken(); token != nil && token.Position != nil {
		return fmt.Errorf("line %d: %s", token.Position.Line, message)
	}
	return fmt.Errorf("%s", message)
}
