package web_test

import (
	"testing"

	"github.com/shirecounty/shire/connectors/conformance"
	_ "github.com/shirecounty/shire/connectors/web"
)

func TestConformance(t *testing.T) {
	for _, mode := range []string{"all", "counted", "feed", "since", "linked", "keyed", "whole"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			conformance.Run(t, conformance.Suite{
				New: func(t *testing.T) conformance.System { return newAPI(t, mode) },
				Skips: map[string]string{
					conformance.Rollback:   "a web service lists what was committed; it has no transaction that could be taken back",
					conformance.Zones:      "JSON has no type for times: a service writes text, and it arrives as it was written",
					conformance.SummerTime: "JSON has no type for times: a service writes text, and it arrives as it was written",
				},
			})
		})
	}
}
