package portal

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shirecounty/shire/pipeline/identity/review"
	"github.com/shirecounty/shire/schemas/identity"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

const (
	fewItems  = 50
	mostItems = 200

	leastReason = 3 // characters
	mostReason  = 500

	// verdictTimeout is how long a verdict may take through the stream before the portal says that it does not know.
	verdictTimeout = 20 * time.Second
)

func (p *Portal) reviewQueue(w http.ResponseWriter, r *http.Request, _ string) {
	about, ok := aboutOf(w, r.URL.Query().Get("about"))
	if !ok {
		return
	}
	limit := fewItems
	if text := r.URL.Query().Get("limit"); text != "" {
		var err error
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > mostItems {
			badParameter(fmt.Sprintf("limit is a number from 1 to %d.", mostItems)).zh(fmt.Sprintf("limit 须为 1 到 %d 之间的整数。", mostItems)).write(w)
			return
		}
	}
	items, total, err := p.o.Review.Queue(r.Context(), about, limit)
	if err != nil {
		p.reviewFault(w, r, err)
		return
	}
	replyPrivately(w, Queue{Total: total, Items: orEmpty(items)})
}

func (p *Portal) reviewModel(w http.ResponseWriter, r *http.Request, _ string) {
	about, ok := aboutOf(w, r.URL.Query().Get("about"))
	if !ok {
		return
	}
	var model *identity.Model
	if p.o.Models != nil {
		model = p.o.Models(about)
	}
	replyPrivately(w, wording(model))
}

func (p *Portal) reviewCase(w http.ResponseWriter, r *http.Request, reviewer string) {
	about, ok := aboutOf(w, r.URL.Query().Get("about"))
	if !ok {
		return
	}
	a, b, ok := pairOf(w, r.PathValue("a"), r.PathValue("b"))
	if !ok {
		return
	}
	c, err := p.o.Review.Case(r.Context(), about, a, b)
	if errors.Is(err, review.ErrUnknown) {
		unknownPair("There are no two such records. One of them may have been deleted since.", "没有这样两条记录，其中一条可能已被删除。").write(w)
		return
	}
	if err != nil {
		p.reviewFault(w, r, err)
		return
	}
	if err := p.o.Accesses.Record(r.Context(), p.accessTo(c, reviewer)); err != nil {
		p.logFault(r, "an access to personal records could not be written down", err)
		problem(http.StatusServiceUnavailable, codeNotRecorded, "Who looks at personal records is written down first, and the access log cannot be written at the moment. So nothing is shown; try again shortly.").
			zh("查看个人信息必须先留痕，而访问日志暂时写不进去，因此不予显示。请稍后再试。").write(w)
		return
	}
	c.Fields = orEmpty(c.Fields)
	replyPrivately(w, c)
}

// accessTo is what the access log is told of a case before it is shown.
func (p *Portal) accessTo(c *review.Case, reviewer string) Access {
	access := Access{At: p.o.now().UTC(), Caller: reviewCaller, Clerk: reviewer, Purpose: reviewPurpose, Decision: "granted"}
	for _, party := range []pseudonym.ID{c.Left.Party, c.Right.Party} {
		if !party.IsZero() && !slices.Contains(access.Persons, party) {
			access.Persons = append(access.Persons, party)
		}
	}
	for _, f := range c.Fields {
		access.Fields = append(access.Fields, f.Name)
	}
	return access
}

func (p *Portal) decide(w http.ResponseWriter, r *http.Request, reviewer string) {
	var j Judgement
	if !readJSON(w, r, &j) {
		return
	}
	about, ok := aboutOf(w, j.About)
	if !ok {
		return
	}
	a, b, ok := ordered(w, j.A, j.B)
	if !ok {
		return
	}
	if !slices.Contains([]string{review.Same, review.Different, review.Unsure}, j.Decision) {
		badParameter("decision is same, different or unsure.").zh("decision 须为 same、different 或 unsure。").write(w)
		return
	}
	reason := strings.TrimSpace(j.Reason)
	switch n := utf8.RuneCountInString(reason); {
	case n < leastReason && (j.Decision != review.Unsure || n > 0):
		badParameter("The reason is too short: say in at least three characters what decided.").zh("理由太短：请至少用三个字说明依据。").write(w)
		return
	case n > mostReason:
		badParameter(fmt.Sprintf("The reason is longer than %d characters.", mostReason)).zh(fmt.Sprintf("理由超过了 %d 个字。", mostReason)).write(w)
		return
	}
	// Whoever closes the page after handing a verdict in has handed it in.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), verdictTimeout)
	defer cancel()
	err := p.o.Review.Decide(ctx, review.Verdict{About: about, A: a, B: b, Decision: j.Decision, Reviewer: reviewer, Reason: reason, At: p.o.now().UTC()})
	p.settled(w, r, err)
}

func (p *Portal) withdraw(w http.ResponseWriter, r *http.Request, reviewer string) {
	about, ok := aboutOf(w, r.PathValue("about"))
	if !ok {
		return
	}
	a, b, ok := pairOf(w, r.PathValue("a"), r.PathValue("b"))
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), verdictTimeout)
	defer cancel()
	p.settled(w, r, p.o.Review.Withdraw(ctx, about, a, b, reviewer))
}

// settled answers a verdict or a withdrawal.
func (p *Portal) settled(w http.ResponseWriter, r *http.Request, err error) {
	var contradiction *review.Contradiction
	var mistake *review.Mistake
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.As(err, &contradiction):
		problem(http.StatusConflict, codeContradiction, contradiction.Message).
			zh("这一结论与先前的结论相抵触：" + cmp.Or(contradiction.ZH, contradiction.Message)).write(w)
	case errors.As(err, &mistake):
		badParameter(mistake.Message).zh("提交的结论不完整或不符合要求，请核对后重试。").write(w)
	case errors.Is(err, review.ErrUnknown):
		unknownPair("There is no such pair, or no verdict on it. Read it again.", "没有这样一对记录，或者对它没有结论。请重新读取。").write(w)
	case errors.Is(err, context.DeadlineExceeded):
		p.logFault(r, "a verdict was handed in and has not come back in time", err)
		problem(http.StatusServiceUnavailable, codeUncertain, "It is not certain yet whether this holds: the data flow has not answered in time. Read the pair again before giving a verdict once more.").
			zh("数据流没有及时应答，尚不确定是否已经生效。请重新读取这一对记录，再决定是否重新提交。").write(w)
	default:
		p.reviewFault(w, r, err)
	}
}

func aboutOf(w http.ResponseWriter, text string) (string, bool) {
	if text == "" {
		return abouts[0], true
	}
	if !slices.Contains(abouts, text) {
		badParameter("about is person or organisation.").zh("about 须为 person 或 organisation。").write(w)
		return "", false
	}
	return text, true
}

func pairOf(w http.ResponseWriter, x, y string) (a, b pseudonym.ID, ok bool) {
	a, errA := pseudonym.Parse(x)
	b, errB := pseudonym.Parse(y)
	if errA != nil || errB != nil {
		// What was written is not repeated: it may be anything (I7).
		badParameter("A record is named by its id, such as 01234567-89ab-8def-8123-456789abcdef.").
			zh("记录须用其编号表示，例如 01234567-89ab-8def-8123-456789abcdef。").write(w)
		return a, b, false
	}
	return ordered(w, a, b)
}

// ordered puts a pair into the order in which it is known.
func ordered(w http.ResponseWriter, a, b pseudonym.ID) (pseudonym.ID, pseudonym.ID, bool) {
	switch order := bytes.Compare(a[:], b[:]); {
	case order == 0 || a.IsZero() || b.IsZero():
		badParameter("A pair is of two different records.").zh("一对记录须是两条不同的记录。").write(w)
		return a, b, false
	case order > 0:
		a, b = b, a
	}
	return a, b, true
}

func unknownPair(detail, zh string) *Problem {
	return problem(http.StatusNotFound, codeUnknownPair, detail).zh(zh)
}

// reviewFault is the answer to a fault behind the review.
func (p *Portal) reviewFault(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // the client went away
	}
	p.logFault(r, "the review cannot answer", err)
	problem(http.StatusServiceUnavailable, codeUnavailable, "The review cannot be read at the moment. Try again shortly; /readyz says what is missing.").
		zh("暂时读不到核对数据，请稍后再试；/readyz 会说明缺什么。").write(w)
}

// logFault logs of what sort a fault is, and no more: its text comes from where personal values are handled (I7).
func (p *Portal) logFault(r *http.Request, what string, err error) {
	sort := fmt.Sprintf("%T", err)
	for e := errors.Unwrap(err); e != nil; e = errors.Unwrap(e) {
		sort += fmt.Sprintf(" of %T", e)
	}
	p.log.Error(what, "route", routeOf(r), "fault", sort)
}

// replyPrivately writes a value that no cache may keep, and of which no ETag may tell.
func replyPrivately(w http.ResponseWriter, v any) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(err) // the types of replies are ours and can be encoded
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(body.Bytes())
}
