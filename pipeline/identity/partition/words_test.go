package partition_test

import (
	"fmt"
	"testing"

	"github.com/shirecounty/shire/pipeline/identity/partition"
)

// What is trained on says where each record comes from, and what is compared is weighed by it.
func TestWordsHaveTheirDataset(t *testing.T) {
	r := open(t, t.TempDir())
	defer r.p.Close()
	spec := small(t, 1, 100)
	r.choose(t, spec)
	for i, dataset := range []string{"careless", "careful"} {
		at := uint64(i+1) << 16
		r.apply(t, []partition.Change{{At: at, Version: at, Record: recordID(i), Dataset: dataset, Role: "r", Values: []string{fmt.Sprint("name ", i), "", "14212345678"}}})
	}
	if err := r.p.Keep(3 << 16); err != nil {
		t.Fatal(err)
	}
	var said []string
	r.p.Words(spec, func(values []string) bool {
		said = append(said, fmt.Sprintf("%q", values))
		return true
	})
	if got, want := fmt.Sprint(said), `[["name 0" "" "14212345678" "careless"] ["name 1" "" "14212345678" "careful"]]`; got != want {
		t.Errorf("the words are %s, want %s", got, want)
	}
	why := r.p.Explain(recordID(0), recordID(1), false)
	if why == nil || why.Evidence.Steps[0].Source <= 0 {
		t.Errorf("that a careless source says otherwise weighs as ever: %+v", why)
	}
}
