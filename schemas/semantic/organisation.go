package semantic

func init() {
	register(Definition{
		Name: "organisation_code", Kind: Text,
		Doc: Doc{
			Zh: "统一社会信用代码（GB 32100）：18 位数字和大写字母（不用 I O S V Z），第 3 至 8 位为登记机关行政区划，末位校验。",
			En: "Unified social credit code (统一社会信用代码, GB 32100): 18 digits and capitals without I, O, S, V, Z; characters 3 to 8 are the " +
				"region of the registry, the last is a check.",
		},
		build: func(*arguments) Type { return organisationCode{named{"organisation_code", Text}} },
	})
}

var (
	organisationFormat   = &Problem{CodeFormat, "the organisation code does not have 18 characters"}
	organisationAlphabet = &Problem{CodeFormat, "the organisation code has a character outside 0-9 and A-Z without I, O, S, V, Z (is an O meant as 0, an I as 1?)"}
	organisationRegion   = &Problem{CodeBadRegion, "characters 3 to 8 of the organisation code are no region that exists"}
	organisationCheck    = &Problem{CodeCheckDigit, "the check character of the organisation code does not match the rest"}
)

const organisationLetters = "0123456789ABCDEFGHJKLMNPQRTUWXY"

// organisationValues maps a byte to its value plus one; 0 means the byte is not in the alphabet.
var organisationValues = func() (v [256]uint8) {
	for i := range len(organisationLetters) {
		v[organisationLetters[i]] = uint8(i + 1)
	}
	return
}()

type organisationCode struct{ named }

// ParseText returns the 18 characters of the code.
func (organisationCode) ParseText(s string) (string, *Problem) {
	if len(s) == 18 {
		if p := validateOrganisation(s); p == nil {
			return s, nil
		}
	}
	var buf [24]byte
	b, p := compact(buf[:], s, organisationFormat)
	if p != nil {
		return "", p
	}
	t := string(b)
	if len(t) != 18 {
		if isRun(t) && len(t) > 4 {
			return "", problemPlaceholder
		}
		return "", refusal(t, organisationFormat)
	}
	return checked(t, validateOrganisation(t))
}

func validateOrganisation(s string) *Problem {
	if isRun(s) { // eighteen zeros satisfy the checksum
		return problemPlaceholder
	}
	check, ok := OrganisationCheck(s)
	switch {
	case !ok || organisationValues[s[17]] == 0:
		return refusal(s, organisationAlphabet)
	case !allDigits(s[2:8]) || !isProvince(two(s[2:])) && s[2:8] != "100000": // 100000: registered with the central government
		return organisationRegion
	case check != s[17]:
		return organisationCheck
	}
	return nil
}

// OrganisationCheck computes the check character from the first 17 characters of an organisation code. It reports false if
// s is shorter or uses a character outside the alphabet.
func OrganisationCheck(s string) (byte, bool) {
	if len(s) < 17 {
		return 0, false
	}
	sum, weight := uint(0), uint(1) // weights 3^(i-1) mod 31
	for i := range 17 {
		v := organisationValues[s[i]]
		if v == 0 {
			return 0, false
		}
		sum += uint(v-1) * weight
		weight = weight * 3 % 31
	}
	return organisationLetters[(31-sum%31)%31], true
}
