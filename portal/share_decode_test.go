package portal

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// What strictJSON takes is read in one way: the standard decoder, told nothing, comes to the same value; written anew, it is read
// as the same. Whatever it refuses, it panics at nothing.
func FuzzStrictJSON(f *testing.F) {
	for _, seed := range []string{
		`{"number":"330127198503072444"}`, `{"name":"张晓梅","birth_date":"1985-03-07","brought":{"residents.name":"张"}}`, `{"number":"1","Number":"2"}`, `{"number":"1","number":"2"}`,
		`{"name":"\ud83d\ude00\ud83d"}`, `{"name":"\\ud83d"}`, `{"brought":{"a":{"b":[[[]]]}}}`, `{"number":1e999}`, " {}", "[]", "{}{}", `{"n\u0075mber":""}`, "{\"name\":\"\xff\"}", `{"\\":"\u0000"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var got, plain, again PersonLookup
		if err := strictJSON(body, &got); err != nil {
			if err.en == "" || err.zh == "" {
				t.Fatal("a refusal without words")
			}
			return
		}
		if err := json.Unmarshal(body, &plain); err != nil || !reflect.DeepEqual(got, plain) {
			t.Fatalf("%v: %+v and %+v", err, got, plain)
		}
		text, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if err := strictJSON(text, &again); err != nil {
			t.Fatalf("written anew it is refused: %s", err.en)
		}
		if bytes.Contains(text, []byte("\ufffd")) && !bytes.Contains(body, []byte("\ufffd")) && !bytes.Contains(bytes.ToLower(body), []byte(`\ufffd`)) {
			t.Fatal("a character was replaced")
		}
	})
}

func FuzzHeaderText(f *testing.F) {
	for _, seed := range []string{"王芳", "UTF-8''%E7%8E%8B", "UTF-8''%0d%0a", "a\x00", "\u202e", "UTF-8''%", " a", strings.Repeat("a", 300)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header[clerkHeader] = []string{value}
		text, err := headerText(r, clerkHeader)
		if err != nil {
			if text != "" || value != "" && len(value) > 8 && strings.Contains(err.Error(), value) {
				t.Fatal("a refusal says what was sent")
			}
			return
		}
		if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) || strings.ContainsAny(text, "\r\n\u202e\u2066") || utf8.RuneCountInString(text) > mostText {
			t.Fatalf("%q was taken", text)
		}
	})
}

func TestSurrogates(t *testing.T) {
	for text, want := range map[string]bool{
		`"\ud83d\ude00"`: true, `"\ud83d"`: false, `"\ude00"`: false, `"\ud83d\ud83d"`: false, `"\\ud83d"`: true, `"\\\ud83d"`: false, `"\u00e9"`: true, `"\ud83dx"`: false, `"\uD83D\uDE00\uD83D"`: false, `"\""`: true, `"\n\u0041"`: true,
	} {
		if pairedSurrogates([]byte(text)) != want {
			t.Errorf("%s: want %t", text, want)
		}
	}
}

// Each operation of the sharing interface is described, is behind the clients' door, and says what it fails with; every code of a
// problem that it may answer with is in the description.
func TestOpenAPIOfSharing(t *testing.T) {
	w := newShareWorld(t, wide)
	document := w.OpenAPI()
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	paths := document["paths"].(map[string]any)
	described := 0
	for _, r := range w.share.routes() {
		operation, ok := paths[r.Path].(map[string]any)[strings.ToLower(r.method())].(map[string]any)
		if !ok || r.Door != clientDoor || operation["security"] == nil || operation["responses"].(map[string]any)["429"] == nil {
			t.Errorf("%s %s is not described, or open to everybody", r.method(), r.Path)
			continue
		}
		described++
		for part := range strings.SplitSeq(r.Path, "/") {
			if name, is := strings.CutPrefix(part, "{"); is && !strings.Contains(string(mustJSON(operation["parameters"])), `"name":"`+strings.TrimSuffix(name, "}")+`"`) {
				t.Errorf("%s: the parameter %s is not described", r.Path, name)
			}
		}
		// Without credentials, each of them says so, and nothing else.
		path := strings.NewReplacer("{id}", w.node.person(zhang).String(), "{department}", "x", "{dataset}", "residents", "{key}", "1", "{case}", "C-1", "{prefill}", "1").Replace(r.Path)
		body := ""
		if r.Body != nil {
			body = "{}"
		}
		if a := w.do(asks("", r.method(), path, body)); a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s %s: %d", r.method(), r.Path, a.status)
		}
	}
	if described != 8 {
		t.Errorf("%d operations", described)
	}
	for code := range denials {
		if !strings.Contains(string(text), `"`+string(code)+`"`) {
			t.Errorf("the code %s is not described", code)
		}
		if d := denials[code]; d.en == "" || d.zh == "" {
			t.Errorf("%s has no words", code)
		}
	}
	for _, code := range []string{codeMalformed, codeEnumeration, codeKeyInURL, codeUnusable, "token_used", "plain_connection", "unknown_metric"} {
		if !strings.Contains(string(text), `"`+code+`"`) {
			t.Errorf("the code %s is not described", code)
		}
	}
}

func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}
