package sharing

import (
	"slices"
	"time"

	"github.com/shirecounty/shire/schemas/contract"
)

// The acts about an error that a user of data reports to its owner (校核).
const (
	Report  Act = "report"
	Accept  Act = "accept"
	Correct Act = "correct" // the owner's record has changed in the field; the county's node says so, nobody else
	// Refuse is the owner's other answer.
)

// States of a correction.
const (
	Reported  State = "reported"
	Accepted  State = "accepted"
	Corrected State = "corrected"
	// Refused is the fourth.
)

// CorrectionEvent is one act. It holds nothing personal: what is proposed, and why, is sealed beside it.
type CorrectionEvent struct {
	Correction string
	Act        Act
	At         time.Time
	Department string // who acts

	// Of a report.
	Dataset, Field string
	Record         string // the county's id of the record
	Seen           string // keyed digest of the value that is said to be wrong
	Version        uint64 // of the record that it was seen in
	Owner          string // added by [World.AcceptCorrection]: the department whose dataset it is
}

// ErrorReport is a report of an error as it stands after its events.
type ErrorReport struct {
	ID             string
	From, Owner    string // who reported, and whose dataset it is
	Dataset, Field string
	Record         string
	Seen           string
	Version        uint64
	State          State
	Reported       time.Time // when the owner's clock began
	Since          time.Time // of the state
	Acts           int
}

// AcceptCorrection says whether an act can be done, and completes it. c is the report as it stands, nil when there is none; requests are those
// of the county. The error is a *Refusal.
func (w World) AcceptCorrection(c *ErrorReport, e CorrectionEvent, requests []*Request) (CorrectionEvent, error) {
	switch {
	case c == nil && e.Act != Report:
		return e, refusal("unknown_report", "there is no such report", "没有这条异议")
	case c == nil:
		d := w.Contracts[e.Dataset]
		// Who may not see a field learns nothing of it by reporting, not even whether there is one.
		if d == nil || d.Department == e.Department || !slices.ContainsFunc(requests, func(r *Request) bool { return mayReport(r, d, e) }) {
			return e, refusal("not_granted", "errors are reported of what is granted: your department has no live grant for this field", "只能对已获授权的信息项提出异议：贵部门没有该信息项的有效授权")
		}
		e.Owner = d.Department
		return e, nil
	case e.Act == Report:
		return e, refusal("exists", "this report was made already", "这条异议已经提出")
	case e.Act == Accept || e.Act == Refuse:
		if e.Department != c.Owner {
			return e, refusal("not_owner", "only the owner of the data may answer this report", "只有数源部门可以答复这条异议")
		}
		if c.State != Reported {
			return e, refusal("wrong_state", "the report is %s: it was answered already", "这条异议处于 %s 状态：已经答复过", c.State)
		}
		return e, nil
	case e.Act == Correct:
		if e.Department != contract.OwnDepartment || c.State != Accepted {
			return e, refusal("wrong_state", "a report that is %s cannot be closed as corrected", "处于 %s 状态的异议不能办结为已更正", c.State)
		}
		return e, nil
	}
	return e, refusal("unknown_act", "there is no act %q", "没有 %q 这种操作", string(e.Act))
}

func mayReport(r *Request, d *contract.Dataset, e CorrectionEvent) bool {
	i, there := d.Field(e.Field)
	_, granted := r.Terms.Fields[e.Field]
	return there && granted && fieldType(d, i) != "none" && r.From == e.Department && r.Owner == d.Department && r.Terms.Dataset == e.Dataset && r.Covers(e.At)
}

// FoldCorrection is a report after an event that was accepted; c is nil before the first and is not changed.
func FoldCorrection(c *ErrorReport, e CorrectionEvent) *ErrorReport {
	if c == nil {
		return &ErrorReport{ID: e.Correction, From: e.Department, Owner: e.Owner, Dataset: e.Dataset, Field: e.Field, Record: e.Record,
			Seen: e.Seen, Version: e.Version, State: Reported, Reported: e.At, Since: e.At, Acts: 1}
	}
	next := *c
	next.Since, next.Acts = e.At, c.Acts+1
	next.State = map[Act]State{Accept: Accepted, Refuse: Refused, Correct: Corrected}[e.Act]
	return &next
}
