package portal

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/sharing"
)

// Departments ask each other for data here. What is overdue everybody may see; what was asked for, by whom and on what terms is
// for the two departments and the lead department (主管部门) alone.

// Exchange is where requests are: pipeline.Exchange.
type Exchange interface {
	// Do does an act in somebody's name. The error is a *sharing.Refusal when it may not be done.
	Do(ctx context.Context, e sharing.Event, by string) (*sharing.Request, error)
	// Requests are all of them as they stand at this moment.
	Requests(ctx context.Context) ([]*sharing.Request, error)
	// Acts are the acts of one, in their order.
	Acts(ctx context.Context, request string) ([]pipeline.Act, error)
}

// Officers are the people who act for their departments.
type Officers interface {
	Accounts
	// Department is the department of an account; "" when there is none of that name.
	Department(name string) (string, error)
}

// RequestsOptions are what the pages of requests are made from; all but Purposes and Departments are required.
type RequestsOptions struct {
	Exchange    Exchange
	Officers    Officers
	World       func() sharing.World
	Rules       *sharing.Rules
	Calendar    *calendar.Calendar
	Purposes    map[string]contract.Text // their names, by code
	Departments map[string]contract.Text
}

// Clock is how long something may still wait for somebody, in working days.
type Clock struct {
	Department string        `json:"department" jsonschema:"description=For whom it waits"`
	Deadline   sharing.Limit `json:"deadline" jsonschema:"enum=reply_unconditional,enum=reply_conditional,enum=delivery"`
	Since      string        `json:"since" jsonschema:"description=The day from which it is counted: 2026-07-01"`
	Days       int           `json:"days" jsonschema:"description=How many working days there are in all"`
	Due        *string       `json:"due" jsonschema:"description=The last day in time; null where the working calendar is not published so far"`
	Left       *int          `json:"left" jsonschema:"description=Working days until then; below 0 once it has passed; null as with due"`
	Overdue    bool          `json:"overdue"`
	Missing    int           `json:"calendar_missing,omitempty" jsonschema:"description=The year whose working calendar would be needed"`
	Rule       string        `json:"rule" jsonschema:"description=Which rule sets the limit"`
	Of         contract.Text `json:"jurisdiction" jsonschema:"description=Whose rule it is"`
}

// OverdueRequest is what everybody may see of a request whose day has passed.
type OverdueRequest struct {
	ID      string        `json:"id"`
	From    string        `json:"from" jsonschema:"description=The department that asks (需求部门)"`
	Owner   string        `json:"owner" jsonschema:"description=The department whose dataset it is (数源部门)"`
	Dataset string        `json:"dataset"`
	Type    string        `json:"type" jsonschema:"enum=unconditional,enum=conditional"`
	State   sharing.State `json:"state"`
	Clock   Clock         `json:"clock"`
}

// DataRequest is a request and the grant that came of it, for who may see its terms.
type DataRequest struct {
	ID       string        `json:"id"`
	From     string        `json:"from"`
	Owner    string        `json:"owner"`
	Dataset  string        `json:"dataset"`
	Type     string        `json:"type" jsonschema:"enum=unconditional,enum=conditional"`
	State    sharing.State `json:"state" jsonschema:"enum=asked,enum=given_back,enum=approved,enum=live,enum=suspended,enum=refused,enum=withdrawn,enum=revoked"`
	Terms    sharing.Terms `json:"terms" jsonschema:"description=As asked for; once approved as granted"`
	Since    time.Time     `json:"since" jsonschema:"description=The last act"`
	Asked    time.Time     `json:"asked"`
	Reviewed *time.Time    `json:"reviewed" jsonschema:"description=When the grant was last found right"`
	InForce  bool          `json:"in_force" jsonschema:"description=A grant by which data can be read now"`
	Ground   string        `json:"ground,omitempty" jsonschema:"description=Legal ground of a refusal"`
	Clock    *Clock        `json:"clock" jsonschema:"description=null when it waits for nobody"`
	May      []sharing.Act `json:"may" jsonschema:"description=What the department that has signed in may do about it now"`
}

// RequestPage is some of the requests, those that changed last first.
type RequestPage struct {
	Total int           `json:"total"`
	Items []DataRequest `json:"items"`
}

// DataRequestActs is a request with all that was done about it.
type DataRequestActs struct {
	Request DataRequest  `json:"request"`
	Acts    []RequestAct `json:"acts" jsonschema:"description=In their order"`
}

// RequestAct is one act.
type RequestAct struct {
	Number     int            `json:"number"`
	Act        sharing.Act    `json:"act"`
	At         time.Time      `json:"at"`
	Department string         `json:"department"`
	By         string         `json:"by" jsonschema:"description=Who acted"`
	Terms      *sharing.Terms `json:"terms,omitempty"`
	Reason     string         `json:"reason,omitempty"`
	Ground     string         `json:"ground,omitempty"`
}

// Officer is who has signed in, and what they need for asking.
type Officer struct {
	Department  string            `json:"department"`
	Lead        bool              `json:"lead" jsonschema:"description=It is the lead department (主管部门): it sees all requests"`
	Purposes    []DepartmentLabel `json:"purposes" jsonschema:"description=What may be asked for"`
	Departments []DepartmentLabel `json:"departments"`
	Masks       []sharing.Mask    `json:"masks" jsonschema:"description=From the least that is shown to the most"`
}

// DepartmentLabel is a code with its names.
type DepartmentLabel struct {
	Key string `json:"key"`
	Zh  string `json:"zh"`
	En  string `json:"en"`
}

const (
	requestsHeader = "X-Shire-Requests"
	requestsCookie = "shire_officer"
	requestsPath   = "/api/v1/"

	requestPattern = `^R[0-9]{8}-[A-Z2-7]{8}$`
	mostRequests   = 200 // on a page
	fewRequests    = 50
)

var requestStates = []string{"asked", "given_back", "approved", "live", "suspended", "refused", "withdrawn", "revoked"}

// requestsDesk answers about requests.
type requestsDesk struct {
	p    *Portal
	o    *RequestsOptions
	door *door
}

func (p *Portal) newRequestsDesk() *requestsDesk {
	d := p.door(door{
		to: "the requests for data", accounts: p.o.Requests.Officers, cookie: requestsCookie, path: requestsPath, header: requestsHeader, session: "/api/v1/officers/session", page: "/sharing", right: county.MayRequest,
		closed: sentence{"Sign in first: requests and their terms are for the departments that they are between.", "请先登录：共享申请及其内容只对申请部门、数源部门和主管部门开放。"},
		unknown: sentence{"It cannot be told who acts for which department: the file of officers cannot be read. The log of the node says why.",
			"读不到部门经办人名单，无法确认身份。节点日志中有原因。"},
	})
	return &requestsDesk{p, p.o.Requests, d}
}

func (d *requestsDesk) routes() []route {
	id := parameter{Name: "id", In: "path", Pattern: requestPattern, Description: "Number of a request"}
	mark := parameter{Name: requestsHeader, In: "header", Enum: []string{"1"}, Description: "No other site can make a browser send it"}
	query := func(name, pattern, description string, enum ...string) parameter {
		return parameter{Name: name, In: "query", Pattern: pattern, Description: description, Enum: enum}
	}
	return []route{
		{
			Path: "/api/v1/requests/overdue", ID: "overdueRequests", Summary: "Requests and deliveries whose day has passed, the longest ago first; without their terms, for everybody",
			Result: []OverdueRequest{}, Problems: []int{503}, handle: d.overdue,
		},
		{
			Path: "/api/v1/officers/session", ID: "officer", Summary: "Who has signed in to act for a department",
			Result: Session{}, Problems: []int{401, 503}, Door: d.door.cookie, handle: d.door.signedIn(passive, d.door.whoIsIn),
		},
		{
			Method: http.MethodPost, Path: "/api/v1/officers/session", ID: "officerSignIn", Summary: "Sign in as an officer of a department; the session comes as a cookie",
			Parameters: []parameter{mark}, Body: Credentials{}, Result: Session{}, Problems: []int{400, 401, 403, 415, 429, 503}, handle: d.door.fromOwnPage(d.door.signIn),
		},
		{
			Method: http.MethodDelete, Path: "/api/v1/officers/session", ID: "officerSignOut", Summary: "Signed out",
			Parameters: []parameter{mark}, NoContent: true, Problems: []int{403}, handle: d.door.fromOwnPage(d.door.signOut),
		},
		{
			Path: "/api/v1/officers/desk", ID: "officerDesk", Summary: "For which department one acts, and what may be asked for",
			Result: Officer{}, Problems: []int{401, 503}, Door: d.door.cookie, handle: d.of(passive, d.desk),
		},
		{
			Path: "/api/v1/requests", ID: "requests", Summary: "The requests and grants of one's department, page by page; all of them for the lead department",
			Parameters: []parameter{
				query("state", "", "Only those that are so", requestStates...), query("side", "", "Only those that one's department made, or has to answer", "from", "owner"),
				query("offset", countPattern, "How many to pass over"), query("limit", countPattern, "At most this many, 1 to 200; 50 when left out"),
			},
			Result: RequestPage{}, Problems: []int{400, 401, 503}, Door: d.door.cookie, handle: d.of(passive, d.list),
		},
		{
			Method: http.MethodPost, Path: "/api/v1/requests", ID: "submitRequest", Summary: "Ask another department for data; the answer has the number of the request",
			Parameters: []parameter{mark}, Body: Asking{}, Result: DataRequest{}, Problems: []int{400, 401, 403, 409, 415, 503}, Door: d.door.cookie,
			handle: d.door.fromOwnPage(d.of(active, d.submit)),
		},
		{
			Path: "/api/v1/requests/{id}", ID: "request", Summary: "One request of one's department, with all that was done about it",
			Parameters: []parameter{id}, Result: DataRequestActs{}, Problems: []int{401, 404, 503}, Door: d.door.cookie, handle: d.of(passive, d.one),
		},
		{
			Method: http.MethodPost, Path: "/api/v1/requests/{id}/acts", ID: "actOnRequest", Summary: "Give back, resubmit, approve, refuse, withdraw, deliver, suspend, resume, revoke or review",
			Parameters: []parameter{id, mark}, Body: Acting{}, Result: DataRequest{}, Problems: []int{400, 401, 403, 404, 409, 415, 503}, Door: d.door.cookie,
			handle: d.door.fromOwnPage(d.of(active, d.act)),
		},
	}
}

// officer is who has signed in and for whom they act.
type officer struct{ name, department string }

// of lets officers through who belong to a department.
func (d *requestsDesk) of(use activity, next func(w http.ResponseWriter, r *http.Request, who officer)) http.HandlerFunc {
	return d.door.ofDepartment(use, d.o.Officers, next)
}

// ofDepartment lets people through who belong to a department: that of their account, or the one for which the provider's groups let them in.
func (d *door) ofDepartment(use activity, accounts Officers, next func(w http.ResponseWriter, r *http.Request, who officer)) http.HandlerFunc {
	return d.admitted(use, func(w http.ResponseWriter, r *http.Request, s session) {
		department, err := s.department, error(nil)
		if !s.provided {
			department, err = accounts.Department(s.name)
		}
		switch {
		case err != nil:
			d.cannotTell(w, r, err)
		case department == "": // removed a moment ago
			problem(http.StatusUnauthorized, codeSignedOut, d.closed.en).zh(d.closed.zh).write(w)
		default:
			next(w, r, officer{s.name, department})
		}
	})
}

// sees tells whether a department may see the terms of a request. Whether there is a request that it may not see, it is not told.
func (d *requestsDesk) sees(department string, q *sharing.Request) bool {
	return department == q.From || department == q.Owner || d.lead(department)
}

func (d *requestsDesk) lead(department string) bool {
	lead := d.o.World().Lead
	return lead != "" && department == lead
}

func (d *requestsDesk) desk(w http.ResponseWriter, _ *http.Request, who officer) {
	replyPrivately(w, Officer{
		Department: who.department, Lead: d.lead(who.department), Purposes: labelled(d.o.Purposes), Departments: labelled(d.o.Departments), Masks: sharing.Masks,
	})
}

func labelled(names map[string]contract.Text) []DepartmentLabel {
	list := []DepartmentLabel{}
	for code, name := range names {
		list = append(list, DepartmentLabel{code, name.Zh, name.En})
	}
	slices.SortFunc(list, func(a, b DepartmentLabel) int { return cmp.Compare(a.Key, b.Key) })
	return list
}

func (d *requestsDesk) overdue(w http.ResponseWriter, r *http.Request) {
	all, err := d.o.Exchange.Requests(r.Context())
	if err != nil {
		d.fault(w, r, err)
		return
	}
	list := []OverdueRequest{}
	for _, q := range all {
		clock, err := d.clock(q)
		if err != nil {
			d.fault(w, r, err)
			return
		}
		if clock != nil && clock.Overdue {
			list = append(list, OverdueRequest{q.ID, q.From, q.Owner, q.Terms.Dataset, q.Type, q.State, *clock})
		}
	}
	slices.SortStableFunc(list, func(a, b OverdueRequest) int { return cmp.Compare(*a.Clock.Due, *b.Clock.Due) })
	reply(w, r, list[:min(len(list), 10*mostRequests)])
}

func (d *requestsDesk) clock(q *sharing.Request) (*Clock, error) {
	c, err := d.o.Rules.Clock(q, d.p.o.now(), d.p.zone, d.o.Calendar)
	if err != nil || c == nil {
		return nil, err
	}
	shown := &Clock{Department: c.Department, Deadline: c.Limit, Since: c.Since.String(), Days: c.Days, Overdue: c.Overdue, Missing: c.Unknown, Rule: c.Source, Of: c.Jurisdiction}
	if c.Unknown == 0 {
		due, left := c.Due.String(), c.Left
		shown.Due, shown.Left = &due, &left
	}
	return shown, nil
}

func (d *requestsDesk) shown(q *sharing.Request, department string) (DataRequest, error) {
	clock, err := d.clock(q)
	out := DataRequest{
		ID: q.ID, From: q.From, Owner: q.Owner, Dataset: q.Terms.Dataset, Type: q.Type, State: q.State, Terms: q.Terms, Since: q.Since.UTC(), Asked: q.Asked.UTC(),
		InForce: q.Covers(d.p.o.now()), Ground: q.Ground, Clock: clock, May: orEmpty(d.o.World().May(q, department)),
	}
	if !q.Reviewed.IsZero() {
		at := q.Reviewed.UTC()
		out.Reviewed = &at
	}
	return out, err
}

func (d *requestsDesk) list(w http.ResponseWriter, r *http.Request, who officer) {
	values := r.URL.Query()
	offset, limit, ok := pageOf(w, values.Get("offset"), values.Get("limit"), fewRequests, mostRequests)
	if !ok {
		return
	}
	state, side := values.Get("state"), values.Get("side")
	if state != "" && !slices.Contains(requestStates, state) || side != "" && side != "from" && side != "owner" {
		badParameter("state is one of the states of a request, and side is from or owner.").zh("state 须为申请的某个状态，side 须为 from 或 owner。").write(w)
		return
	}
	all, err := d.o.Exchange.Requests(r.Context())
	if err != nil {
		d.fault(w, r, err)
		return
	}
	all = slices.DeleteFunc(slices.Clone(all), func(q *sharing.Request) bool {
		return !d.sees(who.department, q) || state != "" && string(q.State) != state ||
			side == "from" && q.From != who.department || side == "owner" && q.Owner != who.department
	})
	slices.SortStableFunc(all, func(a, b *sharing.Request) int { return b.Since.Compare(a.Since) })
	page := RequestPage{Total: len(all), Items: []DataRequest{}}
	for _, q := range all[min(offset, len(all)):min(offset+limit, len(all))] {
		shown, err := d.shown(q, who.department)
		if err != nil {
			d.fault(w, r, err)
			return
		}
		page.Items = append(page.Items, shown)
	}
	replyPrivately(w, page)
}

func (d *requestsDesk) one(w http.ResponseWriter, r *http.Request, who officer) {
	q, ok := d.find(w, r, who)
	if !ok {
		return
	}
	shown, err := d.shown(q, who.department)
	var acts []pipeline.Act
	if err == nil {
		acts, err = d.o.Exchange.Acts(r.Context(), q.ID)
	}
	if err != nil {
		d.fault(w, r, err)
		return
	}
	out := DataRequestActs{Request: shown, Acts: []RequestAct{}}
	for _, a := range acts {
		out.Acts = append(out.Acts, RequestAct{Number: a.Number, Act: a.Act, At: a.At.UTC(), Department: a.Department, By: a.By, Terms: a.Terms, Reason: a.Reason, Ground: a.Ground})
	}
	replyPrivately(w, out)
}

// find is the request of the path, for who may see it.
func (d *requestsDesk) find(w http.ResponseWriter, r *http.Request, who officer) (*sharing.Request, bool) {
	all, err := d.o.Exchange.Requests(r.Context())
	if err != nil {
		d.fault(w, r, err)
		return nil, false
	}
	i := slices.IndexFunc(all, func(q *sharing.Request) bool { return q.ID == r.PathValue("id") && d.sees(who.department, q) })
	if i < 0 {
		problem(http.StatusNotFound, codeUnknownRequest, "Your department has no request of this number.").zh("本部门没有这个编号的申请。").write(w)
		return nil, false
	}
	return all[i], true
}
