package portal

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/portal/callers"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Headers that say who reads and why. They are headers of every call, so that the reason stands in one place whatever is asked, and in
// no address.
const (
	clerkHeader   = "Shire-Clerk"
	purposeHeader = "Shire-Purpose"
	itemHeader    = "Shire-Item"
	caseHeader    = "Shire-Case"
)

// clientDoor is how a client proves itself, in OpenAPI's words.
const clientDoor = "client"

var shareProblems = []int{400, 401, 403, 408, 409, 413, 415, 422, 429, 503}

func (s *share) routes() []route {
	reason := []parameter{
		{Name: clerkHeader, In: "header", Description: "The acting clerk, by the name that the department gives them; percent-encoded behind UTF-8'' where a program cannot send UTF-8"},
		{Name: purposeHeader, In: "header", Description: "One of the county's purposes"},
		{Name: itemHeader, In: "header", Description: "Code of the service item (实施编码)"},
	}
	withCase := append(slices.Clone(reason), parameter{Name: caseHeader, In: "header", Description: "Number of the caller's open case (办件编号)"})
	person := parameter{Name: "id", In: "path", Pattern: `^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`, Description: "A person's id, as an answer or the mart has it"}
	department := parameter{Name: "department", In: "path", Pattern: codePattern, Description: "Code of the department whose dataset it is"}
	dataset := parameter{Name: "dataset", In: "path", Pattern: codePattern, Description: "Name of the dataset in the catalogue"}
	number := parameter{Name: "case", In: "path", Description: "Number of the caller's open case (办件编号)"}
	prefill := parameter{Name: "prefill", In: "path", Description: "The prefill's id"}
	with := func(first []parameter, more ...parameter) []parameter { return append(slices.Clone(more), first...) }
	return append([]route{
		{
			Path: "/api/v1/departments/{department}/datasets/{dataset}/records/{key}", ID: "record", Summary: "A department's own record, as far as it is shared",
			Parameters: with(withCase, department, dataset, parameter{Name: "key", In: "path", Description: "The record's key; %1F joins the parts of a composite one. Keys that are personal data are refused here: see recordLookup"},
				parameter{Name: "fields", In: "query", Description: "Fields that are wanted, with commas; all that is covered when absent"}),
			Result: SharedRecord{}, Problems: shareProblems, Door: clientDoor, handle: s.client("record", s.record),
		},
		{
			Method: http.MethodPost, Path: "/api/v1/departments/{department}/datasets/{dataset}/records/lookup", ID: "recordLookup",
			Summary: "A department's own record by a key that must not stand in an address", Parameters: with(withCase, department, dataset),
			Body: RecordLookup{}, Result: SharedRecord{}, Problems: shareProblems, Door: clientDoor, handle: s.client("record", s.recordLookup),
		},
		{
			Path: "/api/v1/persons/{id}", ID: "person", Summary: "What departments hold on a person, each value with its source, and conflicts as conflicts",
			Parameters: with(withCase, person), Result: SharedPerson{}, Problems: shareProblems, Door: clientDoor, handle: s.client("person", s.person),
		},
		{
			Method: http.MethodPost, Path: "/api/v1/persons/lookup", ID: "personLookup", Summary: "The same for the applicant of the case whom identity attributes fit",
			Parameters: withCase, Body: PersonLookup{}, Result: SharedPerson{}, Problems: shareProblems, Door: clientDoor, handle: s.client("lookup", s.lookup),
		},
		{
			Path: "/api/v1/persons/{id}/accesses", ID: "personAccesses", Summary: "Who read what on a person, why and when: for the resident's counter",
			Parameters: with(withCase, person), Result: PersonAccesses{}, Problems: shareProblems, Door: clientDoor, handle: s.client("accesses", s.accesses),
		},
		{
			Method: http.MethodPost, Path: "/api/v1/cases/{case}/prefill", ID: "prefill", Summary: "Which required materials are met from shared data, and which have to be asked for",
			Parameters: with(reason, number), Body: PrefillQuestion{}, Result: PrefillAnswer{}, Problems: shareProblems, Door: clientDoor, handle: s.client("prefill", s.prefill),
		},
		{
			Method: http.MethodPost, Path: "/api/v1/cases/{case}/prefill/{prefill}/use", ID: "prefillUse", Summary: "Take a material from shared data",
			Parameters: with(reason, number, prefill), Body: MaterialUse{}, NoContent: true, Problems: shareProblems, Door: clientDoor, handle: s.client("use", s.use),
		},
		{
			Method: http.MethodPost, Path: "/api/v1/cases/{case}/prefill/{prefill}/decline", ID: "prefillDecline", Summary: "Ask for a material in spite of the prefill, and say why",
			Parameters: with(reason, number, prefill), Body: MaterialDecline{}, NoContent: true, Problems: shareProblems, Door: clientDoor, handle: s.client("decline", s.decline),
		},
	}, s.correctionRoutes()...)
}

// reader is who reads, and why. What is missing is for policy to refuse, which writes it down.
func reader(r *http.Request, c callers.Caller) (disclosure.Reader, error) {
	out := disclosure.Reader{Client: c.Client, Department: c.Department}
	for header, to := range map[string]*string{clerkHeader: &out.Clerk, purposeHeader: &out.Purpose, itemHeader: &out.Item, caseHeader: &out.Case} {
		text, err := headerText(r, header)
		if err != nil {
			return out, err
		}
		*to = text
	}
	if number := r.PathValue("case"); number != "" {
		if out.Case != "" && out.Case != number {
			return out, malformed("the address and "+caseHeader+" name two cases; leave the header out", "地址与 "+caseHeader+" 中的办件编号不一致，请去掉该请求头")
		}
		out.Case = number
	}
	return out, nil
}

func malformed(en, zh string) *Problem {
	return problem(http.StatusBadRequest, codeMalformed, sentenceOf(en, ".")).zh(zh + "。")
}

// question proves what an address asks: parts that are sound text, and the one parameter that there may be. Whatever else a query
// holds could be personal, and would lie in the logs of proxies.
func question(r *http.Request, parts []string, parameter string) (map[string]string, string, error) {
	values := map[string]string{}
	for _, name := range parts {
		v := r.PathValue(name)
		if v == "" || !soundText(v) && name != "key" {
			return nil, "", malformed("the address is not one of /openapi.json: a part of it is no text", "地址有误：其中一部分不是有效文本")
		}
		values[name] = v
	}
	if r.URL.RawQuery == "" {
		return values, "", nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || parameter == "" || len(query) != 1 || len(query[parameter]) != 1 {
		return nil, "", malformed("the address has parameters that there are not: identity attributes and reasons stand in the body and in headers", "地址含有未知参数：身份信息与理由须放在正文和请求头中")
	}
	return values, query[parameter][0], nil
}

// record answers with a record whose key stands in the address.
func (s *share) record(r *http.Request, c callers.Caller) (any, error) {
	at, fields, err := question(r, []string{"department", "dataset", "key"}, "fields")
	if err != nil {
		return nil, err
	}
	// I7: a key that is personal data must not stand in an address.
	if s.keyIsPersonal(at["dataset"]) {
		return nil, problem(http.StatusBadRequest, codeKeyInURL, "The key of this dataset is personal data, which must not stand in an address. Send it in the body: POST to records/lookup.").
			zh("该数据集的主键属于个人信息，不得出现在地址中。请改用 POST records/lookup，在正文中发送主键。")
	}
	var wanted []string
	if fields != "" {
		wanted = strings.Split(fields, ",")
	}
	return s.oneRecord(r, c, at, strings.Split(at["key"], change.KeySeparator), wanted, nil)
}

func (s *share) recordLookup(r *http.Request, c callers.Caller) (any, error) {
	at, _, err := question(r, []string{"department", "dataset"}, "")
	if err != nil {
		return nil, err
	}
	var q RecordLookup
	if err := readShareBody(r, &q); err != nil {
		return nil, err
	}
	if len(q.Key) == 0 {
		return nil, malformed("the body has no key", "正文缺少 key")
	}
	return s.oneRecord(r, c, at, q.Key, q.Fields, q.Brought)
}

func (s *share) oneRecord(r *http.Request, c callers.Caller, at map[string]string, key, fields []string, brought map[string]string) (any, error) {
	if err := sound(append(slices.Clone(key), fields...), brought); err != nil {
		return nil, err
	}
	who, err := reader(r, c)
	if err != nil {
		return nil, err
	}
	who.Brought = brought
	joined := strings.Join(key, change.KeySeparator)
	return read(s, r, who, "record\x00"+at["dataset"]+"\x00"+joined, func(ctx context.Context) (any, error) {
		record, err := s.o.Desk.Record(ctx, who, at["department"], at["dataset"], joined, fields)
		if err != nil {
			return nil, err
		}
		return sharedRecord(record), nil
	})
}

// keyIsPersonal tells whether a part of a dataset's key is a field that nobody but its owner may see in the clear. A dataset that
// there is not has no key: the desk refuses it.
func (s *share) keyIsPersonal(dataset string) bool {
	c := s.o.Contracts[dataset]
	if c == nil {
		return false
	}
	return slices.ContainsFunc(c.Key, func(name string) bool {
		i, ok := c.Field(name)
		return !ok || c.Fields[i].IsPersonal()
	})
}

func (s *share) person(r *http.Request, c callers.Caller) (any, error) {
	who, id, err := s.aboutPerson(r, c)
	if err != nil {
		return nil, err
	}
	return read(s, r, who, "person\x00"+id.String(), func(ctx context.Context) (any, error) {
		person, err := s.o.Desk.Person(ctx, who, id)
		if err != nil {
			return nil, err
		}
		return sharedPerson(person), nil
	})
}

func (s *share) accesses(r *http.Request, c callers.Caller) (any, error) {
	who, id, err := s.aboutPerson(r, c)
	if err != nil {
		return nil, err
	}
	return read(s, r, who, "person\x00"+id.String(), func(ctx context.Context) (any, error) {
		list, err := s.o.Desk.Accesses(ctx, who, id)
		if err != nil {
			return nil, err
		}
		return personAccesses(list), nil
	})
}

func (s *share) aboutPerson(r *http.Request, c callers.Caller) (disclosure.Reader, pseudonym.ID, error) {
	at, _, err := question(r, []string{"id"}, "")
	if err != nil {
		return disclosure.Reader{}, pseudonym.ID{}, err
	}
	id, err := pseudonym.Parse(at["id"])
	if err != nil || id.String() != at["id"] || id.IsZero() {
		return disclosure.Reader{}, id, malformed("the address holds no person's id, which is written like 01234567-89ab-8def-8123-456789abcdef", "地址中没有有效的人员编号，其形式如 01234567-89ab-8def-8123-456789abcdef")
	}
	who, err := reader(r, c)
	return who, id, err
}

func (s *share) lookup(r *http.Request, c callers.Caller) (any, error) {
	if _, _, err := question(r, nil, ""); err != nil {
		return nil, err
	}
	var q PersonLookup
	if err := readShareBody(r, &q); err != nil {
		return nil, err
	}
	if err := sound([]string{q.Number, q.Name, q.BirthDate}, q.Brought); err != nil {
		return nil, err
	}
	who, err := reader(r, c)
	if err != nil {
		return nil, err
	}
	who.Brought = q.Brought
	return read(s, r, who, "lookup\x00"+q.Number+"\x00"+q.Name+"\x00"+q.BirthDate, func(ctx context.Context) (any, error) {
		person, err := s.o.Desk.Lookup(ctx, who, disclosure.Attributes{Number: q.Number, Name: q.Name, BirthDate: q.BirthDate})
		if err != nil {
			return nil, err
		}
		return sharedPerson(person), nil
	})
}

func (s *share) prefill(r *http.Request, c callers.Caller) (any, error) {
	var q PrefillQuestion
	who, _, err := s.aboutCase(r, c, []string{"case"}, &q)
	if err != nil {
		return nil, err
	}
	if err := sound(q.Materials, nil); err != nil {
		return nil, err
	}
	var person pseudonym.ID
	if q.Person != nil {
		person = *q.Person
	}
	return read(s, r, who, "case\x00"+who.Case+"\x00"+person.String(), func(ctx context.Context) (any, error) {
		answer, err := s.o.Prefill.Prefill(ctx, who, person, q.Materials)
		if err != nil {
			return nil, err
		}
		return prefillAnswer(answer), nil
	})
}

func (s *share) use(r *http.Request, c callers.Caller) (any, error) {
	var q MaterialUse
	who, at, err := s.aboutCase(r, c, []string{"case", "prefill"}, &q)
	if err != nil {
		return nil, err
	}
	if err := sound([]string{q.Material}, nil); err != nil {
		return nil, err
	}
	return read(s, r, who, "case\x00"+who.Case+"\x00", func(ctx context.Context) (any, error) {
		return nil, s.o.Prefill.Use(ctx, who, at["prefill"], q.Material)
	})
}

func (s *share) decline(r *http.Request, c callers.Caller) (any, error) {
	var q MaterialDecline
	who, at, err := s.aboutCase(r, c, []string{"case", "prefill"}, &q)
	if err != nil {
		return nil, err
	}
	if err := sound([]string{q.Material, q.Reason}, nil); err != nil {
		return nil, err
	}
	return read(s, r, who, "case\x00"+who.Case+"\x00", func(ctx context.Context) (any, error) {
		return nil, s.o.Prefill.Decline(ctx, who, at["prefill"], q.Material, q.Reason)
	})
}

// aboutCase reads a call about a case of the address.
func (s *share) aboutCase(r *http.Request, c callers.Caller, parts []string, body any) (disclosure.Reader, map[string]string, error) {
	at, _, err := question(r, parts, "")
	if err != nil {
		return disclosure.Reader{}, nil, err
	}
	if err := readShareBody(r, body); err != nil {
		return disclosure.Reader{}, nil, err
	}
	who, err := reader(r, c)
	return who, at, err
}

// sound proves the texts of a body.
func sound(texts []string, brought map[string]string) error {
	if len(texts) > mostList || len(brought) > mostList {
		return malformed(fmt.Sprintf("a list has more than %d entries", mostList), fmt.Sprintf("列表超过 %d 项", mostList))
	}
	for text := range maps.Values(brought) {
		texts = append(texts, text)
	}
	if slices.ContainsFunc(texts, func(s string) bool { return !soundText(s) }) {
		return malformed(fmt.Sprintf("a text has more than %d characters, begins or ends with a space, or holds control characters", mostText),
			fmt.Sprintf("文本超过 %d 个字符、首尾有空格，或含有控制字符", mostText))
	}
	return nil
}
