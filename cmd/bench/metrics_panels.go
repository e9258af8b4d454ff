package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/shirecounty/shire/deploy/grafana"
)

// panelQuestions are what the panels of the dashboards ask, as the analyst, over the two years up to the last complete month, of the whole county and of one
// department. The languages differ in names alone.
func (h *house) panelQuestions() (list []*asked) {
	from, to := lastMonth.Add(-23).Start(h.zone), lastMonth.Add(1).Start(h.zone).Add(-time.Second)
	for _, board := range grafana.Dashboards(h.set) {
		if !strings.Contains(board.File, ".en.") {
			continue
		}
		for _, p := range board.Panels {
			for _, department := range []string{"*", "office 3"} {
				of := ""
				if department != "*" {
					of = ", of one department"
				}
				if of != "" && !strings.Contains(p.SQL, "${department:singlequote}") {
					continue
				}
				sql := strings.NewReplacer("$__fromTime", fmt.Sprintf("toDateTime(%d)", from.Unix()), "$__toTime", fmt.Sprintf("toDateTime(%d)", to.Unix()),
					"${department:singlequote}", "'"+department+"'").Replace(p.SQL)
				list = append(list, &asked{name: "panel: " + p.Title + of, ask: func(ctx context.Context) error {
					rows, err := h.analyst.Query(ctx, sql)
					if err != nil {
						return err
					}
					defer rows.Close()
					for rows.Next() {
					}
					return rows.Err()
				}})
			}
		}
	}
	return list
}
