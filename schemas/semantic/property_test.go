package semantic_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/schemas/semantic"
	"pgregory.net/rapid"
)

// citizenNumbers generates valid numbers.
func citizenNumbers() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		province := rapid.SampledFrom(strings.Fields("11 13 15 22 31 35 37 41 46 50 54 61 65 71 81 82 83 91")).Draw(t, "province")
		rest := fmt.Sprintf("%04d", rapid.IntRange(0, 9999).Draw(t, "county"))
		if province[0] == '8' {
			rest = "0000"
		}
		birth := time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, rapid.IntRange(0, 50000).Draw(t, "birth")).Format("20060102")
		first := province + rest + birth + fmt.Sprintf("%03d", rapid.IntRange(0, 999).Draw(t, "sequence"))
		check, _ := semantic.CheckDigit(first)
		return first + string(rune(check))
	})
}

func TestValidCitizenNumbersAreCanonical(t *testing.T) {
	typ := mustNew(t, "citizen_number", nil)
	rapid.Check(t, func(t *rapid.T) {
		id := citizenNumbers().Draw(t, "id")
		if got, p := parse(typ, id); p != nil || got != id {
			t.Fatalf("have %q %v", got, p)
		}
		// Spaces, width and case change nothing.
		var messy strings.Builder
		for _, r := range strings.ToLower(id) {
			switch rapid.IntRange(0, 3).Draw(t, "mess") {
			case 0:
				r += 0xFEE0
			case 1:
				messy.WriteRune(rapid.SampledFrom([]rune(" \t\u3000\u200b")).Draw(t, "blank"))
			}
			messy.WriteRune(r)
		}
		if got, p := parse(typ, messy.String()); p != nil || got != id {
			t.Fatalf("%q: have %q %v", messy.String(), got, p)
		}
	})
}

func TestOneWrongDigitIsAlwaysFound(t *testing.T) {
	typ := mustNew(t, "citizen_number", nil)
	rapid.Check(t, func(t *rapid.T) {
		id := []byte(citizenNumbers().Draw(t, "id"))
		i := rapid.IntRange(0, 17).Draw(t, "position")
		alphabet := "0123456789"
		if i == 17 {
			alphabet = "0123456789X"
		}
		was := id[i]
		id[i] = rapid.SampledFrom([]byte(alphabet)).Filter(func(c byte) bool { return c != was }).Draw(t, "digit")
		if _, p := parse(typ, string(id)); p == nil {
			t.Fatalf("%s was accepted", id)
		}
	})
}

func TestNeighboursSwappedAreAlwaysFound(t *testing.T) {
	typ := mustNew(t, "citizen_number", nil)
	rapid.Check(t, func(t *rapid.T) {
		id := []byte(citizenNumbers().Draw(t, "id"))
		i := rapid.IntRange(0, 16).Draw(t, "position")
		if id[i] == id[i+1] {
			return
		}
		id[i], id[i+1] = id[i+1], id[i]
		if _, p := parse(typ, string(id)); p == nil {
			t.Fatalf("%s was accepted", id)
		}
	})
}

func TestFifteenDigitsRoundTrip(t *testing.T) {
	typ := mustNew(t, "citizen_number", nil)
	rapid.Check(t, func(t *rapid.T) {
		id := citizenNumbers().Filter(func(id string) bool { return id[6:8] == "19" }).Draw(t, "id")
		fifteen := id[:6] + id[8:17]
		if got, ok := semantic.Upgrade15(fifteen); !ok || got != id {
			t.Fatalf("have %q %t, want %q", got, ok, id)
		}
		if got, p := parse(typ, fifteen); p != nil || got != id {
			t.Fatalf("have %q %v, want %q", got, p, id)
		}
	})
}

func TestOrganisationCodesDetectOneWrongCharacter(t *testing.T) {
	const alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
	typ := mustNew(t, "organisation_code", nil)
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		b.WriteString(rapid.SampledFrom([]string{"11", "12", "51", "91", "92", "93", "A1", "N2", "Y1"}).Draw(t, "kind"))
		b.WriteString(rapid.SampledFrom([]string{"100000", "110101", "350100", "350102", "659001"}).Draw(t, "region"))
		for range 9 {
			b.WriteByte(rapid.SampledFrom([]byte(alphabet)).Draw(t, "character"))
		}
		check, _ := semantic.OrganisationCheck(b.String())
		id := []byte(b.String() + string(rune(check)))
		if got, p := parse(typ, strings.ToLower(string(id))); p != nil || got != string(id) {
			t.Fatalf("have %q %v, want %q", got, p, id)
		}
		i := rapid.IntRange(0, 17).Draw(t, "position")
		was := id[i]
		id[i] = rapid.SampledFrom([]byte(alphabet)).Filter(func(c byte) bool { return c != was }).Draw(t, "wrong")
		if _, p := parse(typ, string(id)); p == nil {
			t.Fatalf("%s was accepted", id)
		}
	})
}

// A timestamp written out and read again is the same, in any zone.
func TestTimestampsRoundTrip(t *testing.T) {
	typ := mustNew(t, "timestamp", nil).(semantic.TimestampType)
	rapid.Check(t, func(t *rapid.T) {
		micros := rapid.Int64Range(-2208988800e6, 10413792000e6-1).Draw(t, "micros")
		at := time.UnixMicro(micros).UTC()
		zone := time.FixedZone("", rapid.IntRange(-14*60, 14*60).Draw(t, "offset")*60)
		if semantic.FormatTimestamp(micros) != at.Format("2006-01-02T15:04:05.000000Z") {
			t.Fatalf("format: have %s, want %s", semantic.FormatTimestamp(micros), at)
		}
		for _, s := range []string{semantic.FormatTimestamp(micros), at.In(zone).Format("2006-01-02 15:04:05.999999-07:00")} {
			got, p := typ.ParseTimestamp(s)
			if p != nil && p.Code == semantic.CodeOutOfRange && (at.In(zone).Year() < 1900 || at.In(zone).Year() > 2299) {
				continue // the local year falls outside although the instant does not
			}
			if p != nil || got != micros {
				t.Fatalf("%s: have %d %v, want %d", s, got, p, micros)
			}
		}
	})
}

func TestMoneyRoundTrip(t *testing.T) {
	typ := mustNew(t, "money", nil).(semantic.DecimalType)
	rapid.Check(t, func(t *rapid.T) {
		fen := rapid.Int64().Draw(t, "fen")
		if fen == -1<<63 {
			return // has no positive twin
		}
		sign, n := "", fen
		if fen < 0 {
			sign, n = "-", -fen
		}
		yuan := fmt.Sprint(n / 100)
		grouped := ""
		for len(yuan) > 3 {
			yuan, grouped = yuan[:len(yuan)-3], ","+yuan[len(yuan)-3:]+grouped
		}
		s := fmt.Sprintf("%s¥%s.%02d元", sign, yuan+grouped, n%100)
		if got, p := typ.ParseDecimal(s); p != nil || got != fen {
			t.Fatalf("%s: have %d %v, want %d", s, got, p, fen)
		}
	})
}
