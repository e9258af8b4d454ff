package review

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Lengths of what stands in a verdict, in characters: the contract of the verdicts takes no more.
const (
	MostReviewer = 100
	MostReason   = 2000
)

// InOrder is the verdict with its records in order, so that a pair has one key, and without what was only typed around its
// texts.
func (v Verdict) InOrder() Verdict {
	if bytes.Compare(v.A[:], v.B[:]) > 0 {
		v.A, v.B = v.B, v.A
	}
	v.Reason, v.Reviewer = strings.TrimSpace(v.Reason), strings.TrimSpace(v.Reviewer)
	return v
}

// Prove tells what a verdict lacks. The error is a *Mistake.
func (v Verdict) Prove() error {
	v = v.InOrder()
	mistake := func(format string, args ...any) error { return &Mistake{fmt.Sprintf(format, args...)} }
	switch {
	case v.A == v.B:
		return mistake("a verdict is on two records, and these are one")
	case !slices.Contains([]string{Same, Different, Unsure}, v.Decision):
		return mistake("a verdict is same, different or unsure, and not %q", v.Decision)
	case v.Reviewer == "":
		return mistake("a verdict needs the name of who decides")
	case utf8.RuneCountInString(v.Reviewer) > MostReviewer:
		return mistake("the name of who decides is longer than %d characters", MostReviewer)
	case v.Reason == "" && v.Decision != Unsure:
		return mistake("a verdict needs a reason: say what decided")
	case utf8.RuneCountInString(v.Reason) > MostReason:
		return mistake("the reason is longer than %d characters", MostReason)
	case v.At.IsZero():
		return mistake("a verdict needs the moment at which it was made")
	}
	return nil
}
