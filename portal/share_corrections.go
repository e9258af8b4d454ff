package portal

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/portal/callers"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// Corrections is where departments report errors in each other's data (校核). Its errors are *sharing.Refusal where something may not be
// done.
type Corrections interface {
	Report(ctx context.Context, r pipeline.Report) (*sharing.ErrorReport, error)
	Answer(ctx context.Context, id, department, clerk string, accept bool, reason string) (*sharing.ErrorReport, error)
	List(ctx context.Context, department string, today time.Time) ([]pipeline.Listed, error)
	Read(ctx context.Context, id, department, clerk string) ([]pipeline.Said, error)
}

// CorrectionReport is an error that the caller found.
type CorrectionReport struct {
	Dataset  string       `json:"dataset"`
	Field    string       `json:"field" jsonschema:"description=The contract's name of the field"`
	Record   pseudonym.ID `json:"record" jsonschema:"description=The record's id\\, as an answer of this interface has it"`
	Proposed string       `json:"proposed,omitempty" jsonschema:"description=What the value should be"`
	Note     string       `json:"note,omitempty" jsonschema:"description=What is wrong; this or proposed"`
}

// CorrectionAnswer is the owner's.
type CorrectionAnswer struct {
	Accept bool   `json:"accept"`
	Reason string `json:"reason,omitempty" jsonschema:"description=Required where it is refused"`
}

// CorrectionState is how a report stands. What was said is not part of it.
type CorrectionState struct {
	ID         string    `json:"id"`
	From       string    `json:"from"`
	Owner      string    `json:"owner"`
	Dataset    string    `json:"dataset"`
	Field      string    `json:"field"`
	Record     string    `json:"record"`
	State      string    `json:"state" jsonschema:"enum=reported,enum=accepted,enum=refused,enum=corrected"`
	ReportedAt time.Time `json:"reported_at"`
	Since      time.Time `json:"since"`
	Due        string    `json:"due,omitempty" jsonschema:"description=Last day for the owner's answer\\, while it is waited for"`
	Overdue    bool      `json:"overdue"`
	Days       int       `json:"days,omitempty" jsonschema:"description=The limit in working days"`
	Rule       string    `json:"rule,omitempty" jsonschema:"description=Who sets the limit"`
}

// CorrectionSaid is what was said about an error, act by act.
type CorrectionSaid struct {
	Said []pipeline.Said `json:"said"`
}

func correctionState(l pipeline.Listed) CorrectionState {
	out := CorrectionState{ID: l.ID, From: l.From, Owner: l.Owner, Dataset: l.Dataset, Field: l.Field, Record: l.Record, State: string(l.State),
		ReportedAt: l.Reported, Since: l.Since, Overdue: l.Overdue}
	if d := l.Deadline; d != nil {
		out.Due, out.Days, out.Rule = d.Due.String(), d.Days, d.Source
	}
	return out
}

func (s *share) correctionRoutes() []route {
	if s.o.Corrections == nil {
		return nil
	}
	clerk := parameter{Name: clerkHeader, In: "header", Description: "The acting clerk, by the name that the department gives them; percent-encoded behind UTF-8'' where a program cannot send UTF-8"}
	id := parameter{Name: "id", In: "path", Pattern: `^[0-9a-f-]{36}$`, Description: "The report's id"}
	return []route{
		{
			Method: http.MethodPost, Path: "/api/v1/corrections", ID: "correctionReport", Summary: "Report an error in data that was granted, to its owner",
			Parameters: []parameter{clerk}, Body: CorrectionReport{}, Result: CorrectionState{}, Problems: shareProblems, Door: clientDoor, handle: s.client("correction", s.reportError),
		},
		{
			Path: "/api/v1/corrections", ID: "corrections", Summary: "Reports that the caller's department made, and those made to it, with the owner's clock",
			Result: []CorrectionState{}, Problems: shareProblems, Door: clientDoor, handle: s.client("corrections", s.listErrors),
		},
		{
			Path: "/api/v1/corrections/{id}", ID: "correction", Summary: "What was said about an error, for the two departments", Parameters: []parameter{id, clerk},
			Result: CorrectionSaid{}, Problems: shareProblems, Door: clientDoor, handle: s.client("correction_read", s.readError),
		},
		{
			Method: http.MethodPost, Path: "/api/v1/corrections/{id}/answer", ID: "correctionAnswer", Summary: "Accept a report, or refuse it with a reason: the owner of the data alone",
			Parameters: []parameter{id, clerk}, Body: CorrectionAnswer{}, Result: CorrectionState{}, Problems: shareProblems, Door: clientDoor, handle: s.client("correction_answer", s.answerError),
		},
	}
}

// refusedCorrection is what corrections refuse, in the words of the interface.
func refusedCorrection(err error) error {
	var no *sharing.Refusal
	if !errors.As(err, &no) {
		return err
	}
	answer := problem(http.StatusUnprocessableEntity, codeRefused, sentenceOf(no.Text, ".")).zh(sentenceOf(no.Zh, "。"))
	answer.Errors = []string{no.Code}
	return answer
}

func (s *share) reportError(r *http.Request, c callers.Caller) (any, error) {
	if _, _, err := question(r, nil, ""); err != nil {
		return nil, err
	}
	var q CorrectionReport
	if err := readShareBody(r, &q); err != nil {
		return nil, err
	}
	who, err := reader(r, c)
	if err != nil {
		return nil, err
	}
	one, err := s.o.Corrections.Report(r.Context(), pipeline.Report{Department: c.Department, Clerk: who.Clerk, Dataset: q.Dataset, Field: q.Field, Record: q.Record,
		Said: pipeline.Said{Proposed: q.Proposed, Note: q.Note}})
	if err != nil {
		return nil, refusedCorrection(err)
	}
	return correctionState(pipeline.Listed{ErrorReport: *one}), nil
}

func (s *share) listErrors(r *http.Request, c callers.Caller) (any, error) {
	if _, _, err := question(r, nil, ""); err != nil {
		return nil, err
	}
	list, err := s.o.Corrections.List(r.Context(), c.Department, s.now())
	if err != nil {
		return nil, err
	}
	out := []CorrectionState{}
	for _, l := range list {
		out = append(out, correctionState(l))
	}
	return out, nil
}

func (s *share) readError(r *http.Request, c callers.Caller) (any, error) {
	at, _, err := question(r, []string{"id"}, "")
	if err != nil {
		return nil, err
	}
	who, err := reader(r, c)
	if err != nil {
		return nil, err
	}
	said, err := s.o.Corrections.Read(r.Context(), at["id"], c.Department, who.Clerk)
	if err != nil {
		return nil, refusedCorrection(err)
	}
	return CorrectionSaid{said}, nil
}

func (s *share) answerError(r *http.Request, c callers.Caller) (any, error) {
	at, _, err := question(r, []string{"id"}, "")
	if err != nil {
		return nil, err
	}
	var q CorrectionAnswer
	if err := readShareBody(r, &q); err != nil {
		return nil, err
	}
	who, err := reader(r, c)
	if err != nil {
		return nil, err
	}
	one, err := s.o.Corrections.Answer(r.Context(), at["id"], c.Department, who.Clerk, q.Accept, q.Reason)
	if err != nil {
		return nil, refusedCorrection(err)
	}
	return correctionState(pipeline.Listed{ErrorReport: *one}), nil
}
