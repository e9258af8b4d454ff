package contract

import (
	"github.com/shirecounty/shire/schemas/document"
)

// JSONSchema is the JSON Schema of a contract, for editors.
func JSONSchema() ([]byte, error) { return document.JSONSchema("Shire dataset contract", &Dataset{}) }
