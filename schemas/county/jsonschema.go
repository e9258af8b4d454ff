package county

import (
	"github.com/shirecounty/shire/schemas/document"
)

// JSONSchema is the JSON Schema of county.yaml, for editors.
func JSONSchema() ([]byte, error) { return document.JSONSchema("Shire county.yaml", &Config{}) }
