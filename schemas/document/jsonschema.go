package document

import (
	"encoding/json"
	"fmt"

	"github.com/invopop/jsonschema"
)

// JSONSchema is the JSON Schema of a document type, for editors: the keys are those of the yaml tags.
func JSONSchema(title string, of any) ([]byte, error) {
	r := jsonschema.Reflector{FieldNameTag: "yaml", RequiredFromJSONSchemaTags: true, ExpandedStruct: true}
	s := r.Reflect(of)
	s.Title = title
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("generate the JSON Schema of %s: %w", title, err)
	}
	return append(data, '\n'), nil
}
