package portal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/shirecounty/shire/schemas/sharing"
)

// Asking is what a department asks for.
type Asking struct {
	Terms  sharing.Terms `json:"terms"`
	Reason string        `json:"reason,omitempty" jsonschema:"description=Why it is needed; up to 2000 characters"`
}

// Acting is what a department does about a request.
type Acting struct {
	Act    sharing.Act    `json:"act" jsonschema:"enum=give_back,enum=resubmit,enum=approve,enum=refuse,enum=withdraw,enum=deliver,enum=suspend,enum=resume,enum=revoke,enum=review"`
	Terms  *sharing.Terms `json:"terms,omitempty" jsonschema:"description=Of resubmit; and of approve: what is granted\\, in full\\, so that nobody grants what somebody else has changed meanwhile"`
	Reason string         `json:"reason,omitempty" jsonschema:"description=Of give_back, refuse, suspend and revoke; up to 2000 characters"`
	Ground string         `json:"ground,omitempty" jsonschema:"description=Legal ground of a refusal"`
}

const (
	mostWords     = 2000 // characters
	mostTermItems = 200
)

var (
	itemCode     = regexp.MustCompile(`^[0-9A-Za-z_.:-]{1,64}$`)
	divisionCode = regexp.MustCompile(`^[0-9]{2,12}$`)
)

func (d *requestsDesk) submit(w http.ResponseWriter, r *http.Request, who officer) {
	var asking Asking
	if !readJSONUpTo(w, r, &asking, mostTerms) || !d.wordsFit(w, asking.Reason) || !d.termsAreCodes(w, asking.Terms) {
		return
	}
	now := d.p.o.now()
	id := "R" + now.In(d.p.zone).Format("20060102") + "-" + rand.Text()[:8]
	d.do(w, r, who, sharing.Event{Request: id, Act: sharing.Submit, Terms: &asking.Terms, Reason: strings.TrimSpace(asking.Reason)})
}

func (d *requestsDesk) act(w http.ResponseWriter, r *http.Request, who officer) {
	var acting Acting
	if !readJSONUpTo(w, r, &acting, mostTerms) || !d.wordsFit(w, acting.Reason, acting.Ground) {
		return
	}
	if !slices.Contains(sharing.Acts, acting.Act) || acting.Act == sharing.Submit {
		badParameter("act is give_back, resubmit, approve, refuse, withdraw, deliver, suspend, resume, revoke or review.").zh("act 不是可执行的操作。").write(w)
		return
	}
	withTerms := acting.Act == sharing.Resubmit || acting.Act == sharing.Approve
	if withTerms != (acting.Terms != nil) {
		problem(http.StatusBadRequest, codeBadTerms, "resubmit and approve bring the terms in full, and no other act does.").zh("重新提交和同意须附完整的范围，其他操作不附。").write(w)
		return
	}
	q, ok := d.find(w, r, who)
	if !ok || withTerms && !d.termsAreCodes(w, *acting.Terms) {
		return
	}
	d.do(w, r, who, sharing.Event{Request: q.ID, Act: acting.Act, Terms: acting.Terms, Reason: strings.TrimSpace(acting.Reason), Ground: strings.TrimSpace(acting.Ground)})
}

// do does an act. Whoever closes the page after giving it has given it.
func (d *requestsDesk) do(w http.ResponseWriter, r *http.Request, who officer, e sharing.Event) {
	ctx, cancel := ordering(r)
	defer cancel()
	e.At, e.Department = d.p.o.now(), who.department
	q, err := d.o.Exchange.Do(ctx, e, who.name)
	var refused *sharing.Refusal
	switch {
	case errors.As(err, &refused):
		status, code := http.StatusConflict, codeRefusedAct
		if refused.Code == codeBadTerms {
			status, code = http.StatusBadRequest, codeBadTerms
		}
		answer := problem(status, code, sentenceOf(refused.Text, ".")).zh(sentenceOf(refused.Zh, "。"))
		answer.Errors = []string{refused.Code}
		answer.write(w)
		return
	case errors.Is(err, context.DeadlineExceeded):
		d.p.log.Error("an act about a request has not come back in time", "route", routeOf(r), "error", err)
		problem(http.StatusServiceUnavailable, codeUncertain, "It is not certain yet whether this holds: the bus has not answered in time. Read the request again before doing it once more.").
			zh("消息总线没有及时应答，尚不确定是否已经生效。请重新读取该申请，再决定是否重做。").write(w)
		return
	case err != nil:
		d.fault(w, r, err)
		return
	}
	shown, err := d.shown(q, who.department)
	if err != nil {
		d.fault(w, r, err)
		return
	}
	replyPrivately(w, shown)
}

// sentenceOf gives a clause its capital letter and its stop.
func sentenceOf(clause, stop string) string {
	first, size := utf8.DecodeRuneInString(clause)
	if first >= 'a' && first <= 'z' {
		clause = string(first-'a'+'A') + clause[size:]
	}
	return clause + stop
}

func (d *requestsDesk) wordsFit(w http.ResponseWriter, words ...string) bool {
	for _, s := range words {
		if utf8.RuneCountInString(s) > mostWords {
			badParameter(fmt.Sprintf("Reason and ground have at most %d characters each.", mostWords)).zh(fmt.Sprintf("理由和依据各不超过 %d 字。", mostWords)).write(w)
			return false
		}
	}
	return true
}

// termsAreCodes lets terms through that hold nothing but codes that the county knows, and codes of items and divisions: a refusal
// may name them, and they go to tables that analysts read (I7).
func (d *requestsDesk) termsAreCodes(w http.ResponseWriter, t sharing.Terms) bool {
	world := d.o.World()
	bad := func(detail, zh string) bool {
		problem(http.StatusBadRequest, codeBadTerms, detail).zh(zh).write(w)
		return false
	}
	dataset := world.Contracts[t.Dataset]
	if dataset == nil {
		return bad("The catalogue has no such dataset; /api/v1/catalogue lists them.", "目录中没有这个目录项，/api/v1/catalogue 列出全部。")
	}
	for name, mask := range t.Fields {
		if _, ok := dataset.Field(name); !ok || !slices.Contains(sharing.Masks, mask) {
			return bad("A field is not of this dataset, or there is no such mask.", "有信息项不属于该目录项，或没有这种脱敏方式。")
		}
	}
	if !slices.Contains(world.Purposes, t.Purpose) {
		return bad("The county knows no such purpose; /api/v1/officers/desk lists them.", "本县没有这个用途，/api/v1/officers/desk 列出全部。")
	}
	if len(t.Items) > mostTermItems || len(t.Rows.Divisions) > mostTermItems || slices.ContainsFunc(t.Items, func(s string) bool { return !itemCode.MatchString(s) }) ||
		slices.ContainsFunc(t.Rows.Divisions, func(s string) bool { return !divisionCode.MatchString(s) }) {
		return bad("Service items are given by their codes, letters, digits and _.:- only, and divisions by their digits; at most 200 of each.", "事项用实施编码表示，行政区划用数字代码表示，各不超过 200 个。")
	}
	return true
}

func (d *requestsDesk) fault(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // the client went away
	}
	d.p.log.Error("requests for data cannot be read or written", "route", routeOf(r), "error", err)
	problem(http.StatusServiceUnavailable, codeUnavailable, "Requests cannot be read or written at the moment. Try again shortly; /readyz says what is missing.").
		zh("暂时无法读写共享申请，请稍后再试；/readyz 会说明缺什么。").write(w)
}

// noRequests answers where no requests are taken.
func noRequests(w http.ResponseWriter, _ *http.Request) {
	problem(http.StatusNotFound, codeRequestsOff, "This portal takes no requests for data.").zh("本门户不受理共享申请。").write(w)
}

// pageOf reads which part of a list is wanted.
func pageOf(w http.ResponseWriter, from, count string, few, most int) (offset, limit int, ok bool) {
	limit = few
	var err error
	if from != "" {
		if offset, err = strconv.Atoi(from); err != nil || offset < 0 || offset > mostOffset {
			badParameter(fmt.Sprintf("offset is a number from 0 to %d.", mostOffset)).zh(fmt.Sprintf("offset 须为 0 到 %d 之间的整数。", mostOffset)).write(w)
			return 0, 0, false
		}
	}
	if count != "" {
		if limit, err = strconv.Atoi(count); err != nil || limit < 1 || limit > most {
			badParameter(fmt.Sprintf("limit is a number from 1 to %d.", most)).zh(fmt.Sprintf("limit 须为 1 到 %d 之间的整数。", most)).write(w)
			return 0, 0, false
		}
	}
	return offset, limit, true
}
