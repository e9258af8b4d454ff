package identity

import (
	"github.com/shirecounty/shire/schemas/document"
)

// JSONSchema is the JSON Schema of a model, for editors.
func JSONSchema() ([]byte, error) { return document.JSONSchema("Shire identity model", &Model{}) }
