package portal

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"time"

	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/pipeline/identity/review"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/identity"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// The review of identities is the one place where the portal shows personal data in the clear. It is closed to everybody
// but named reviewers (door.go), changes nothing that another site asks for (review_guard.go), keeps nothing in
// caches, and shows nothing that has not been written down first (I8). Its addresses and logs hold ids of records, which
// are pseudonyms, and nothing else of what it shows (I7).

// Accesses is the log of who looked at whose records.
type Accesses interface {
	// Record returns when the access is written for good. Without that, nothing is shown (I8).
	Record(ctx context.Context, a Access) error
}

// Access is one look at personal records.
type Access struct {
	At       time.Time
	Caller   string         // that asks: portal/review
	Clerk    string         // for whom: the reviewer's name
	Purpose  string         // identity review
	Persons  []pseudonym.ID // parties (persons or organisations) whose records are shown
	Fields   []string       // that are shown
	Decision string         // granted; of a client of the sharing interface: stopped or lifted
	Reason   string         // code; "" for granted
}

// Queue is what waits for a reviewer.
type Queue struct {
	Total int           `json:"total" jsonschema:"description=How many pairs wait in all"`
	Items []review.Item `json:"items" jsonschema:"description=What would settle most first"`
}

// Judgement is a verdict as a reviewer hands it in: who and when are the server's to say.
type Judgement struct {
	About    string       `json:"about" jsonschema:"enum=person,enum=organisation"`
	A        pseudonym.ID `json:"a"`
	B        pseudonym.ID `json:"b"`
	Decision string       `json:"decision" jsonschema:"enum=same,enum=different,enum=unsure"`
	Reason   string       `json:"reason" jsonschema:"description=At least 3 characters; for unsure it may be left out"`
}

// Wording is how a model's evidence is said to people, and from where on it links and asks.
type Wording struct {
	Comparisons []review.Field `json:"comparisons"`
	Doubts      []review.Field `json:"doubts"`
	Link        match.Weight   `json:"link" jsonschema:"description=From this weight on records are linked; thousandths of a bit"`
	Review      match.Weight   `json:"review" jsonschema:"description=From this weight on a person is asked"`
}

const (
	reviewHeader = "X-Shire-Review"
	reviewCookie = "shire_review"
	reviewPath   = "/api/v1/review"

	reviewCaller  = "portal/review"
	reviewPurpose = "identity review"

	uuidPattern = `^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`
)

var abouts = []string{"person", "organisation"}

// reviewDoor is where reviewers sign in.
func (p *Portal) reviewDoor() *door {
	return p.door(door{
		to: "the review", accounts: p.o.Reviewers, cookie: reviewCookie, path: reviewPath, header: reviewHeader, session: reviewPath + "/session", page: "/review", right: county.MayReview,
		closed: sentence{"Sign in first: the review is open to named reviewers alone.", "请先登录：身份核对只对具名的核对员开放。"},
		unknown: sentence{"It cannot be told who may review: the file of reviewers cannot be read. The log of the node says why.",
			"读不到核对员名单，无法确认身份。节点日志中有原因。"},
	})
}

func (p *Portal) reviewTable() []route {
	d := p.reviewers
	about := parameter{Name: "about", In: "query", Enum: abouts, Description: "Whose records; person when left out"}
	inPath := parameter{Name: "about", In: "path", Enum: abouts, Description: "Whose records"}
	a := parameter{Name: "a", In: "path", Pattern: uuidPattern, Description: "One record"}
	b := parameter{Name: "b", In: "path", Pattern: uuidPattern, Description: "The other record"}
	mark := parameter{Name: reviewHeader, In: "header", Enum: []string{"1"}, Description: "No other site can make a browser send it"}
	return []route{
		{
			Path: "/api/v1/review/session", ID: "reviewer", Summary: "Who has signed in",
			Result: Session{}, Problems: []int{401, 503}, Door: d.cookie, handle: d.signedIn(passive, d.whoIsIn),
		},
		{
			Method: http.MethodPost, Path: "/api/v1/review/session", ID: "signIn", Summary: "Sign in as a reviewer; the session comes as a cookie",
			Parameters: []parameter{mark}, Body: Credentials{}, Result: Session{}, Problems: []int{400, 401, 403, 415, 429, 503}, handle: d.fromOwnPage(d.signIn),
		},
		{
			Method: http.MethodDelete, Path: "/api/v1/review/session", ID: "signOut", Summary: "Signed out",
			Parameters: []parameter{mark}, NoContent: true, Problems: []int{403}, handle: d.fromOwnPage(d.signOut),
		},
		{
			Path: "/api/v1/review/queue", ID: "reviewQueue", Summary: "Pairs of records that wait for a person; no personal data",
			Parameters: []parameter{about, {Name: "limit", In: "query", Pattern: `^[0-9]{1,3}$`, Description: "At most this many, 1 to 200; 50 when left out"}},
			Result:     Queue{}, Problems: []int{400, 401, 503}, Door: d.cookie, handle: d.signedIn(passive, p.reviewQueue),
		},
		{
			Path: "/api/v1/review/model", ID: "reviewModel", Summary: "How the model's comparisons and doubts are called, and its thresholds",
			Parameters: []parameter{about}, Result: Wording{}, Problems: []int{400, 401, 503}, Door: d.cookie, handle: d.signedIn(passive, p.reviewModel),
		},
		{
			Path: "/api/v1/review/cases/{a}/{b}", ID: "reviewCase", Summary: "Two records side by side, with the evidence; each look is written to the access log",
			Parameters: []parameter{a, b, about}, Result: review.Case{}, Problems: []int{400, 401, 404, 503}, Door: d.cookie, handle: d.signedIn(active, p.reviewCase),
		},
		{
			Method: http.MethodPost, Path: "/api/v1/review/verdicts", ID: "decide", Summary: "The verdict holds",
			Parameters: []parameter{mark}, Body: Judgement{}, NoContent: true, Problems: []int{400, 401, 403, 404, 409, 415, 503},
			Door: d.cookie, handle: d.fromOwnPage(d.signedIn(active, p.decide)),
		},
		{
			Method: http.MethodDelete, Path: "/api/v1/review/verdicts/{about}/{a}/{b}", ID: "withdraw", Summary: "The verdict is withdrawn",
			Parameters: []parameter{inPath, a, b, mark}, NoContent: true, Problems: []int{400, 401, 403, 404, 503},
			Door: d.cookie, handle: d.fromOwnPage(d.signedIn(active, p.withdraw)),
		},
	}
}

// noReview answers where the review is not switched on.
func noReview(w http.ResponseWriter, _ *http.Request) {
	problem(http.StatusNotFound, codeReviewOff, "The review of identities is not switched on at this node.").
		zh("本节点没有启用身份核对。").write(w)
}

// wording is a model in the words of its document.
func wording(m *identity.Model) Wording {
	if m == nil {
		return Wording{Comparisons: []review.Field{}, Doubts: []review.Field{}}
	}
	v := Wording{Comparisons: make([]review.Field, len(m.Comparisons)), Doubts: make([]review.Field, len(m.Doubts))}
	for i, c := range m.Comparisons {
		v.Comparisons[i] = named(c.Name, c.Title)
	}
	for i, d := range m.Doubts {
		v.Doubts[i] = named(d.Name, d.Title)
	}
	v.Link, v.Review = weightOf(m.Thresholds.Link), weightOf(m.Thresholds.Review)
	return v
}

func named(name string, title identity.Label) review.Field {
	return review.Field{Name: name, ZH: cmp.Or(title.ZH, name), EN: cmp.Or(title.EN, name)}
}

// weightOf is the weight at which a probability is reached.
func weightOf(probability float64) match.Weight {
	return match.Weight(math.Round(math.Log2(probability/(1-probability)) * match.Bit))
}
