package portal

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// mostBody bounds what a request that changes something may bring; mostTerms what one that brings terms may.
const (
	mostBody  = 8 << 10
	mostTerms = 64 << 10
)

// fromOwnPage lets requests through that come from the portal's own pages. The cookie's SameSite would do in today's
// browsers; a verdict on somebody's identity, or a job that writes, is worth a second lock: a page of another site can only
// set the door's header after asking this one (CORS), which never agrees.
func (d *door) fromOwnPage(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(d.header) != "1" || !sameOrigin(r) {
			problem(http.StatusForbidden, codeForeign, "This can be done from the portal's own page alone. A program sends "+d.header+": 1 and the portal's own Origin.").
				zh("只能从本门户自己的页面操作。").write(w)
			return
		}
		next(w, r)
	}
}

// sameOrigin tells whether a browser says that the request comes from this site. Sec-Fetch-Site is the browser's own word
// and goes first; it is there where the connection can be trusted. Origin is compared with the host elsewhere.
func sameOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	origin, err := url.Parse(r.Header.Get("Origin"))
	return err == nil && origin.Host != "" && strings.EqualFold(origin.Host, r.Host)
}

// readJSON reads the body of a request. What it says against it never repeats the body (I7).
func readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	return readJSONUpTo(w, r, v, mostBody)
}

// readJSONUpTo is readJSON for a body of at most so many bytes.
func readJSONUpTo(w http.ResponseWriter, r *http.Request, v any, most int64) bool {
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		problem(http.StatusUnsupportedMediaType, codeBadParameter, "The body has to be application/json.").zh("请求正文须为 application/json。").write(w)
		return false
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, most))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil || decoder.More() {
		badParameter("The body is not what /openapi.json describes for this address.").zh("请求正文与 /openapi.json 的描述不符。").write(w)
		return false
	}
	return true
}
