package portal

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/shirecounty/shire/schemas/pseudonym"
)

func (p *Portal) openAPI(w http.ResponseWriter, r *http.Request) { reply(w, r, p.OpenAPI()) }

// OpenAPI is the description of the API (OpenAPI 3.1), made from the table of routes and the Go types of the replies.
func (p *Portal) OpenAPI() map[string]any {
	schemas := map[string]any{}
	paths := map[string]any{}
	for _, r := range p.routes {
		operations, ok := paths[r.Path].(map[string]any)
		if !ok {
			operations = map[string]any{}
			paths[r.Path] = operations
		}
		operations[strings.ToLower(r.method())] = r.operation(schemas)
	}
	components := map[string]any{"schemas": schemas}
	schemes := map[string]any{}
	for _, r := range p.routes {
		switch r.Door {
		case "":
		case clientDoor:
			schemes["token"] = map[string]any{"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "Access token of the OAuth2 client credentials flow; good for one call, unless it is bound to the client's certificate"}
			schemes["key"] = map[string]any{"type": "apiKey", "in": "header", "name": "Authorization", "description": "Shire-Key NAME.SECRET, with the key that shire clients add printed"}
			schemes["certificate"] = map[string]any{"type": "mutualTLS"}
		default:
			schemes[r.Door] = map[string]any{"type": "apiKey", "in": "cookie", "name": r.Door}
		}
	}
	if len(schemes) > 0 {
		components["securitySchemes"] = schemes
	}
	return map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title":       "shire: the API of a county node",
			"version":     p.o.Version,
			"description": "Figures on how the county is served, and the health of the flow. Errors are application/problem+json (RFC 9457).",
			"license":     map[string]any{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers":    []any{map[string]any{"url": "/"}},
		"security":   []any{},
		"paths":      paths,
		"components": components,
	}
}

// success is the response of an operation that went well.
func (r route) success(schemas map[string]any) (status string, response map[string]any) {
	if r.NoContent {
		return "204", map[string]any{"description": r.Summary}
	}
	mediaTypes := r.MediaTypes
	if len(mediaTypes) == 0 {
		mediaTypes = []string{"application/json"}
	}
	content := map[string]any{}
	for _, mediaType := range mediaTypes {
		content[mediaType] = map[string]any{"schema": map[string]any{"type": "string"}}
		if mediaType == "application/json" {
			content[mediaType] = map[string]any{"schema": schemaOf(r.Result, schemas)}
		}
	}
	return "200", map[string]any{"description": r.Summary, "content": content}
}

func (r route) operation(schemas map[string]any) map[string]any {
	status, response := r.success(schemas)
	responses := map[string]any{status: response}
	for _, status := range r.Problems {
		responses[strconv.Itoa(status)] = map[string]any{
			"description": http.StatusText(status),
			"content":     map[string]any{"application/problem+json": map[string]any{"schema": schemaOf(Problem{}, schemas)}},
		}
	}
	parameters := []any{}
	for _, p := range r.Parameters {
		schema := map[string]any{"type": "string"}
		if p.Pattern != "" {
			schema["pattern"] = p.Pattern
		}
		if p.Enum != nil {
			schema["enum"] = p.Enum
		}
		parameters = append(parameters, map[string]any{
			"name": p.Name, "in": p.In, "required": p.In != "query", "description": p.Description, "schema": schema,
		})
	}
	operation := map[string]any{"operationId": r.ID, "summary": r.Summary, "parameters": parameters, "responses": responses}
	if r.Body != nil {
		content := map[string]any{}
		for _, mediaType := range r.bodyTypes() {
			content[mediaType] = map[string]any{"schema": schemaOf(r.Body, schemas)}
		}
		operation["requestBody"] = map[string]any{"required": true, "content": content}
	}
	switch r.Door {
	case "":
	case clientDoor:
		operation["security"] = []any{map[string]any{"token": []any{}}, map[string]any{"key": []any{}}, map[string]any{"certificate": []any{}}}
	default:
		operation["security"] = []any{map[string]any{r.Door: []any{}}}
	}
	return operation
}

// schemaOf is the JSON Schema of a Go value's type; the named types that it needs go to schemas.
func schemaOf(v any, schemas map[string]any) map[string]any {
	if _, anything := v.(map[string]any); anything {
		return map[string]any{"type": "object"}
	}
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Slice {
		return map[string]any{"type": "array", "items": schemaOf(reflect.Zero(t.Elem()).Interface(), schemas)}
	}
	reflector := jsonschema.Reflector{Anonymous: true, AllowAdditionalProperties: true, Mapper: func(t reflect.Type) *jsonschema.Schema {
		if t == reflect.TypeFor[pseudonym.ID]() {
			return &jsonschema.Schema{Type: "string", Format: "uuid"} // bytes here, text there
		}
		return nil
	}}
	text, err := json.Marshal(reflector.ReflectFromType(t))
	if err != nil {
		panic(err) // a type that has no schema is a mistake in this package
	}
	var document struct {
		Defs map[string]any `json:"$defs"`
	}
	// References are to the schema's own definitions; in an OpenAPI document those are components.
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), "#/$defs/", "#/components/schemas/")), &document); err != nil {
		panic(err)
	}
	for name, schema := range document.Defs {
		schemas[name] = schema
	}
	allowNull(t, schemas, map[reflect.Type]bool{})
	return map[string]any{"$ref": "#/components/schemas/" + t.Name()}
}

// allowNull adds null to the properties that are pointers and always present: a suppressed figure is null, not absent.
func allowNull(t reflect.Type, schemas map[string]any, done map[reflect.Type]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	schema, ok := schemas[t.Name()].(map[string]any)
	if t.Kind() != reflect.Struct || !ok || done[t] {
		return
	}
	done[t] = true // a row holds the row that it is compared with
	properties, _ := schema["properties"].(map[string]any)
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		property, ok := properties[name].(map[string]any)
		if !ok {
			continue
		}
		if kind, plain := property["type"].(string); plain && field.Type.Kind() == reflect.Pointer && options == "" {
			property["type"] = []any{kind, "null"}
		}
		allowNull(field.Type, schemas, done)
	}
}
