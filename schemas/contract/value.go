package contract

import (
	"encoding/json"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/invopop/jsonschema"
)

// UnmarshalYAML accepts the three ways to write a value.
func (v *Value) UnmarshalYAML(data []byte) error {
	var field string
	if yaml.Unmarshal(data, &field) == nil {
		v.Field = field
		return nil
	}
	if yaml.Unmarshal(data, &v.Fields) == nil {
		return nil
	}
	var constant struct {
		Value *string `yaml:"value"`
	}
	if err := yaml.UnmarshalWithOptions(data, &constant, yaml.Strict()); err == nil && constant.Value != nil {
		v.Const = constant.Value
		return nil
	}
	return fmt.Errorf("a column is filled by a field's name, a list of fields, or {value: constant}")
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
