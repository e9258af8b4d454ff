package sharing_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/schemas/sharing"
)

func TestMasks(t *testing.T) {
	hash := func(s string) string { return "#" + s[:1] }
	for _, test := range []struct {
		mask           sharing.Mask
		value, brought string
		text           string
		holds          bool
	}{
		{sharing.Exists, "正常", "", "", true},
		{sharing.Exists, "", "", "", false},
		{sharing.Equals, "正常", "正常", "", true},
		{sharing.Equals, "正常", "中断", "", false},
		{sharing.Equals, "", "", "", false}, // nothing is not equal to nothing: it would tell that there is none
		{sharing.Hashed, "abc", "", "#a", false},
		{sharing.Hashed, "", "", "", false},
		{sharing.Partial, "", "", "", false},
		{sharing.Partial, "张", "", "*", false},
		{sharing.Partial, "张三", "", "张*", false},
		{sharing.Partial, "1234567", "", "1******", false},
		{sharing.Partial, "12345678", "", "12****78", false}, // a telephone at home
		{sharing.Partial, "123456789", "", "12*****89", false},
		{sharing.Partial, "1234567890", "", "123*****90", false},
		{sharing.Partial, "13812345678", "", "138******78", false},
		{sharing.Partial, "11010519491231002X", "", "110***********002X", false},
		{sharing.Full, "张三", "", "张三", false},
	} {
		got, err := test.mask.Apply(test.value, test.brought, hash)
		if want := (sharing.Masked{Mask: test.mask, Value: test.text, Holds: test.holds}); err != nil || got != want {
			t.Errorf("%q as %s beside %q: %+v, %v; want %+v", test.value, test.mask, test.brought, got, err, want)
		}
	}
	for _, mask := range []sharing.Mask{"", "all", "FULL"} {
		if got, err := mask.Apply("张三", "张三", hash); err == nil || got != (sharing.Masked{}) {
			t.Errorf("under the mask %q, which there is not, %+v is shown", mask, got)
		}
		if mask.Within(sharing.Full) || mask.Within(mask) || sharing.Exists.Within(mask) {
			t.Errorf("the mask %q, which there is not, is compared", mask)
		}
	}
	for i, less := range sharing.Masks {
		for k, more := range sharing.Masks {
			if less.Within(more) != (i <= k) {
				t.Errorf("%s within %s is %t", less, more, less.Within(more))
			}
		}
	}
}

// Whatever the value, a part of it shows at most half of its characters, each where it stands.
func TestAPartIsAtMostHalf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := []rune(rapid.StringMatching(`[一-龥0-9X]{0,40}`).Draw(t, "value"))
		m, err := sharing.Partial.Apply(string(value), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		shown, out := 0, []rune(m.Value)
		for i, c := range out {
			if c != '*' && c == value[i] {
				shown++
			} else if c != '*' {
				t.Fatalf("%q is not what stands there", c)
			}
		}
		if len(out) != len(value) || 2*shown > len(value) || slices.Equal(out, value) && len(value) > 0 {
			t.Fatalf("%s shows %d of %d characters", m.Value, shown, len(value))
		}
	})
}
