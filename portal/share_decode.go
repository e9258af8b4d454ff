package portal

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// What a client sends is read in one way or not at all: two programs that read one body differently are how a check is passed with one
// value and a record read with another. Nothing of what was sent is repeated (I7).

// Bounds of a request.
const (
	mostShareBody = 16 << 10 // bytes
	mostDepth     = 4        // of objects and arrays in each other
	mostText      = 256      // characters of a text
	mostList      = 64       // entries of a list
)

// readShareBody reads the body of a request.
func readShareBody(r *http.Request, v any) error {
	if kinds := r.Header.Values("Content-Type"); len(kinds) != 1 || !isJSON(kinds[0]) {
		return problem(http.StatusUnsupportedMediaType, codeMediaType, "The body has to be JSON: send Content-Type: application/json, in UTF-8.").
			zh("请求正文须为 UTF-8 编码的 JSON：请发送 Content-Type: application/json。")
	}
	if r.Header.Get("Content-Encoding") != "" {
		return problem(http.StatusUnsupportedMediaType, codeMediaType, "The body must not be compressed: leave Content-Encoding out.").zh("请求正文不得压缩：请去掉 Content-Encoding。")
	}
	body, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return problem(http.StatusRequestEntityTooLarge, codeTooLarge, "The body has more than "+strconv.Itoa(mostShareBody)+" bytes. A call is about one person: send less.").
			zh("请求正文超过 " + strconv.Itoa(mostShareBody) + " 字节。一次调用只涉及一个人，请减少内容。")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problem(http.StatusRequestTimeout, codeTooSlow, "The body did not come within the time for it. Send the request anew.").zh("请求正文未在限定时间内到达，请重新发送。")
	case err != nil:
		return problem(http.StatusBadRequest, codeMalformed, "The body was cut off. Send the request anew.").zh("请求正文不完整，请重新发送。")
	}
	if err := strictJSON(body, v); err != nil {
		return problem(http.StatusBadRequest, codeMalformed, "The body is not what /openapi.json describes for this address: "+err.en+".").
			zh("请求正文与 /openapi.json 的描述不符：" + err.zh + "。")
	}
	return nil
}

func isJSON(contentType string) bool {
	kind, parameters, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "application/json" {
		return false
	}
	for name, value := range parameters {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return false
		}
	}
	return true
}

var (
	errNotJSON   = &sentence{"it is no JSON object", "不是 JSON 对象"}
	errNotUTF8   = &sentence{"it is not UTF-8", "不是 UTF-8 文本"}
	errSurrogate = &sentence{"half of a surrogate pair stands in a text", "文本中含有不成对的代理项"}
	errDeep      = &sentence{"objects and arrays stand too deep in each other", "嵌套过深"}
	errTwice     = &sentence{"a member stands twice", "成员重复"}
	errMember    = &sentence{"it has a member that is not known here, or a value of another type", "含有未知成员，或成员类型不符"}
)

var memberName = regexp.MustCompile(`^[a-z0-9_]+(\.[a-z0-9_]+)?$`)

// strictJSON reads one JSON object into v, or says what is against it.
func strictJSON(body []byte, v any) *sentence {
	if !utf8.Valid(body) {
		return errNotUTF8
	}
	if err := proveJSON(body); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if d.Decode(v) != nil {
		return errMember
	}
	return nil
}

// proveJSON walks a body: one object, not too deep, no member twice, no name that would be taken for another one.
func proveJSON(body []byte) *sentence {
	if !json.Valid(body) {
		return errNotJSON
	}
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return errNotJSON
	}
	if !pairedSurrogates(body) {
		return errSurrogate
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	type level struct {
		object bool
		name   bool // the next token is a name
		names  []string
	}
	var open []level
	for {
		token, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return errNotJSON
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if len(open) > 0 {
				open[len(open)-1].name = true
			}
			if open = append(open, level{object: token == json.Delim('{'), name: true}); len(open) > mostDepth {
				return errDeep
			}
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
			continue
		}
		at := &open[len(open)-1]
		if !at.object {
			continue
		}
		if !at.name {
			at.name = true
			continue
		}
		at.name = false
		name, _ := token.(string)
		// encoding/json takes Number for number: what is written otherwise than it is described is refused.
		if !memberName.MatchString(name) {
			return errMember
		}
		if slices.Contains(at.names, name) {
			return errTwice
		}
		if at.names = append(at.names, name); len(at.names) > mostList {
			return errMember
		}
	}
}

// pairedSurrogates tells whether every \uD800 to \uDFFF of valid JSON has its other half: encoding/json would put U+FFFD there.
func pairedSurrogates(text []byte) bool {
	unit := func(at int) rune {
		if at+6 > len(text) || text[at] != '\\' || text[at+1] != 'u' {
			return -1
		}
		n, err := strconv.ParseUint(string(text[at+2:at+6]), 16, 16)
		if err != nil {
			return -1
		}
		return rune(n)
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		if u := unit(i); u >= 0 && utf16.IsSurrogate(u) {
			if utf16.DecodeRune(u, max(unit(i+6), 0)) == unicode.ReplacementChar {
				return false
			}
			i += 11
			continue
		}
		i++ // the character behind a backslash is no backslash of its own
	}
	return true
}

// encodedHeader is how a header holds what is not ASCII where a program cannot send it as it is (RFC 8187).
const encodedHeader = "UTF-8''"

// headerText reads a header that stands at most once; "" when it is absent. Text that would be another line of a log, or would be
// shown in another order than it is written, is refused.
func headerText(r *http.Request, name string) (string, error) {
	values := r.Header.Values(name)
	if len(values) == 0 {
		return "", nil
	}
	value := values[0]
	if encoded, ok := strings.CutPrefix(value, encodedHeader); ok {
		plain, err := url.PathUnescape(encoded)
		if err != nil {
			return "", badHeader(name)
		}
		value = plain
	}
	if len(values) > 1 || !soundText(value) {
		return "", badHeader(name)
	}
	return value, nil
}

func badHeader(name string) error {
	return problem(http.StatusBadRequest, codeMalformed,
		"The header "+name+" stands more than once, or is no text: send it once, of at most "+strconv.Itoa(mostText)+" characters in UTF-8, or percent-encoded behind UTF-8''.").
		zh("请求头 " + name + " 重复出现或不是有效文本：请只发送一次，不超过 " + strconv.Itoa(mostText) + " 个字符，采用 UTF-8，或以 UTF-8'' 开头的百分号编码。")
}

// soundText tells a text that a person may have typed: no control characters, and none that turn around what is shown.
func soundText(s string) bool {
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > mostText || s != strings.TrimSpace(s) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError
	})
}
