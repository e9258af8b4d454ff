package push

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"golang.org/x/text/language"
)

// fault says why a request or an event cannot be used, to whoever sent it. It holds no value of a record (I7).
type fault struct {
	status       int
	code, en, zh string
	retry        int // seconds, with a fault that passes
}

func (f *fault) Error() string { return f.en }

// Codes of a problem. They are stable: a program may rely on them.
const (
	codeMalformed   = "malformed_event"    // 400
	codeSignature   = "wrong_signature"    // 401: missing, too old, or wrong
	codeSource      = "unknown_source"     // 404
	codeTooLarge    = "too_large"          // 413
	codeMediaType   = "unknown_media_type" // 415
	codeUnusable    = "unusable_event"     // 422
	codeBusy        = "too_many_requests"  // 429
	codeUnavailable = "unavailable"        // 503
)

func faultf(status int, code, en, zh string, args ...any) *fault {
	return &fault{status: status, code: code, en: fmt.Sprintf(en, args...), zh: fmt.Sprintf(zh, args...)}
}

func malformed(en, zh string, args ...any) *fault {
	return faultf(http.StatusBadRequest, codeMalformed, en, zh, args...)
}

func unusable(en, zh string, args ...any) *fault {
	return faultf(http.StatusUnprocessableEntity, codeUnusable, en, zh, args...)
}

func tooLarge(en, zh string, args ...any) *fault {
	return faultf(http.StatusRequestEntityTooLarge, codeTooLarge, en, zh, args...)
}

func unsigned(en, zh string, args ...any) *fault {
	return faultf(http.StatusUnauthorized, codeSignature, en, zh, args...)
}

func later(f *fault, seconds int) *fault {
	f.retry = seconds
	return f
}

var (
	errUTF8   = malformed("the event is not UTF-8", "事件不是 UTF-8 文本")
	errObject = malformed("the event or its data are not a JSON object", "事件或其 data 不是 JSON 对象")
	errArray  = malformed("the batch is not a JSON array of events", "批量请求不是事件的 JSON 数组")
)

// problem is a fault as the answer holds it (RFC 9457), in the form that the whole API has.
type problem struct {
	Type   string   `json:"type"`
	Title  string   `json:"title"`
	Status int      `json:"status"`
	Detail string   `json:"detail"`
	Code   string   `json:"code"`
	Errors []string `json:"errors,omitempty"` // of a batch: each event that cannot be used
}

var languages = language.NewMatcher([]language.Tag{language.English, language.SimplifiedChinese})

// inChinese tells in which language the caller reads.
func inChinese(r *http.Request) bool {
	accepted, _, err := language.ParseAcceptLanguage(r.Header.Get("Accept-Language"))
	if err != nil || len(accepted) == 0 {
		return false
	}
	_, at, confidence := languages.Match(accepted...)
	return at == 1 && confidence > language.No
}

// refuse answers with the first fault; the others, of a batch, are told beside it.
func refuse(w http.ResponseWriter, r *http.Request, f *fault, others ...*placed) {
	zh := inChinese(r)
	p := problem{Type: "about:blank", Title: http.StatusText(f.status), Status: f.status, Code: f.code, Detail: f.say(zh)}
	for _, o := range others {
		p.Errors = append(p.Errors, o.say(zh))
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Language", map[bool]string{false: "en", true: "zh-CN"}[zh])
	h.Set("Vary", "Accept-Language")
	h.Set("Cache-Control", "no-store")
	if f.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(f.retry))
	}
	if f.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", signatureHeader)
	}
	w.WriteHeader(f.status)
	json.NewEncoder(w).Encode(p) // a client that went away is no fault of ours
}

func (f *fault) say(zh bool) string {
	if zh {
		return f.zh + "。"
	}
	return sentence(f.en)
}

// placed is a fault of one event of a batch.
type placed struct {
	*fault
	event int // from 0
}

func (p *placed) say(zh bool) string {
	if zh {
		return fmt.Sprintf("事件 %d（从 0 计）：%s。", p.event, p.zh)
	}
	return fmt.Sprintf("Event %d (from 0): %s.", p.event, p.en)
}

func sentence(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s + "."
	}
	return string(s[0]-'a'+'A') + s[1:] + "."
}
