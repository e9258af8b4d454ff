package web

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

// settings is what stands under with: of a source of kind http. docs/connectors/http-pull.md shows all of it.
type settings struct {
	Base         *url.URL
	Headers      http.Header
	Auth         auth
	CA           string // PEM files
	Cert, Key    string
	Proxy        *url.URL
	Poll         time.Duration
	Timeout      time.Duration // longest silence of the service
	MaxWait      time.Duration // longest wait that a Retry-After is granted
	MaxResponse  int           // bytes of a response, unpacked
	MaxRecord    int           // bytes of a record's text: what has to be held in memory (I10)
	MaxDeletions float64       // share, 0 to 1
	Endpoints    []*endpoint
}

// auth is how the service is told who asks.
type auth struct {
	Kind           string // none, api_key, basic, oauth2
	Header, Param  string // api_key: where it goes
	Prefix         string // api_key: what stands before it in the header
	Secret         county.Secret
	User           string // basic; the client's id with oauth2
	TokenURL       string
	TokenPlacement string // oauth2: header or form; found out when absent
	Scopes         []string
}

var (
	settingKeys = []string{"url", "headers", "auth", "tls", "proxy", "poll", "timeout", "max_wait", "max_response", "max_record", "max_deletions", "datasets"}
	authKeys    = map[string][]string{
		"none":    {"kind"},
		"api_key": {"kind", "header", "param", "prefix", "api_key"},
		"basic":   {"kind", "user", "password"},
		"oauth2":  {"kind", "token_url", "client_id", "client_secret", "scopes", "credentials_in"},
	}
	tlsKeys      = []string{"ca", "cert", "key"}
	endpointKeys = []string{"dataset", "path", "query", "format", "records", "success", "pagination", "since", "deleted", "full", "conditional", "sparse", "omit", "item", "item_record"}
	flagKeys     = []string{"field", "values"}
	pageKeys     = map[string][]string{
		"none":   {"kind"},
		"page":   {"kind", "param", "size_param", "size", "first", "step", "more", "pages", "total", "stable"},
		"cursor": {"kind", "param", "size_param", "size", "start", "next", "more", "feed", "stable"},
		"since":  {"kind", "size_param", "size"},
		"link":   {"kind", "size_param", "size", "next", "stable"},
	}
	sinceKeys = []string{"param", "field", "start", "overlap", "inclusive", "format", "time_zone"}
)

const endpointExample = "{dataset: NAME, path: /visits, records: data.items}"

// decodeSettings reads with: strictly and finds every mistake in one pass.
func decodeSettings(from connectors.Settings) (settings, error) {
	d, with := connectors.NewDecoder(from), from.Source.With
	s := settings{
		Headers: http.Header{}, Poll: time.Minute, Timeout: 30 * time.Second, MaxWait: 10 * time.Minute,
		MaxResponse: 1 << 30, MaxRecord: 8 << 20, MaxDeletions: 0.5,
	}
	d.Known("with", with, settingKeys)
	s.Base = address(d, "with", with, "url", true)
	s.Proxy = address(d, "with", with, "proxy", false)
	d.Duration("with", with, "poll", &s.Poll)
	d.Duration("with", with, "timeout", &s.Timeout)
	d.Duration("with", with, "max_wait", &s.MaxWait)
	d.Size("with", with, "max_response", &s.MaxResponse)
	d.Size("with", with, "max_record", &s.MaxRecord)
	d.Share("with", with, "max_deletions", &s.MaxDeletions)
	if s.MaxRecord > 64<<20 {
		d.Fail("with.max_record", "write at most 64MiB: each record is held in memory", "is too large")
	}
	for name, value := range texts(d, "with", with, "headers") {
		switch http.CanonicalHeaderKey(name) {
		case "Authorization", "Proxy-Authorization", "Cookie":
			d.Fail("with.headers."+name, "write it under auth:, which takes secrets from ${NAME} or file:PATH", "is a credential")
		}
		s.Headers.Set(name, value)
	}
	if m := section(d, "with", with, "tls"); m != nil {
		d.Known("with.tls", m, tlsKeys)
		for key, into := range map[string]*string{"ca": &s.CA, "cert": &s.Cert, "key": &s.Key} {
			if d.Text("with.tls", m, key, into); *into != "" {
				*into = from.Resolve(*into)
			}
		}
		if (s.Cert == "") != (s.Key == "") {
			d.Fail("with.tls", "give cert: and key: both, or none", "has one half of a certificate")
		}
	}
	s.Auth = decodeAuth(d, section(d, "with", with, "auth"))
	served := map[string]bool{}
	for i, m := range d.Maps("with", with, "datasets", endpointExample) {
		e := decodeEndpoint(d, fmt.Sprintf("with.datasets[%d]", i), m, from.Contracts)
		if e.Dataset == nil {
			continue
		}
		if served[e.Dataset.Name] {
			d.Fail(fmt.Sprintf("with.datasets[%d].dataset", i), "keep one of them", "dataset %s stands twice", e.Dataset.Name)
		}
		served[e.Dataset.Name] = true
		if s.Base != nil {
			e.fingerprint = fingerprint(s.Base, m, e.Dataset)
		}
		s.Endpoints = append(s.Endpoints, e)
	}
	if d.Err() == nil {
		for _, name := range from.Contracts.Names() {
			if !served[name] {
				d.Fail("with.datasets", fmt.Sprintf("add {dataset: %s, path: ...}, or take it out of datasets:", name), "does not say where dataset %s is read", name)
			}
		}
	}
	return s, d.Err()
}

func decodeAuth(d *connectors.Decoder, m map[string]any) auth {
	a := auth{Kind: "none"}
	if m == nil {
		return a
	}
	const path = "with.auth"
	d.Choice(path, m, "kind", &a.Kind, slices.Sorted(maps.Keys(authKeys))...)
	if d.Wrong(path + ".kind") {
		return a
	}
	d.Known(path, m, authKeys[a.Kind])
	need := func(key string, missing bool, do string) {
		if missing && !d.Wrong(path+"."+key) {
			d.Fail(path+"."+key, do, "is missing")
		}
	}
	switch a.Kind {
	case "api_key":
		d.Text(path, m, "header", &a.Header)
		d.Text(path, m, "param", &a.Param)
		if prefix, ok := m["prefix"].(string); ok { // its blank at the end counts
			a.Prefix = prefix
		}
		d.Secret(path, m, "api_key", &a.Secret)
		need("api_key", a.Secret == "", "write api_key: ${NAME}")
		if (a.Header == "") == (a.Param == "") {
			d.Fail(path, "write header: X-Api-Key, or param: key", "does not say where the key goes")
		}
	case "basic":
		d.Text(path, m, "user", &a.User)
		d.Secret(path, m, "password", &a.Secret)
		need("user", a.User == "", "write user:")
		need("password", a.Secret == "", "write password: ${NAME}")
	case "oauth2":
		if u := address(d, path, m, "token_url", true); u != nil {
			a.TokenURL = u.String()
		}
		d.Text(path, m, "client_id", &a.User)
		d.Secret(path, m, "client_secret", &a.Secret)
		d.Texts(path, m, "scopes", &a.Scopes)
		d.Choice(path, m, "credentials_in", &a.TokenPlacement, "header", "form")
		need("client_id", a.User == "", "write client_id:")
		need("client_secret", a.Secret == "", "write client_secret: ${NAME}")
	}
	return a
}

// section is a mapping; nil when it is absent.
func section(d *connectors.Decoder, path string, m map[string]any, key string) map[string]any {
	v, there := m[key]
	if !there || v == nil {
		return nil
	}
	section, ok := v.(map[string]any)
	if !ok {
		d.Fail(path+"."+key, "write {name: value}", "is not a mapping")
		return nil
	}
	return section
}

func texts(d *connectors.Decoder, path string, m map[string]any, key string) map[string]string {
	out := map[string]string{}
	for name, v := range section(d, path, m, key) {
		switch v.(type) {
		case map[string]any, []any, nil:
			d.Fail(path+"."+key+"."+name, "write a text or a number", "is not a text")
		default:
			out[name] = fmt.Sprint(v)
		}
	}
	return out
}

// members reads a path of members: data.items.
func members(d *connectors.Decoder, path string, m map[string]any, key string) []string {
	var text string
	if d.Text(path, m, key, &text); text == "" {
		return nil
	}
	parts := strings.Split(text, ".")
	if slices.Contains(parts, "") {
		d.Fail(path+"."+key, "write names joined by dots: data.items", "is not a path of members")
	}
	return parts
}

// address reads an http or https address without credentials in it.
func address(d *connectors.Decoder, path string, m map[string]any, key string, needed bool) *url.URL {
	var text string
	d.Text(path, m, key, &text)
	if text == "" {
		if needed && !d.Wrong(path+"."+key) {
			d.Fail(path+"."+key, "write https://host/path", "is missing")
		}
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		d.Fail(path+"."+key, "write https://host/path", "is not an address")
	case u.User != nil:
		d.Fail(path+"."+key, "write the credentials under auth:", "has credentials in it")
	case u.RawQuery != "" || u.Fragment != "":
		d.Fail(path+"."+key, "write parameters under query: of the datasets", "has parameters in it")
	default:
		return u
	}
	return nil
}

// fingerprint identifies what is read. Settings that only say how it is treated are not part of it.
func fingerprint(base *url.URL, m map[string]any, d *contract.Dataset) string {
	read := maps.Clone(m)
	for _, key := range []string{"full", "item", "item_record", "conditional", "sparse"} {
		delete(read, key)
	}
	text, err := json.Marshal([]any{base.String(), read, d.Key})
	if err != nil {
		text = fmt.Append(nil, base, read, d.Key) // YAML's own types that JSON does not know; the order of maps is kept by fmt
	}
	sum := xxh3.Hash128(text).Bytes()
	return hex.EncodeToString(sum[:6])
}
