package portal

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// The supervisor looks into the log of accesses. What it holds are pseudonyms, and still it tells who was looked at when; so
// a search is itself an access, and is written down before its answer is shown (I8).

// AccessLog is the log, for searching.
type AccessLog interface {
	// Search gives the newest accesses that a query chooses, and whether there are more.
	Search(ctx context.Context, q AccessQuery) (list []LoggedAccess, more bool, err error)
}

// AccessQuery chooses accesses; what is empty chooses all.
type AccessQuery struct {
	Person     pseudonym.ID
	Caller     string
	Department string // that handles the case which was named
	Case       string
	Decision   string
	From       time.Time
	Until      time.Time // exclusive
	Offset     int
	Limit      int
}

// LoggedAccess is an entry of the log.
type LoggedAccess struct {
	Sequence   uint64       `json:"sequence"`
	At         time.Time    `json:"at"`
	Caller     string       `json:"caller" jsonschema:"description=The system that asked"`
	Clerk      string       `json:"clerk" jsonschema:"description=Pseudonym of the official for whom it asked"`
	Purpose    string       `json:"purpose"`
	Item       string       `json:"item"`
	Case       string       `json:"case"`
	Department string       `json:"department" jsonschema:"description=That handles the case; empty when no case was named or it is not known"`
	Person     pseudonym.ID `json:"person" jsonschema:"description=Zero when none was found"`
	Fields     []string     `json:"fields"`
	Decision   string       `json:"decision"`
	Reason     string       `json:"reason"`
}

// AccessPage is some of the accesses, the newest first.
type AccessPage struct {
	Items []LoggedAccess `json:"items"`
	More  bool           `json:"more" jsonschema:"description=There are more after these"`
}

// AccessSearch is what a supervisor looks for. It comes in a body: who was looked for stands in no address and no proxy's log.
type AccessSearch struct {
	Person     string     `json:"person,omitempty" jsonschema:"description=Pseudonym of a person\\, a UUID"`
	Caller     string     `json:"caller,omitempty"`
	Department string     `json:"department,omitempty"`
	Case       string     `json:"case,omitempty"`
	Decision   string     `json:"decision,omitempty" jsonschema:"enum=granted,enum=refused,enum=used,enum=declined,enum=stopped,enum=lifted"`
	From       *time.Time `json:"from,omitempty"`
	Until      *time.Time `json:"until,omitempty" jsonschema:"description=Exclusive"`
	Offset     int        `json:"offset,omitempty"`
	Limit      int        `json:"limit,omitempty" jsonschema:"description=1 to 200; 50 when left out"`
}

// SupervisionOptions are what the supervisor's page is made from; all are required, and Options.Accesses with them.
type SupervisionOptions struct {
	Log         AccessLog
	Supervisors Accounts
}

const (
	supervisionHeader  = "X-Shire-Supervision"
	supervisionCookie  = "shire_supervisor"
	supervisionPath    = "/api/v1/supervision"
	supervisionCaller  = "portal/supervision"
	supervisionPurpose = "supervision of accesses"

	fewAccesses  = 50
	mostAccesses = 200
	mostFilter   = 100 // characters
)

// decisions are those that the log has: of reads, of materials of prefills, and of clients that ask for too many.
var decisions = []string{disclosure.Granted, disclosure.Refused, disclosure.Used, disclosure.Declined, "stopped", "lifted"}

func (p *Portal) supervisionDoor() *door {
	return p.door(door{
		to: "the supervision of accesses", accounts: p.o.Supervision.Supervisors, cookie: supervisionCookie, path: supervisionPath, header: supervisionHeader, session: supervisionPath + "/session", page: "/supervision", right: county.MaySupervise,
		closed: sentence{"Sign in first: who looked at whose records is for named supervisors alone.", "请先登录：访问记录只对具名的监督人员开放。"},
		unknown: sentence{"It cannot be told who may supervise: the file of supervisors cannot be read. The log of the node says why.",
			"读不到监督人员名单，无法确认身份。节点日志中有原因。"},
	})
}

func (p *Portal) supervisionRoutes(d *door) []route {
	mark := parameter{Name: supervisionHeader, In: "header", Enum: []string{"1"}, Description: "No other site can make a browser send it"}
	return []route{
		{
			Path: supervisionPath + "/session", ID: "supervisor", Summary: "Who has signed in to supervise accesses",
			Result: Session{}, Problems: []int{401, 503}, Door: d.cookie, handle: d.signedIn(passive, d.whoIsIn),
		},
		{
			Method: http.MethodPost, Path: supervisionPath + "/session", ID: "supervisorSignIn", Summary: "Sign in as a supervisor; the session comes as a cookie",
			Parameters: []parameter{mark}, Body: Credentials{}, Result: Session{}, Problems: []int{400, 401, 403, 415, 429, 503}, handle: d.fromOwnPage(d.signIn),
		},
		{
			Method: http.MethodDelete, Path: supervisionPath + "/session", ID: "supervisorSignOut", Summary: "Signed out",
			Parameters: []parameter{mark}, NoContent: true, Problems: []int{403}, handle: d.fromOwnPage(d.signOut),
		},
		{
			Method: http.MethodPost, Path: supervisionPath + "/accesses", ID: "searchAccesses", Summary: "Who looked at whose records, the newest first; the search is written to the log as well",
			Parameters: []parameter{mark}, Body: AccessSearch{}, Result: AccessPage{}, Problems: []int{400, 401, 403, 415, 503}, Door: d.cookie,
			handle: d.fromOwnPage(d.signedIn(active, p.searchAccesses)),
		},
	}
}

func (p *Portal) searchAccesses(w http.ResponseWriter, r *http.Request, supervisor string) {
	var s AccessSearch
	if !readJSON(w, r, &s) {
		return
	}
	q, ok := s.query(w)
	if !ok {
		return
	}
	list, more, err := p.o.Supervision.Log.Search(r.Context(), q)
	if err != nil {
		p.unavailable(w, r, "The log of accesses", err)
		return
	}
	access := Access{At: p.o.now().UTC(), Caller: supervisionCaller, Clerk: supervisor, Purpose: supervisionPurpose, Decision: "granted"}
	for _, a := range list {
		if !a.Person.IsZero() && !slices.Contains(access.Persons, a.Person) {
			access.Persons = append(access.Persons, a.Person)
		}
	}
	if !q.Person.IsZero() && len(access.Persons) == 0 {
		access.Persons = append(access.Persons, q.Person) // that there is nothing is an answer too
	}
	access.Fields = []string{"accesses"}
	if err := p.o.Accesses.Record(r.Context(), access); err != nil { // I8: before a byte leaves
		p.logFault(r, "a search of the log of accesses could not be written down", err)
		problem(http.StatusServiceUnavailable, codeNotRecorded, "Who looks into the log of accesses is written down first, and the log cannot be written at the moment. So nothing is shown; try again shortly.").
			zh("查询访问记录必须先留痕，而访问日志暂时写不进去，因此不予显示。请稍后再试。").write(w)
		return
	}
	replyPrivately(w, AccessPage{Items: orEmpty(list), More: more})
}

func (s AccessSearch) query(w http.ResponseWriter) (q AccessQuery, ok bool) {
	bad := func(detail, zh string) (AccessQuery, bool) {
		badParameter(detail).zh(zh).write(w)
		return AccessQuery{}, false
	}
	q = AccessQuery{Caller: s.Caller, Department: s.Department, Case: s.Case, Decision: s.Decision, Offset: s.Offset, Limit: s.Limit}
	if s.Person != "" {
		id, err := pseudonym.Parse(s.Person)
		if err != nil || id.IsZero() {
			// What was written is not repeated: it may be a number or a name (I7).
			return bad("A person is named by its pseudonym, such as 01234567-89ab-8def-8123-456789abcdef.", "人员须用其假名编号表示，例如 01234567-89ab-8def-8123-456789abcdef。")
		}
		q.Person = id
	}
	for _, text := range []string{s.Caller, s.Department, s.Case} {
		if utf8.RuneCountInString(text) > mostFilter {
			return bad("Caller, department and case have at most 100 characters.", "调用方、部门、办件编号各不超过 100 个字符。")
		}
	}
	if s.Decision != "" && !slices.Contains(decisions, s.Decision) {
		return bad("decision is one of "+strings.Join(decisions, ", ")+".", "decision 须为 "+strings.Join(decisions, "、")+" 之一。")
	}
	if s.From != nil {
		q.From = *s.From
	}
	if s.Until != nil {
		q.Until = *s.Until
	}
	if !q.Until.IsZero() && !q.From.Before(q.Until) {
		return bad("The stretch ends before it begins.", "结束时间早于开始时间。")
	}
	if q.Limit == 0 {
		q.Limit = fewAccesses
	}
	if q.Limit < 1 || q.Limit > mostAccesses || q.Offset < 0 || q.Offset > mostOffset {
		return bad("limit is a number from 1 to 200, and offset is not below 0.", "limit 须为 1 到 200，offset 不小于 0。")
	}
	return q, true
}
