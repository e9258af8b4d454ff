package main

import (
	"context"
	"fmt"
	"time"

	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/schemas/sharing"
)

// demoRequests lets the simulated county's departments have asked each other for data: requests and grants in different states,
// each brought about by the acts that lead there. A county that has requests already is left as it is.
func (n *node) demoRequests(ctx context.Context, now time.Time) error {
	all, err := n.exchange.Requests(ctx)
	if err != nil || len(all) > 0 {
		return err
	}
	_, items, err := n.figures.Labels(ctx)
	if err != nil || len(items) < 2 {
		return err
	}
	const day = 24 * time.Hour
	full, partial := sharing.Full, sharing.Partial
	type fields = map[string]sharing.Mask
	approve := pipeline.Step{Act: sharing.Approve, After: 3 * day}
	deliver := pipeline.Step{Act: sharing.Deliver, After: 2 * day}
	for i, demo := range []struct {
		from, dataset, purpose string
		fields                 fields
		ago                    int // days
		steps                  []pipeline.Step
	}{
		{"civil_affairs", "insured_persons", "eligibility_review", fields{"name": partial, "citizen_number": sharing.Equals, "status": full}, 40, []pipeline.Step{approve, deliver}},
		{"social_security", "residents", "case_handling", fields{"name": full, "address": partial, "status": full}, 24, nil}, // overdue
		{"education", "residents", "material_reuse", fields{"register_number": sharing.Exists, "division": full}, 6,
			[]pipeline.Step{{Act: sharing.GiveBack, After: 2 * day, Reason: "请说明入学审核需要户口簿编号的依据。"}}},
		{"health", "marriages", "case_handling", fields{"registered_on": full}, 30,
			[]pipeline.Step{{Act: sharing.Refuse, After: 5 * day, Reason: "生育登记不以婚姻登记为条件。", Ground: "政务数据共享条例：共享以履行职责所必需为限"}}},
		{"civil_affairs", "residents", "eligibility_review", fields{"name": full, "household_number": full, "status": full}, 9, []pipeline.Step{approve}}, // to be delivered
		{"natural_resources", "marriages", "material_reuse", fields{"certificate_number": partial, "registered_on": full}, 60,
			[]pipeline.Step{approve, deliver, {Act: sharing.Suspend, After: 20 * day, Reason: "核查超范围调用。", Lead: true}}},
		{"grid", "council_decisions", "case_handling", fields{"decision": full, "due_on": full}, 0, nil}, // unconditional, made today
	} {
		at := now.AddDate(0, 0, -demo.ago)
		asking := pipeline.Asking{Request: fmt.Sprintf("R%s-DEMOAAA%c", at.In(n.zone).Format("20060102"), 'A'+rune(i)), From: demo.from, At: at, Terms: sharing.Terms{
			Dataset: demo.dataset, Fields: demo.fields, Purpose: demo.purpose, Items: []string{items[0].Key, items[1].Key}, From: at, Until: at.AddDate(1, 0, 0),
		}}
		if _, err := n.exchange.Bring(ctx, "演示", asking, demo.steps...); err != nil {
			return err
		}
	}
	return nil
}
