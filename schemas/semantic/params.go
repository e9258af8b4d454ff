package semantic

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Params are the parameters of a type as a YAML or JSON decoder gives them: strings, booleans, numbers, lists, maps.
type Params map[string]any

// arguments reads parameters and keeps the first error, so that a build function reads straight down.
type arguments struct {
	params Params
	err    error
}

func (a *arguments) fail(name, format string, args ...any) {
	if a.err == nil {
		a.err = fmt.Errorf("parameter %s: %s", name, fmt.Sprintf(format, args...))
	}
}

// text returns a string parameter, or the fallback.
func (a *arguments) text(name, fallback string) string {
	v, given := a.params[name]
	if !given || v == nil {
		return fallback
	}
	s, ok := v.(string)
	if !ok {
		a.fail(name, "want a text, have %v; put it in quotes", v)
		return fallback
	}
	return s
}

// choice returns a string parameter that must be one of values; the first of them is the default.
func (a *arguments) choice(name string, values ...string) string {
	s := a.text(name, values[0])
	if !slices.Contains(values, s) {
		a.fail(name, "want one of %s, have %q", strings.Join(values, ", "), s)
	}
	return s
}

// flag returns a boolean parameter, false by default.
func (a *arguments) flag(name string) bool {
	v, given := a.params[name]
	if !given || v == nil {
		return false
	}
	b, ok := v.(bool)
	if !ok {
		a.fail(name, "want true or false, have %v", v)
	}
	return b
}

// integer returns an integer parameter within [low, high], or the fallback.
func (a *arguments) integer(name string, fallback, low, high int64) int64 {
	v, given := a.params[name]
	if !given || v == nil {
		return fallback
	}
	var n int64
	switch x := v.(type) { // what YAML and JSON decoders produce for a number
	case int:
		n = int64(x)
	case int64:
		n = x
	case uint64:
		if x > math.MaxInt64 {
			a.fail(name, "%d is too large", x)
			return fallback
		}
		n = int64(x)
	case float64:
		if x != math.Trunc(x) || math.Abs(x) > 1<<53 {
			a.fail(name, "want a whole number, have %v", x)
			return fallback
		}
		n = int64(x)
	default:
		a.fail(name, "want a whole number, have %v", v)
		return fallback
	}
	if n < low || n > high {
		a.fail(name, "want a number from %d to %d, have %d", low, high, n)
		return fallback
	}
	return n
}

// words returns a list of texts, or the fallback. Numbers and booleans in the list stand for their usual text.
func (a *arguments) words(name string, fallback ...string) []string {
	v, given := a.params[name]
	if !given || v == nil {
		return fallback
	}
	if typed, ok := v.([]string); ok {
		return typed
	}
	list, ok := v.([]any)
	if !ok {
		a.fail(name, "want a list such as [a, b], have %v", v)
		return fallback
	}
	out := make([]string, len(list))
	for i, item := range list {
		out[i] = a.scalar(name, item)
	}
	return out
}

// table returns a map from text to text; it must not be empty.
func (a *arguments) table(name string) map[string]string {
	out := map[string]string{}
	switch m := a.params[name].(type) {
	case map[string]string:
		maps.Copy(out, m)
	case map[string]any:
		for k, v := range m {
			out[k] = a.scalar(name, v)
		}
	case map[any]any:
		for k, v := range m {
			out[a.scalar(name, k)] = a.scalar(name, v)
		}
	case nil:
	default:
		a.fail(name, "want a map such as {男: male, 女: female}, have %v", m)
		return out
	}
	if len(out) == 0 {
		a.fail(name, "a code table with at least one line is needed, such as {男: male, 女: female}")
	}
	return out
}

func (a *arguments) scalar(name string, v any) string {
	switch x := v.(type) {
	case string:
		return x
	case bool:
		return strconv.FormatBool(x)
	case int, int64, uint64:
		return fmt.Sprint(x)
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	a.fail(name, "want a text, have %v; put it in quotes", v)
	return ""
}

func sortedKeys[M ~map[K]V, K cmp.Ordered, V any](m M) []K { return slices.Sorted(maps.Keys(m)) }
