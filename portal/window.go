package portal

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/schemas/catalogue"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/sharing"
)

// At the window (窗口) a clerk sees which papers an applicant need not hand in, where the department has no system of its own that asks.
// It is a caller like others: the desk decides and writes down, the watch counts. Department and clerk come from the account, the purpose
// from county.yaml, the applicant's number from what they show; it stands in no address and in no answer.

// ApplicantDesk tells which materials of a case its applicant need not hand in, and takes down what became of them. Its errors are
// *disclosure.Denied, *disclosure.Mistake and *disclosure.Unavailable.
type ApplicantDesk interface {
	PrefillFor(ctx context.Context, r disclosure.Reader, a disclosure.Attributes, materials []string) (*disclosure.Prefill, error)
	Use(ctx context.Context, r disclosure.Reader, prefill, material string) error
	Decline(ctx context.Context, r disclosure.Reader, prefill, material, reason string) error
}

// WindowOptions are what the window clerks' page is made from; all but Materials and Departments are required.
type WindowOptions struct {
	Desk        ApplicantDesk
	Clerks      Officers // each of a department
	Purpose     string   // for which they look: one of the county's
	PurposeName contract.Text
	Items       sharing.Items
	Materials   sharing.Materials
	Departments map[string]contract.Text // their names
}

// WindowClerk is who has signed in, and what they need for asking.
type WindowClerk struct {
	Department  string            `json:"department"`
	Purpose     DepartmentLabel   `json:"purpose" jsonschema:"description=For which the clerks look"`
	Items       []WindowItem      `json:"items" jsonschema:"description=The department's service items"`
	Materials   []DepartmentLabel `json:"materials" jsonschema:"description=Names of materials by their codes"`
	Departments []DepartmentLabel `json:"departments"`
	Reasons     []string          `json:"reasons" jsonschema:"description=Why a material may be asked for although it is met"`
}

// WindowItem is a service item, and what its cases need.
type WindowItem struct {
	DepartmentLabel
	Materials []string `json:"materials" jsonschema:"description=Codes of what every case needs"`
	Sometimes []string `json:"sometimes" jsonschema:"description=And of what only some do"`
}

// WindowQuestion asks what the applicant of a case need not hand in.
type WindowQuestion struct {
	Item      string   `json:"item" jsonschema:"description=Code of the service item (实施编码)"`
	Case      string   `json:"case" jsonschema:"description=Number of an open case of the clerk's department (办件编号)"`
	Number    string   `json:"number" jsonschema:"description=The applicant's citizen number (公民身份号码)"`
	Materials []string `json:"materials,omitempty" jsonschema:"description=Codes of materials; all that every case of the item needs when absent"`
}

// WindowAct is what a clerk does about a material of a prefill.
type WindowAct struct {
	Item     string `json:"item"`
	Case     string `json:"case"`
	Prefill  string `json:"prefill"`
	Material string `json:"material"`
	Act      string `json:"act" jsonschema:"enum=use,enum=decline"`
	Reason   string `json:"reason,omitempty" jsonschema:"enum=outdated,enum=wrong,enum=other_person,enum=original_needed,enum=out_of_order,enum=other,description=Of decline"`
}

// WindowPrefill is what the applicant need not hand in, and what was written down of the look.
type WindowPrefill struct {
	ID        string            `json:"id"`
	Materials []PrefillMaterial `json:"materials"`
	Sources   []WindowSource    `json:"sources" jsonschema:"description=The datasets that proofs and reasons name"`
	Recorded  WindowRecord      `json:"recorded"`
}

// WindowSource is a dataset, and how good it is.
type WindowSource struct {
	Dataset     string              `json:"dataset"`
	Title       contract.Text       `json:"title"`
	Department  string              `json:"department"`
	UpdateCycle string              `json:"update_cycle" jsonschema:"enum=realtime,enum=daily,enum=weekly,enum=monthly,enum=yearly,enum=irregular"`
	Measured    *catalogue.Measured `json:"measured" jsonschema:"description=null when it cannot be told now"`
	Late        bool                `json:"late" jsonschema:"description=Nothing of it has come for longer than its cycle and a day"`
}

// WindowRecord is what the log of accesses has of a look.
type WindowRecord struct {
	At     time.Time `json:"at"`
	Caller string    `json:"caller"`
	Fields []string  `json:"fields" jsonschema:"description=dataset.field"`
}

const (
	windowHeader = "X-Shire-Window"
	windowCookie = "shire_clerk"
	windowPath   = "/api/v1/window"

	// windowClient is what the log calls the page. No client of county.yaml can be called so.
	windowClient = "portal-window"

	measureTimeout = 2 * time.Second // what was measured is worth no longer wait
)

// windowDesk answers the window clerks.
type windowDesk struct {
	p     *Portal
	o     *WindowOptions
	share *share
	door  *door
	watch *watch // each clerk is watched like a client
}

func (p *Portal) newWindowDesk() (*windowDesk, error) {
	o := p.o.Window
	if o.Desk == nil || o.Clerks == nil || o.Purpose == "" || len(o.Items) == 0 || p.share == nil {
		return nil, errors.New("portal.Options.Window: Desk, Clerks, Purpose and Items are required, and Sharing with them")
	}
	d := p.door(door{
		to: "the window", accounts: o.Clerks, cookie: windowCookie, path: windowPath, header: windowHeader, session: windowPath + "/session", page: "/window", right: county.MayServe,
		closed: sentence{"Sign in first: what is held on an applicant is shown to clerks of the department that has the case.", "请先登录：申请人的共享信息只向承办部门的窗口人员提供。"},
		unknown: sentence{"It cannot be told who is a window clerk: the file of clerks cannot be read. The log of the node says why.",
			"读不到窗口人员名单，无法确认身份。节点日志中有原因。"},
	})
	return &windowDesk{p, o, p.share, d, newWatch(p.share.o.Limits, nil, p.o.now)}, nil
}

func (d *windowDesk) routes() []route {
	mark := parameter{Name: windowHeader, In: "header", Enum: []string{"1"}, Description: "No other site can make a browser send it"}
	return []route{
		{
			Path: windowPath + "/session", ID: "clerk", Summary: "Who has signed in at the window",
			Result: Session{}, Problems: []int{401, 503}, Door: d.door.cookie, handle: d.door.signedIn(passive, d.door.whoIsIn),
		},
		{
			Method: http.MethodPost, Path: windowPath + "/session", ID: "clerkSignIn", Summary: "Sign in as a window clerk of a department; the session comes as a cookie",
			Parameters: []parameter{mark}, Body: Credentials{}, Result: Session{}, Problems: []int{400, 401, 403, 415, 429, 503}, handle: d.door.fromOwnPage(d.door.signIn),
		},
		{
			Method: http.MethodDelete, Path: windowPath + "/session", ID: "clerkSignOut", Summary: "Signed out",
			Parameters: []parameter{mark}, NoContent: true, Problems: []int{403}, handle: d.door.fromOwnPage(d.door.signOut),
		},
		{
			Path: windowPath + "/desk", ID: "clerkDesk", Summary: "For which department one stands at the window, and what its cases need",
			Result: WindowClerk{}, Problems: []int{401, 503}, Door: d.door.cookie, handle: d.of(passive, d.desk),
		},
		{
			Method: http.MethodPost, Path: windowPath + "/prefill", ID: "clerkPrefill", Summary: "What the applicant of an open case need not hand in; the look is written down first",
			Parameters: []parameter{mark}, Body: WindowQuestion{}, Result: WindowPrefill{}, Problems: shareProblems, Door: d.door.cookie, handle: d.asked("window_prefill", d.prefill),
		},
		{
			Method: http.MethodPost, Path: windowPath + "/acts", ID: "clerkAct", Summary: "Take a material from shared data, or ask for it all the same and say why",
			Parameters: []parameter{mark}, Body: WindowAct{}, NoContent: true, Problems: shareProblems, Door: d.door.cookie, handle: d.asked("window_act", d.act),
		},
	}
}

// of lets clerks through who belong to a department.
func (d *windowDesk) of(use activity, next func(w http.ResponseWriter, r *http.Request, who officer)) http.HandlerFunc {
	return d.door.ofDepartment(use, d.o.Clerks, next)
}

// asked lets a clerk ask from the portal's own page, at the pace that they may have.
func (d *windowDesk) asked(operation string, next func(r *http.Request, who officer) (any, error)) http.HandlerFunc {
	return d.door.fromOwnPage(d.of(active, func(w http.ResponseWriter, r *http.Request, who officer) {
		counted := d.counted(who)
		d.watch.admit(counted.name)
		d.share.answer(w, r, operation, counted, d.problem, func(r *http.Request) (any, error) {
			if r.URL.RawQuery != "" {
				return nil, malformed("this address takes no parameters", "该地址不接受查询参数")
			}
			return next(r, who)
		})
	}))
}

func (d *windowDesk) counted(who officer) counted {
	return counted{d.watch, who.department + "\x00" + who.name, windowClient}
}

// reader is the clerk as a caller of the desk.
func (d *windowDesk) reader(who officer, item, number string) disclosure.Reader {
	return disclosure.Reader{Client: windowClient, Department: who.department, Clerk: who.name, Purpose: d.o.Purpose, Item: item, Case: number}
}

func (d *windowDesk) desk(w http.ResponseWriter, _ *http.Request, who officer) {
	out := WindowClerk{Department: who.department, Purpose: DepartmentLabel{d.o.Purpose, d.o.PurposeName.Zh, d.o.PurposeName.En}, Items: []WindowItem{},
		Materials: labelled(d.o.Materials), Departments: labelled(d.o.Departments), Reasons: disclosure.DeclineReasons}
	for _, i := range d.o.Items {
		if i.Department == who.department {
			out.Items = append(out.Items, WindowItem{DepartmentLabel{i.Code, i.Name.Zh, i.Name.En}, orEmpty(i.Materials), orEmpty(i.Sometimes)})
		}
	}
	slices.SortFunc(out.Items, func(a, b WindowItem) int { return cmp.Compare(a.Key, b.Key) })
	replyPrivately(w, out)
}

func (d *windowDesk) prefill(r *http.Request, who officer) (any, error) {
	var q WindowQuestion
	if err := readShareBody(r, &q); err != nil {
		return nil, err
	}
	if err := sound(append(slices.Clone(q.Materials), q.Item, q.Case, q.Number), nil); err != nil {
		return nil, err
	}
	reader := d.reader(who, q.Item, q.Case)
	p, err := readAs(d.share, r, d.counted(who), reader, "applicant\x00"+q.Case+"\x00"+q.Number, func(ctx context.Context) (*disclosure.Prefill, error) {
		return d.o.Desk.PrefillFor(ctx, reader, disclosure.Attributes{Number: q.Number}, q.Materials)
	})
	if err != nil {
		return nil, err
	}
	out := WindowPrefill{ID: p.ID, Materials: prefillAnswer(p).Materials, Sources: d.sources(r.Context(), p),
		Recorded: WindowRecord{p.At.UTC(), reader.Department + "/" + reader.Client, orEmpty(p.Looked)}}
	return out, nil
}

func (d *windowDesk) act(r *http.Request, who officer) (any, error) {
	var a WindowAct
	if err := readShareBody(r, &a); err != nil {
		return nil, err
	}
	if err := sound([]string{a.Item, a.Case, a.Prefill, a.Material, a.Reason}, nil); err != nil {
		return nil, err
	}
	if a.Act != disclosure.ActUse && a.Act != disclosure.ActDecline || a.Act == disclosure.ActUse && a.Reason != "" {
		return nil, malformed("act is use, or decline with a reason", "act 须为 use，或为 decline 并附理由")
	}
	reader := d.reader(who, a.Item, a.Case)
	// Whoever closes the page after giving an act has given it; it is bounded as before.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), answerTimeout)
	defer cancel()
	return readAs(d.share, r.WithContext(ctx), d.counted(who), reader, "case\x00"+a.Case, func(ctx context.Context) (any, error) {
		if a.Act == disclosure.ActUse {
			return nil, d.o.Desk.Use(ctx, reader, a.Prefill, a.Material)
		}
		return nil, d.o.Desk.Decline(ctx, reader, a.Prefill, a.Material, a.Reason)
	})
}

// sources are the datasets that a prefill names. What they say of a person is not part of it.
func (d *windowDesk) sources(ctx context.Context, p *disclosure.Prefill) []WindowSource {
	var names []string
	for _, m := range p.Materials {
		names = append(names, m.Could...)
		if m.Proof != nil {
			names = append(names, m.Proof.Dataset)
		}
	}
	slices.Sort(names)
	measured := d.measured(ctx)
	out := []WindowSource{}
	for _, name := range slices.Compact(names) {
		c := d.share.o.Contracts[name]
		if c == nil {
			continue
		}
		s := WindowSource{Dataset: name, Title: c.Title, Department: c.Department, UpdateCycle: cmp.Or(c.UpdateCycle, "irregular"), Measured: measured[name]}
		if m := s.Measured; m != nil && m.LastLoad != nil && cycles[s.UpdateCycle] > 0 {
			s.Late = d.p.o.now().Sub(*m.LastLoad) > cycles[s.UpdateCycle]+24*time.Hour
		}
		out = append(out, s)
	}
	return out
}

// cycles are how long a dataset's update cycle is at most; one that is not here has no length.
var cycles = map[string]time.Duration{"realtime": time.Hour, "daily": 24 * time.Hour, "weekly": 7 * 24 * time.Hour, "monthly": 31 * 24 * time.Hour, "yearly": 366 * 24 * time.Hour}

// measured is what is known of the datasets' freshness and quality. A prefill does not fail with it: the look is written down by then.
func (d *windowDesk) measured(ctx context.Context) map[string]*catalogue.Measured {
	if d.p.o.Catalogue == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, measureTimeout)
	defer cancel()
	c, err := cached(ctx, d.p.figures, "catalogue measured", d.p.o.Catalogue.Catalogue)
	if err != nil {
		d.p.log.Warn("how fresh datasets are cannot be told at the window", "error", err)
		return nil
	}
	out := map[string]*catalogue.Measured{}
	for i := range c.Items {
		out[c.Items[i].Dataset] = c.Items[i].Measured
	}
	return out
}
