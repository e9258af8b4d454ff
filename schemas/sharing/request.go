package sharing

import (
	"fmt"
	"slices"
	"time"

	"github.com/shirecounty/shire/schemas/contract"
)

// Act is what somebody does about a request or a grant.
type Act string

// The acts. A request is submitted; its owner approves it, refuses it, or gives it back once; who asked may withdraw it. What is
// approved is a grant, which its owner or the lead department (主管部门) may suspend, resume, revoke, and confirm in review.
const (
	Submit   Act = "submit"
	GiveBack Act = "give_back" // asks back, once: what is missing (补正)
	Resubmit Act = "resubmit"
	Approve  Act = "approve"
	Refuse   Act = "refuse"
	Withdraw Act = "withdraw"
	Deliver  Act = "deliver" // the data can be read
	Suspend  Act = "suspend"
	Resume   Act = "resume"
	Revoke   Act = "revoke"
	Review   Act = "review" // the grant is still needed and still right
)

// Event is one act.
type Event struct {
	Request    string    `json:"request"`
	Act        Act       `json:"act"`
	At         time.Time `json:"at"`
	Department string    `json:"department"`       // who acts
	Terms      *Terms    `json:"terms,omitempty"`  // of submit, resubmit and approve
	Reason     string    `json:"reason,omitempty"` // of give_back, refuse, suspend and revoke
	Ground     string    `json:"ground,omitempty"` // legal ground of a refusal

	// What [World.Accept] adds to a submit and a resubmit: as the catalogue said then.
	Owner string `json:"owner,omitempty"` // the department whose dataset it is
	Type  string `json:"type,omitempty"`  // unconditional or conditional
}

// State of a request.
type State string

// The states. Asked, GivenBack and Approved wait for somebody; see [Request.Waits].
const (
	Asked     State = "asked"
	GivenBack State = "given_back"
	Approved  State = "approved" // a grant, not delivered yet
	Live      State = "live"     // a grant that is delivered
	Suspended State = "suspended"
	Refused   State = "refused"
	Withdrawn State = "withdrawn"
	Revoked   State = "revoked"
)

// Request is a request and the grant that came of it, as they stand after its events.
type Request struct {
	ID       string
	From     string // the department that asks (需求部门)
	Owner    string // the department whose dataset it is (数源部门)
	Type     string // unconditional or conditional
	State    State
	Terms    Terms // as asked for; once approved, as granted
	Since    time.Time
	Asked    time.Time // the last (re)submission: the owner's clock starts anew when what was missing has come
	Returned bool      // it was given back once
	Granted  time.Time // the approval: from then on the data has to be delivered in time
	Reviewed time.Time // when the grant was last found right; the approval at first
	Ground   string
	before   State // of a suspended grant
}

// World is what a request is judged by beside its own events.
type World struct {
	Contracts contract.Set
	Purposes  []string // the county's purposes
	Lead      string   // the lead department (主管部门)
}

// Refusal says why an act cannot be done. Its text is for who wanted to act.
type Refusal struct{ Text string }

func (e *Refusal) Error() string { return e.Text }

func refusal(format string, args ...any) error { return &Refusal{fmt.Sprintf(format, args...)} }

// Accept says whether an act can be done, and completes it. r is the request as it stands; nil when there is none. The error is a
// *Refusal.
func (w World) Accept(r *Request, e Event) (Event, error) {
	e.Owner, e.Type = "", ""
	switch {
	case r == nil && (e.Act != Submit || e.Terms == nil):
		return e, refusal("the request %s does not exist", e.Request)
	case r == nil:
		c, err := w.fits(*e.Terms, e.Department)
		if err != nil {
			return e, err
		}
		e.Owner, e.Type = c.Department, sharingType(c, *e.Terms)
		return e, nil
	case e.At.Before(r.Since):
		return e, refusal("the act is dated before the request's last one")
	}
	owner, asker, lead := e.Department == r.Owner, e.Department == r.From, e.Department == w.Lead && w.Lead != ""
	may := func(who bool, whose string, states ...State) error {
		if !who {
			return refusal("only %s may %s this request", whose, e.Act)
		}
		if !slices.Contains(states, r.State) {
			return refusal("the request is %s: it cannot be answered with %s", r.State, e.Act)
		}
		return nil
	}
	needReason := func() error {
		if e.Reason == "" {
			return refusal("%s needs a reason", e.Act)
		}
		return nil
	}
	const either = "its owner or the lead department"
	var err error
	switch e.Act {
	case GiveBack:
		if err = first(may(owner, "its owner", Asked), needReason()); err == nil && r.Returned {
			err = refusal("the request was given back once already; approve or refuse it")
		}
	case Resubmit:
		if err = may(asker, "who asked", GivenBack); err == nil {
			err = w.again(r, &e)
		}
	case Approve:
		if err = may(owner, "its owner", Asked); err == nil && e.Terms != nil { // narrower than asked for
			if narrow := first(e.Terms.check(), e.Terms.Within(r.Terms)); narrow != nil {
				err = refusal("less may be granted than was asked for, and not more: %v", narrow)
			}
		}
	case Refuse:
		if err = first(may(owner, "its owner", Asked), needReason()); err == nil && e.Ground == "" {
			err = refusal("a refusal names its legal ground")
		}
	case Withdraw:
		err = may(asker, "who asked", Asked, GivenBack, Approved, Live, Suspended)
	case Deliver:
		err = may(owner || lead, either, Approved)
	case Suspend:
		err = first(may(owner || lead, either, Approved, Live), needReason())
	case Resume:
		err = may(owner || lead, either, Suspended)
	case Revoke:
		err = first(may(owner || lead, either, Approved, Live, Suspended), needReason())
	case Review:
		err = may(owner || lead, either, Approved, Live, Suspended)
	case Submit:
		err = refusal("there is a request %s already", e.Request)
	default:
		err = refusal("there is no act %q", string(e.Act))
	}
	return e, err
}

func (w World) again(r *Request, e *Event) error {
	if e.Terms == nil {
		return refusal("the request comes back without terms")
	}
	c, err := w.fits(*e.Terms, r.From)
	if err != nil {
		return err
	}
	if e.Terms.Dataset != r.Terms.Dataset {
		return refusal("the request is about %s; make another one for %s", r.Terms.Dataset, e.Terms.Dataset)
	}
	e.Owner, e.Type = c.Department, sharingType(c, *e.Terms)
	return nil
}

// Fold is a request after an event that was accepted; r is nil before the first. What was accepted stays accepted, whatever the
// catalogue says since: [Decide] looks at the catalogue of today. r itself is not changed.
func Fold(r *Request, e Event) *Request {
	if r == nil {
		return &Request{ID: e.Request, From: e.Department, Owner: e.Owner, Type: e.Type, State: Asked, Terms: e.Terms.clone(), Since: e.At, Asked: e.At}
	}
	next := *r
	next.Since = e.At
	switch e.Act {
	case GiveBack:
		next.State, next.Returned = GivenBack, true
	case Resubmit:
		next.State, next.Asked, next.Terms, next.Owner, next.Type = Asked, e.At, e.Terms.clone(), e.Owner, e.Type
	case Approve:
		next.State, next.Granted, next.Reviewed = Approved, e.At, e.At
		if e.Terms != nil {
			next.Terms = e.Terms.clone()
		}
	case Refuse:
		next.State, next.Ground = Refused, e.Ground
	case Withdraw:
		next.State = Withdrawn
	case Deliver:
		next.State = Live
	case Suspend:
		next.State, next.before = Suspended, r.State
	case Resume:
		next.State, next.before = r.before, ""
	case Revoke:
		next.State = Revoked
	case Review:
		next.Reviewed = e.At
	}
	return &next
}

// fits says whether terms can be asked for at all, and of which contract.
func (w World) fits(t Terms, from string) (*contract.Dataset, error) {
	if err := t.check(); err != nil {
		return nil, refusal("%v", err)
	}
	c := w.Contracts[t.Dataset]
	if c == nil {
		return nil, refusal("the catalogue has no dataset %s", t.Dataset)
	}
	if c.Department == from {
		return nil, refusal("the dataset %s is your own", t.Dataset)
	}
	if !slices.Contains(w.Purposes, t.Purpose) {
		return nil, refusal("the county knows no purpose %q; its purposes are %v", t.Purpose, w.Purposes)
	}
	for name := range t.Fields {
		i, ok := c.Field(name)
		if !ok {
			return nil, refusal("the dataset %s has no field %s", t.Dataset, name)
		}
		if fieldType(c, i) == "none" {
			return nil, refusal("the field %s of %s is not shared: %s", name, t.Dataset, c.Sharing.Ground)
		}
	}
	return c, nil
}

func fieldType(c *contract.Dataset, i int) string {
	if t := c.Fields[i].Sharing; t != "" {
		return t
	}
	return c.Sharing.Type
}

// sharingType of a request is the strictest of its fields'.
func sharingType(c *contract.Dataset, t Terms) string {
	for name := range t.Fields {
		if i, ok := c.Field(name); ok && fieldType(c, i) == "conditional" {
			return "conditional"
		}
	}
	return "unconditional"
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Covers tells whether the grant is in force at a time.
func (r *Request) Covers(at time.Time) bool {
	return r.State == Live && !at.Before(r.Terms.From) && at.Before(r.Terms.Until)
}

// Waits says for whom a request waits at this moment, by which limit, since when. ok is false when it waits for nobody.
func (r *Request) Waits() (limit Limit, since time.Time, department string, ok bool) {
	switch {
	case r.State == Asked && r.Type == "unconditional":
		return ReplyUnconditional, r.Asked, r.Owner, true
	case r.State == Asked:
		return ReplyConditional, r.Asked, r.Owner, true
	case r.State == Approved:
		return Delivery, r.Granted, r.Owner, true // a review in between does not start the clock anew
	}
	return "", time.Time{}, "", false
}
