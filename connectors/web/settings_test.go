package web_test

import (
	"strings"
	"testing"

	"github.com/shirecounty/shire/connectors"
)

func TestMistakesInSettings(t *testing.T) {
	dataset := func(more map[string]any) map[string]any {
		m := map[string]any{"dataset": "records"}
		for k, v := range more {
			m[k] = v
		}
		return map[string]any{"url": "https://a.example", "datasets": []any{m}}
	}
	source := func(key string, v any) map[string]any {
		m := dataset(nil)
		m[key] = v
		return m
	}
	for name, c := range map[string]struct {
		with map[string]any
		want string
	}{
		"nothing":             {map[string]any{}, "with.url is missing"},
		"no datasets":         {map[string]any{"url": "https://a.example"}, "with.datasets is not a list"},
		"unknown":             {source("pol", "1m"), "did you mean \"poll\""},
		"password in url":     {source("url", "https://u:p@a.example"), "has credentials in it"},
		"parameters in url":   {source("url", "https://a.example?x=1"), "has parameters in it"},
		"ftp":                 {source("url", "ftp://a.example"), "is not an address"},
		"secret header":       {source("headers", map[string]any{"authorization": "Bearer x"}), "is a credential"},
		"half a certificate":  {source("tls", map[string]any{"cert": "a.pem"}), "one half"},
		"auth kind":           {source("auth", map[string]any{"kind": "magic"}), "write api_key or basic or none or oauth2"},
		"auth of other kind":  {source("auth", map[string]any{"kind": "basic", "user": "u", "password": "p", "scopes": "x"}), "with.auth.scopes is not a setting"},
		"no key":              {source("auth", map[string]any{"kind": "api_key", "header": "X"}), "with.auth.api_key is missing"},
		"two places":          {source("auth", map[string]any{"kind": "api_key", "header": "X", "param": "y", "api_key": "k"}), "does not say where the key goes"},
		"no client":           {source("auth", map[string]any{"kind": "oauth2", "client_secret": "s", "token_url": "https://a.example"}), "client_id is missing"},
		"record too large":    {source("max_record", "1GiB"), "is too large"},
		"other dataset":       {dataset(map[string]any{"dataset": "recrds"}), "did you mean \"records\""},
		"query in path":       {dataset(map[string]any{"path": "/a?b=c"}), "is not a path"},
		"page kind":           {dataset(map[string]any{"pagination": map[string]any{"kind": "pages"}}), "is not one of the choices"},
		"page without param":  {dataset(map[string]any{"pagination": map[string]any{"kind": "page"}}), "pagination.param is missing"},
		"cursor without next": {dataset(map[string]any{"pagination": map[string]any{"kind": "cursor", "param": "c"}}), "pagination.next is missing"},
		"feed of pages":       {dataset(map[string]any{"pagination": map[string]any{"kind": "page", "param": "p", "feed": true}}), "pagination.feed is not a setting"},
		"since of nothing":    {dataset(map[string]any{"pagination": map[string]any{"kind": "since", "size": 5}}), "needs it"},
		"since without size":  {dataset(map[string]any{"since": map[string]any{"param": "s", "field": "f"}, "pagination": map[string]any{"kind": "since"}}), "size is missing"},
		"since without field": {dataset(map[string]any{"since": map[string]any{"param": "s"}}), "since.field is missing"},
		"zone":                {dataset(map[string]any{"since": map[string]any{"param": "s", "field": "f", "time_zone": "Mars"}}), "\"Mars\" is not known"},
		"full since":          {dataset(map[string]any{"full": true, "since": map[string]any{"param": "s", "field": "f"}}), "write full: 24h"},
		"full at times":       {dataset(map[string]any{"full": "24h"}), "write full: true"},
		"full feed":           {dataset(map[string]any{"full": true, "pagination": map[string]any{"kind": "cursor", "param": "c", "next": "n", "feed": true}}), "does not fit a feed"},
		"flag":                {dataset(map[string]any{"deleted": map[string]any{"field": "x"}}), "needs field: and values:"},
		"item":                {dataset(map[string]any{"item": "/x/{name}"}), "{name} is not a field of the dataset's key"},
		"item without key":    {dataset(map[string]any{"item": "/x"}), "does not name every field of the key"},
		"lines around":        {dataset(map[string]any{"format": "ndjson", "records": "data"}), "nothing around them"},
		"members":             {dataset(map[string]any{"records": "a..b"}), "is not a path of members"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := connectors.New(newRig(t, c.with).settings())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v\nnot: %s", err, c.want)
			}
		})
	}
}

func TestSnapshotContractIsFull(t *testing.T) {
	r := newRig(t, map[string]any{"url": "https://a.example", "datasets": []any{map[string]any{"dataset": "records", "full": false}}})
	r.contract = strings.Replace(recordsContract, "version: 1", "version: 1\ndelivery: snapshot", 1)
	if _, err := connectors.New(r.settings()); err == nil || !strings.Contains(err.Error(), "delivery: snapshot") {
		t.Errorf("%v", err)
	}
}
