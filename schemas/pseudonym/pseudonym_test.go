package pseudonym_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/shirecounty/shire/schemas/pseudonym"
)

func hasher(t testing.TB, key string) *pseudonym.Hasher {
	t.Helper()
	h, err := pseudonym.New([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

var (
	keyA = strings.Repeat("a", pseudonym.MinKey)
	keyB = strings.Repeat("b", pseudonym.MinKey)
)

func TestShortKeyIsRefused(t *testing.T) {
	if _, err := pseudonym.New(make([]byte, pseudonym.MinKey-1)); err == nil {
		t.Fatal("a short key was taken")
	}
}

// An id says where and what, and nothing to who lacks the key (I7).
func TestSameOnlyForTheSame(t *testing.T) {
	h, other := hasher(t, keyA), hasher(t, keyB)
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "\x1f", "a\x1fb", "a", "b", "\x00", "\x01a"}))
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.SliceOfN(text, 0, 3).Draw(t, "a"), rapid.SliceOfN(text, 0, 3).Draw(t, "b")
		space := rapid.SampledFrom([]string{"person/number", "record/cases"}).Draw(t, "space")
		if (h.ID(space, a...) == h.ID(space, b...)) != slices.Equal(a, b) {
			t.Fatalf("%q and %q: same id or not, against expectation", a, b)
		}
		if h.ID("person/number", a...) == h.ID("record/cases", a...) {
			t.Fatal("two spaces share an id")
		}
		if h.ID(space, a...) == other.ID(space, a...) {
			t.Fatal("two keys give the same id")
		}
		if h.Clone().ID(space, a...) != h.ID(space, a...) || h.Clone().Text(space, a...) != h.Text(space, a...) {
			t.Fatal("a clone says otherwise")
		}
	})
}

func TestShape(t *testing.T) {
	h := hasher(t, keyA)
	id := h.ID("s", "x")
	if u := uuid.UUID(id); u.Version() != 8 || u.Variant() != uuid.RFC4122 {
		t.Errorf("%v is no UUID of version 8", u)
	}
	if id.IsZero() || !(pseudonym.ID{}).IsZero() {
		t.Error("the zero id is the one that means none, and only that")
	}
	if s := h.Text("s", "x"); len(s) != 24 || strings.Trim(s, "0123456789abcdef") != "" {
		t.Errorf("%q is not 24 hexadecimal digits", s)
	}
}

// Ids are durable: a change of the algorithm would part every county from its own past.
func TestIDsStayWhatTheyAre(t *testing.T) {
	h := hasher(t, keyA)
	if got, want := uuid.UUID(h.ID("person/number", "11010519491231002X")).String(), goldenID; got != want {
		t.Errorf("the id is %s, it was %s", got, want)
	}
	if got, want := h.Text("case_steps.handler", "王", "3"), goldenText; got != want {
		t.Errorf("the pseudonym is %s, it was %s", got, want)
	}
}

func TestIDDoesNotHoldTheValue(t *testing.T) {
	id := hasher(t, keyA).ID("s", "0123456789abcdef")
	if bytes.Contains([]byte("0123456789abcdef"), id[:4]) {
		t.Error("the id shows what it is made of")
	}
}

const goldenID, goldenText = "8a0a76b6-514c-85a9-ab09-68236f9b5486", "d2e1a694991e844eb1f42c19"
