package contract_test

import (
	"strings"
	"testing"

	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
)

func TestOnDrift(t *testing.T) {
	const field = "headers: [办件编号]"
	plain := strings.Replace(good, field, "headers: [办件编号, 编号]", 1)
	ruled := strings.Replace(plain, "version: 1", "version: 1\ndrift: {new_columns: freeze, lost_columns: evolve, changed_types: quarantine, accepted: [备注]}", 1)
	now := []string{"编号", "item"}
	for _, c := range []struct {
		name, text string
		drift      change.Drift
		want       contract.Reaction
	}{
		{"new", plain, change.Drift{Code: change.NewColumn, Column: "电话"}, contract.Evolve},
		{"new and claimed", plain, change.Drift{Code: change.NewColumn, Column: "编号"}, ""},
		{"lost", plain, change.Drift{Code: change.LostColumn, Column: "visits"}, contract.Wait},
		{"lost and unclaimed", plain, change.Drift{Code: change.LostColumn, Column: "电话"}, contract.Evolve},
		{"lost, another name there", plain, change.Drift{Code: change.LostColumn, Column: "办件编号"}, ""},
		{"type", plain, change.Drift{Code: change.ChangedType, Column: "visits", Was: "int", Is: "text"}, contract.Evolve},
		{"new, ruled", ruled, change.Drift{Code: change.NewColumn, Column: "电话"}, contract.Freeze},
		{"new and accepted", ruled, change.Drift{Code: change.NewColumn, Column: "备注"}, ""},
		{"lost, ruled", ruled, change.Drift{Code: change.LostColumn, Column: "visits"}, contract.Evolve},
		{"type, ruled", ruled, change.Drift{Code: change.ChangedType, Column: "visits", Was: "int", Is: "text"}, contract.Wait},
		{"type of nobody's, ruled", ruled, change.Drift{Code: change.ChangedType, Column: "电话", Was: "int", Is: "text"}, contract.Evolve},
		{"type and accepted", ruled, change.Drift{Code: change.ChangedType, Column: "备注", Was: "int", Is: "text"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := parse(t, c.text)
			if err != nil {
				t.Fatal(err)
			}
			if got := d.OnDrift(c.drift, now); got != c.want {
				t.Errorf("%q, not %q", got, c.want)
			}
		})
	}
	_, err := parse(t, strings.Replace(good, "version: 1", "version: 1\ndrift: {new_columns: freez}", 1))
	if err == nil || !strings.Contains(err.Error(), `c.yaml:6: reaction "freez" is not known; did you mean "freeze"?`) {
		t.Errorf("%v", err)
	}
}
