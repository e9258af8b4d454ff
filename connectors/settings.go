package connectors

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/document"
)

// Decoder reads what stands under with: of a source, strictly, and finds every mistake in one pass.
type Decoder struct {
	source   string
	resolve  func(path string) string
	problems document.Problems
	wrong    map[string]bool
}

// NewDecoder makes the decoder of a source's settings.
func NewDecoder(s Settings) *Decoder {
	return &Decoder{source: s.Source.Name, resolve: s.Resolve, wrong: map[string]bool{}}
}

// Fail notes a mistake. Settings reach the connector without their lines, so the key's path says where.
func (d *Decoder) Fail(path, do, format string, args ...any) {
	d.wrong[path] = true
	d.problems = append(d.problems, &document.Problem{File: "source " + d.source, Message: path + " " + fmt.Sprintf(format, args...), Do: do})
}

// Wrong tells whether a mistake was noted at the path.
func (d *Decoder) Wrong(path string) bool { return d.wrong[path] }

// Err is nil when no mistake was noted.
func (d *Decoder) Err() error { return d.problems.OrNil() }

// Known notes the keys of m that are no settings.
func (d *Decoder) Known(path string, m map[string]any, valid []string) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(valid, k) {
			d.Fail(path+"."+k, document.DidYouMean(k, valid), "is not a setting")
		}
	}
}

// Text reads a text that is not blank; like all methods below it leaves into alone when the key is absent.
func (d *Decoder) Text(path string, m map[string]any, key string, into *string) {
	v, there := m[key]
	if !there || v == nil {
		return
	}
	s, ok := v.(string)
	if !ok || strings.TrimSpace(s) == "" {
		d.Fail(path+"."+key, "write a text", "is not a text")
		return
	}
	*into = s
}

// Secret reads a password or key. That it does not stand in county.yaml in the clear was proven when the file was read,
// by the names that county.SecretKeys lists; the value is revealed when the connector connects, and never printed.
func (d *Decoder) Secret(path string, m map[string]any, key string, into *county.Secret) {
	if !slices.Contains(county.SecretKeys, key) {
		panic("connectors: the setting " + key + " holds a secret and is not in county.SecretKeys")
	}
	var text string
	d.Text(path, m, key, &text)
	if file, ok := strings.CutPrefix(text, "file:"); ok {
		text = "file:" + d.resolve(file)
	}
	*into = county.Secret(text)
}

// Choice reads one of the given words.
func (d *Decoder) Choice(path string, m map[string]any, key string, into *string, words ...string) {
	v, there := m[key]
	if !there {
		return
	}
	word := fmt.Sprint(v)
	if !slices.Contains(words, word) {
		d.Fail(path+"."+key, "write "+strings.Join(words, " or "), "%q is not one of the choices", word)
		return
	}
	*into = word
}

// Bool reads true or false.
func (d *Decoder) Bool(path string, m map[string]any, key string, into *bool) {
	v, there := m[key]
	if !there {
		return
	}
	b, err := strconv.ParseBool(fmt.Sprint(v))
	if err != nil {
		d.Fail(path+"."+key, "write true or false", "is neither true nor false")
		return
	}
	*into = b
}

// Int reads a whole number within bounds, both included.
func (d *Decoder) Int(path string, m map[string]any, key string, into *int, least, most int) {
	v, there := m[key]
	if !there {
		return
	}
	n, err := strconv.Atoi(fmt.Sprint(v))
	if err != nil || n < least || n > most {
		d.Fail(path+"."+key, fmt.Sprintf("write a whole number from %d to %d", least, most), "is not a number that can be used")
		return
	}
	*into = n
}

// Texts reads a list of texts, or a single one.
func (d *Decoder) Texts(path string, m map[string]any, key string, into *[]string) {
	v, there := m[key]
	if !there {
		return
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var out []string
	for _, item := range list {
		s, ok := item.(string)
		if !ok || strings.TrimSpace(s) == "" {
			d.Fail(path+"."+key, "write a text, or a list of texts: [a, b]", "is not a list of texts")
			return
		}
		out = append(out, s)
	}
	*into = out
}

// Maps reads a list of mappings; what is none of them is a mistake, and so is an empty list. example says how one looks.
func (d *Decoder) Maps(path string, m map[string]any, key, example string) (list []map[string]any) {
	items, ok := m[key].([]any)
	if !ok || len(items) == 0 {
		d.Fail(path+"."+key, fmt.Sprintf("write %s: [%s]", key, example), "is not a list")
		return nil
	}
	for i, item := range items {
		entry, ok := item.(map[string]any)
		if !ok {
			d.Fail(fmt.Sprintf("%s.%s[%d]", path, key, i), "write "+example, "is not a mapping")
			continue
		}
		list = append(list, entry)
	}
	return list
}

// Duration reads 200ms, 5s, 2m.
func (d *Decoder) Duration(path string, m map[string]any, key string, into *time.Duration) {
	v, there := m[key]
	if !there {
		return
	}
	parsed, err := time.ParseDuration(fmt.Sprint(v))
	if err != nil || parsed <= 0 {
		d.Fail(path+"."+key, "write a duration such as 200ms, 5s or 2m", "is not a duration")
		return
	}
	*into = parsed
}

// Size reads 16MiB.
func (d *Decoder) Size(path string, m map[string]any, key string, into *int) {
	v, there := m[key]
	if !there {
		return
	}
	b, ok := county.ParseBytes(fmt.Sprint(v))
	if !ok || b < 1<<10 || b > 1<<40 {
		d.Fail(path+"."+key, "write a size of at least 1KiB, such as 16MiB", "is not a size that can be used")
		return
	}
	*into = int(b)
}

// Share reads 50% or 0.5.
func (d *Decoder) Share(path string, m map[string]any, key string, into *float64) {
	v, there := m[key]
	if !there {
		return
	}
	text, percent := strings.CutSuffix(fmt.Sprint(v), "%")
	share, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if percent {
		share /= 100
	}
	if err != nil || !(share >= 0 && share <= 1) {
		d.Fail(path+"."+key, "write a share such as 50% or 0.5", "is not a share between 0 and 1")
		return
	}
	*into = share
}
