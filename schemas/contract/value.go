package contract

import (
	"encoding/json"

	"github.com/goccy/go-yaml/ast"
	"github.com/invopop/jsonschema"

	"github.com/shirecounty/shire/schemas/document"
)

// UnmarshalYAML accepts the three ways to write a value.
func (v *Value) UnmarshalYAML(node ast.Node) error {
	switch n := node.(type) {
	case *ast.StringNode:
		v.Field = n.Value
	case *ast.SequenceNode:
		for _, item := range n.Values {
			name, ok := item.(*ast.StringNode)
			if !ok {
				return document.Errorf(item, "a list that fills a column holds names of fields")
			}
			v.Fields = append(v.Fields, name.Value)
		}
	case *ast.MappingNode:
		if len(n.Values) == 1 && n.Values[0].Key.String() == "value" {
			if scalar, ok := n.Values[0].Value.(ast.ScalarNode); ok {
				text := scalar.GetToken().Value // as it is written: 02 is a code, not the number 2
				v.Const = &text
			}
		}
	}
	if v.Field == "" && len(v.Fields) == 0 && v.Const == nil {
		return document.Errorf(node, "a column is filled by a field's name, a list of fields, or {value: constant}")
	}
	return nil
}

// MarshalJSON writes a value the way it is written in YAML.
func (v Value) MarshalJSON() ([]byte, error) {
	switch {
	case v.Const != nil:
		return json.Marshal(map[string]string{"value": *v.Const})
	case len(v.Fields) > 0:
		return json.Marshal(v.Fields)
	}
	return json.Marshal(v.Field)
}

// JSONSchema documents the three ways for editors.
func (Value) JSONSchema() *jsonschema.Schema {
	constant := jsonschema.NewProperties()
	constant.Set("value", &jsonschema.Schema{Type: "string"})
	return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
		{Type: "string", Description: "name of a field"},
		{Type: "array", Items: &jsonschema.Schema{Type: "string"}, Description: "fields that are joined (pseudonymous columns only)"},
		{Type: "object", Properties: constant, Required: []string{"value"}, AdditionalProperties: jsonschema.FalseSchema, Description: "a constant"},
	}}
}
