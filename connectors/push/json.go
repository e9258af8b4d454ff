package push

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"unicode/utf16"
)

// members calls fn with the members of a JSON object as they are written. Texts stay texts of JSON, numbers keep their
// digits.
func members(text []byte, fn func(name string, value json.RawMessage) error) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return errObject
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return errObject
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return errObject
		}
		if err := fn(name.(string), value); err != nil { // the token before a value is a name
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return errObject
	}
	if _, err := d.Token(); err != io.EOF {
		return errObject
	}
	return nil
}

// elements are the elements of a JSON array as they are written, most at the most.
func elements(text []byte, most int) ([]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if open, err := d.Token(); err != nil || open != json.Delim('[') {
		return nil, errArray
	}
	var all []json.RawMessage
	for d.More() {
		if len(all) == most {
			return nil, tooLarge("there are more than %d events in the request", "一次请求中的事件超过 %d 个", most)
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return nil, errArray
		}
		all = append(all, value)
	}
	if _, err := d.Token(); err != nil {
		return nil, errArray
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errArray
	}
	return all, nil
}

// textOf reads a text of JSON; it has none when half of a surrogate pair stands in it, which encoding/json would replace.
func textOf(raw json.RawMessage) (string, bool) {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	if bytes.Contains(raw, []byte(`\u`)) && !paired(raw) {
		return "", false
	}
	return s, true
}

// paired tells whether every escaped half of a surrogate pair in a valid text of JSON has the other half behind it.
func paired(raw []byte) bool {
	unit := func(at int) rune { // of the escape at a place; 0 when there is none
		if at+6 > len(raw) || raw[at] != '\\' || raw[at+1] != 'u' {
			return 0
		}
		n, _ := strconv.ParseUint(string(raw[at+2:at+6]), 16, 32)
		return rune(n)
	}
	for i := 0; i < len(raw); {
		switch u := unit(i); {
		case utf16.IsSurrogate(u):
			if utf16.DecodeRune(u, unit(i+6)) == '\uFFFD' {
				return false
			}
			i += 12
		case u != 0:
			i += 6
		case raw[i] == '\\':
			i += 2
		default:
			i++
		}
	}
	return true
}
