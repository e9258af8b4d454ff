package semantic

// Problem says why a value was refused. Problems are built before the first value is read: no allocation per bad row,
// and nowhere for the value itself to slip in (I7: no personal value in an error message).
type Problem struct {
	Code    string // stable, for grouping the quarantine: one of Codes
	Message string // a sentence for a person; never contains the value
}

// The codes of problems. They are part of the quarantine's surface: add, do not rename.
const (
	CodeEmpty        = "empty"          // nothing but blanks
	CodePlaceholder  = "placeholder"    // 无, N/A, 000000..., 0000-00-00: text that stands for "not known"
	CodeMasked       = "masked"         // already masked at the source (3501**********)
	CodeScientific   = "scientific"     // a spreadsheet turned digits into 3.5E+17 and lost some
	CodeEncoding     = "encoding"       // not UTF-8, or decoded with the wrong character set upstream
	CodeFormat       = "format"         // not the shape of this type
	CodeTooLong      = "too_long"       //
	CodeBadRegion    = "bad_region"     // no such province
	CodeNoSuchDate   = "no_such_date"   // 2023-02-29
	CodeNoSuchTime   = "no_such_time"   // 25:00
	CodeTwoDigitYear = "two_digit_year" // 24-01-05
	CodeLongTerm     = "long_term"      // 长期: valid without end, which is no date
	CodeCheckDigit   = "check_digit"    // the check character does not match the rest
	CodeNoAreaCode   = "no_area_code"   // a landline number without its area code
	CodeSeveral      = "several"        // two values in one field
	CodeTooPrecise   = "too_precise"    // more decimals than the type keeps
	CodeOutOfRange   = "out_of_range"   // a number or a date beyond what the type or the warehouse can hold
	CodeUnknownCode  = "unknown_code"   // not in the code table
)

// Codes returns every problem code, for the catalogue and for grouping.
func Codes() []string {
	return []string{CodeEmpty, CodePlaceholder, CodeMasked, CodeScientific, CodeEncoding, CodeFormat, CodeTooLong,
		CodeBadRegion, CodeNoSuchDate, CodeNoSuchTime, CodeTwoDigitYear, CodeLongTerm, CodeCheckDigit, CodeNoAreaCode,
		CodeSeveral, CodeTooPrecise, CodeOutOfRange, CodeUnknownCode}
}

// checked returns s only if nothing is wrong with it.
func checked(s string, p *Problem) (string, *Problem) {
	if p != nil {
		return "", p
	}
	return s, nil
}

// Problems that several types share.
var (
	problemEmpty       = &Problem{CodeEmpty, "the value is empty"}
	problemPlaceholder = &Problem{CodePlaceholder, "the value is a placeholder that stands for \"not known\""}
	problemMasked      = &Problem{CodeMasked, "the value was masked with asterisks at the source; ask for it unmasked"}
	problemScientific  = &Problem{CodeScientific, "a spreadsheet turned the digits into scientific notation and lost some of them; export the column as text"}
	problemEncoding    = &Problem{CodeEncoding, "the text is not valid UTF-8; check the character set of the source (GB18030?)"}
)
