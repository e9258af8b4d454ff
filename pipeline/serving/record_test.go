package serving

import (
	"reflect"
	"testing"
	"time"

	"github.com/shirecounty/shire/schemas/pseudonym"
)

// What was damaged is told, and never read as something else without a word: here, decode must not panic, nor take memory for
// what is not there, and what it takes it writes alike.
func FuzzDecode(f *testing.F) {
	full := &Record{Version: 9, Dataset: "d", SourceTime: time.UnixMicro(5).UTC(), Fields: []Field{{"a", "b"}}, Mentions: []Mention{{true, "r", pseudonym.ID{1}, pseudonym.ID{2}}},
		Case: &Case{Number: "C"}, Holdings: []Holding{{Material: "m", From: -3}}}
	f.Add(full.encode(nil))
	f.Add((&Record{}).encode(nil))
	f.Add([]byte{format, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decode(pseudonym.ID{}, data)
		if err != nil {
			return
		}
		again, err := decode(pseudonym.ID{}, r.encode(nil))
		if err != nil || !reflect.DeepEqual(r, again) {
			t.Fatalf("%+v is written and read as %+v, %v", r, again, err)
		}
	})
}

func TestDecimal(t *testing.T) {
	for want, v := range map[string]int64{"0.00": 0, "0.05": 5, "-0.05": -5, "12.30": 1230, "-1.00": -100} {
		if got := decimal(v, 2); got != want {
			t.Errorf("%d is written as %s and not as %s", v, got, want)
		}
	}
	if decimal(-7, 0) != "-7" {
		t.Error(decimal(-7, 0))
	}
}
