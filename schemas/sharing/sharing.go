// Package sharing holds the rules by which departments share what they know about people: the deadlines of each
// jurisdiction, requests and the grants that come of them, how a field is masked, and the decision on each single read (I8).
//
// Nothing here reads or writes anything: requests are folded from the events of the bus, and a decision is a function of what
// it is given. What no grant covers is denied.
package sharing

import (
	"slices"
	"strings"
	"time"
)

// Terms are what is asked for, and what is granted.
type Terms struct {
	Dataset string          `json:"dataset"`
	Fields  map[string]Mask `json:"fields"`  // by the contract's names: how much of each
	Purpose string          `json:"purpose"` // one of the county's purposes
	Items   []string        `json:"items"`   // codes of the service items (实施编码) for whose cases it is needed
	Rows    Rows            `json:"rows"`
	From    time.Time       `json:"from"`
	Until   time.Time       `json:"until"` // exclusive: nothing is granted for ever
}

// Rows are which records.
type Rows struct {
	Divisions []string `json:"divisions,omitempty"` // of the record, and what lies in them (GB/T 2260: 331099 holds 331099001); all when empty
	Own       bool     `json:"own,omitempty"`       // only of cases of the asking department itself
}

// Match tells whether a record of a division, read for a case of a department, is among the rows of who asks.
func (r Rows) Match(division string, caseDepartment, asking string) bool {
	if r.Own && caseDepartment != asking {
		return false
	}
	if len(r.Divisions) == 0 {
		return true
	}
	return division != "" && slices.ContainsFunc(r.Divisions, func(d string) bool { return strings.HasPrefix(division, d) })
}

// within tells whether all that r lets through, other lets through.
func (r Rows) within(other Rows) bool {
	if other.Own && !r.Own {
		return false
	}
	if len(other.Divisions) == 0 {
		return true
	}
	return len(r.Divisions) > 0 && !slices.ContainsFunc(r.Divisions, func(d string) bool {
		return !slices.ContainsFunc(other.Divisions, func(o string) bool { return strings.HasPrefix(d, o) })
	})
}

// maxDuration bounds a grant: what is still needed then is asked for again.
const maxDuration = 3 * 366 * 24 * time.Hour

// check says what is wrong with the terms by themselves.
func (t Terms) check() error {
	switch {
	case t.Dataset == "":
		return refusal("bad_terms", "the terms name no dataset", "未写明申请的目录项")
	case len(t.Fields) == 0:
		return refusal("bad_terms", "the terms name no field; say which fields are needed", "未写明需要的信息项")
	case t.Purpose == "":
		return refusal("bad_terms", "the terms name no purpose", "未写明用途")
	case len(t.Items) == 0 || slices.Contains(t.Items, ""):
		return refusal("bad_terms", "the terms name no service item for whose cases the data is needed", "未写明用于哪些政务服务事项")
	case slices.Contains(t.Rows.Divisions, ""):
		return refusal("bad_terms", "a division of the rows is empty; leave divisions out for all", "行政区划有空值；需要全部时请留空")
	case !t.From.Before(t.Until):
		return refusal("bad_terms", "the terms end on %s, which is not after their beginning", "有效期止于 %s，不晚于开始日期", t.Until.Format(time.DateOnly))
	case t.Until.Sub(t.From) > maxDuration:
		return refusal("bad_terms", "the terms last longer than three years; ask for less, and again when it ends", "有效期超过三年；请缩短，到期再申请")
	}
	for name, m := range t.Fields {
		if m.shows() < 0 {
			return refusal("bad_terms", "field %s: there is no mask %q; the masks are %v", "信息项 %s：没有 %q 这种脱敏方式，可用的有 %v", name, string(m), Masks)
		}
	}
	return nil
}

// Within says whether t gives no more than other does, and if it does, what.
func (t Terms) Within(other Terms) error {
	if t.Dataset != other.Dataset {
		return refusal("too_much", "the dataset is %s and not %s", "目录项是 %s，不是 %s", t.Dataset, other.Dataset)
	}
	for name, m := range t.Fields {
		if most, asked := other.Fields[name]; !asked {
			return refusal("too_much", "the field %s was not asked for", "没有申请信息项 %s", name)
		} else if !m.Within(most) {
			return refusal("too_much", "the field %s was asked for as %s, and %s shows more", "信息项 %s 申请的是 %s，%s 显示得更多", name, most, m)
		}
	}
	if t.Purpose != other.Purpose {
		return refusal("too_much", "the purpose is %s and not %s", "用途是 %s，不是 %s", t.Purpose, other.Purpose)
	}
	for _, item := range t.Items {
		if !slices.Contains(other.Items, item) {
			return refusal("too_much", "the service item %s was not asked for", "没有申请事项 %s", item)
		}
	}
	if !t.Rows.within(other.Rows) {
		return refusal("too_much", "there are more rows than were asked for", "数据范围大于申请")
	}
	if t.From.Before(other.From) || t.Until.After(other.Until) {
		return refusal("too_much", "the time is longer than was asked for", "有效期长于申请")
	}
	return nil
}

func (t Terms) clone() Terms {
	fields := make(map[string]Mask, len(t.Fields))
	for name, m := range t.Fields {
		fields[name] = m
	}
	t.Fields = fields
	t.Items, t.Rows.Divisions = slices.Clone(t.Items), slices.Clone(t.Rows.Divisions)
	return t
}
