package semantic

func init() {
	register(Definition{
		Name: "citizen_number", Kind: Text, Personal: true,
		Doc: Doc{
			Zh: "公民身份号码（GB 11643）：18 位，末位校验；15 位旧号补 19 和校验位成为 18 位；全角、空格、小写 x 自动规整。港澳台居民居住证（810000、820000、830000）" +
				"和外国人永久居留身份证（9 开头 18 位，或旧式 3 个字母加 12 位数字）同样接受。",
			En: "Citizen number (公民身份号码, GB 11643): 18 characters, the last a check. A 15-digit number gains 19 and the check character. " +
				"Full width, blanks and a lower-case x are mended. Residence permits of Hong Kong, Macao and Taiwan (810000, 820000, 830000) and the " +
				"permanent-residence card (18 digits starting with 9 since 2023, before that 3 letters and 12 digits) are accepted too.",
		},
		build: func(*arguments) Type { return citizenNumber{named{"citizen_number", Text}} },
	})
}

var (
	citizenFormat = &Problem{CodeFormat, "the citizen number does not have 18 characters (or the 15 digits of the old form)"}
	citizenRegion = &Problem{CodeBadRegion, "the citizen number starts with a region that does not exist"}
	citizenDate   = &Problem{CodeNoSuchDate, "the birth date inside the citizen number does not exist"}
	citizenCheck  = &Problem{CodeCheckDigit, "the check character of the citizen number does not match its digits"}
)

type citizenNumber struct{ named }

// ParseText returns the 18 characters of the number, or the 15 of an old permanent-residence card.
func (citizenNumber) ParseText(s string) (string, *Problem) {
	if len(s) == 18 && allDigits(s[:17]) && (isDigit(s[17]) || s[17] == 'X') {
		return checked(s, validate18(s))
	}
	var buf [24]byte
	b, p := compact(buf[:], s, citizenFormat)
	if p != nil {
		return "", p
	}
	t := string(b)
	switch {
	case isRun(t) && len(t) > 4:
		return "", problemPlaceholder
	case len(t) == 18 && allDigits(t[:17]) && (isDigit(t[17]) || t[17] == 'X'):
		return checked(t, validate18(t))
	case len(t) == 15 && allDigits(t):
		t, _ = Upgrade15(t)
		return checked(t, validate18(t))
	case isOldResidenceCard(t):
		if isRun(t[3:]) {
			return "", problemPlaceholder
		}
		return t, nil
	}
	return "", refusal(t, citizenFormat)
}

// validate18 checks 17 digits and a check character of the right shape.
func validate18(s string) *Problem {
	switch {
	case isRun(s):
		return problemPlaceholder
	case s[0] != '9' && !isRegion(s): // a 9 is a foreigner's card: province and country follow, not a region
		return citizenRegion
	}
	if _, ok := BirthDate(s); !ok {
		return citizenDate
	}
	if check, _ := CheckDigit(s); check != s[17] {
		return citizenCheck
	}
	return nil
}

// isRegion checks the province, and for residence permits the whole region, which has no prefectures.
func isRegion(s string) bool {
	province := two(s)
	if province >= 81 && province <= 83 {
		return s[2:6] == "0000"
	}
	return isProvince(province)
}

// isProvince reports whether GB/T 2260 has a province of this number.
func isProvince(n int) bool {
	// Bit n%10 of entry n/10. Provinces have changed twice since 1980, so the table is in code.
	var table = [10]uint16{1: 0b0111110, 2: 0b0001110, 3: 0b11111110, 4: 0b01111110, 5: 0b0011111, 6: 0b0111110, 7: 0b10, 8: 0b110}
	return n >= 0 && n < 100 && table[n/10]>>(n%10)&1 == 1
}

func isOldResidenceCard(s string) bool {
	if len(s) != 15 || !allDigits(s[3:]) {
		return false
	}
	for i := range 3 {
		if s[i] < 'A' || s[i] > 'Z' {
			return false
		}
	}
	return true
}

// Upgrade15 turns the 15-digit number of before 1999 into the 18 characters of today: 19 after the sixth digit, and the
// check. It reports false if s is not 15 digits.
func Upgrade15(s string) (string, bool) {
	if len(s) != 15 || !allDigits(s) {
		return "", false
	}
	t := s[:6] + "19" + s[6:]
	check, _ := CheckDigit(t)
	return t + string(rune(check)), true
}

// CheckDigit computes the check character, a digit or X, from the first 17 digits (ISO 7064 MOD 11-2). It reports
// false if s has fewer than 17 characters or one of them is no digit.
func CheckDigit(s string) (byte, bool) {
	if len(s) < 17 {
		return 0, false
	}
	weights := [17]uint{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	sum := uint(0)
	for i, w := range weights {
		if !isDigit(s[i]) {
			return 0, false
		}
		sum += w * uint(s[i]-'0')
	}
	return "10X98765432"[sum%11], true
}

// BirthDate returns the birth date in a canonical citizen number, in days since 1970-01-01. It reports false for the old
// permanent-residence card, which does not hold the century, and for a date that does not exist.
func BirthDate(id18 string) (int32, bool) {
	if len(id18) != 18 || !allDigits(id18[6:14]) {
		return 0, false
	}
	year, month, day := two(id18[6:])*100+two(id18[8:]), two(id18[10:]), two(id18[12:])
	// Nobody alive is older than 1850. Whether a birth lies in the future depends on the day of the event, which the
	// contract's checks know and a parser does not.
	if year < 1850 || year > 2099 || !validDate(year, month, day) {
		return 0, false
	}
	return daysFromCivil(year, month, day), true
}

// Sex returns "male" or "female" from a canonical citizen number, or false for the old permanent-residence card.
func Sex(id18 string) (string, bool) {
	if len(id18) != 18 || !isDigit(id18[16]) {
		return "", false
	}
	if (id18[16]-'0')%2 == 1 {
		return "male", true
	}
	return "female", true
}

// Region returns the six digits of the region that issued a canonical citizen number. It reports false for
// permanent-residence cards, which hold a country instead.
func Region(id18 string) (string, bool) {
	if len(id18) != 18 || id18[0] == '9' {
		return "", false
	}
	return id18[:6], true
}

// two reads two digits that were already checked.
func two(s string) int { return int(s[0]-'0')*10 + int(s[1]-'0') }
