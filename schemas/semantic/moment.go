package semantic

// moment is what the text of a date or a timestamp says, before a time zone is applied.
type moment struct {
	year, month, day     int
	hour, minute, second int
	micro                int
	offset               int // seconds east of UTC
	hasOffset            bool
}

// The years that the warehouse's Date32 and DateTime64 hold. They clamp what lies outside without a word, so we refuse it.
const (
	firstYear = 1900
	lastYear  = 2299
)

var (
	momentFormat = &Problem{CodeFormat, "the text is no date in a known format such as 2024-01-05, 2024/1/5, 20240105 or 2024年1月5日, with an optional time such as 08:30:05; give the layout of others as the parameter layout"}
	momentDate   = &Problem{CodeNoSuchDate, "the calendar has no such date"}
	momentTime   = &Problem{CodeNoSuchTime, "the clock has no such time"}
	momentYear   = &Problem{CodeTwoDigitYear, "the year has two digits, so the century is unknown; have the source export four"}
	momentRange  = &Problem{CodeOutOfRange, "the year lies outside 1900 to 2299, which the warehouse cannot hold"}
	momentForm   = &Problem{CodeFormat, "the text does not follow the layout of the contract"}
	momentNumber = &Problem{CodeFormat, "the text is not a number of the kind that the contract names (Excel serial number or epoch)"}
	momentNever  = &Problem{CodeLongTerm, "the text says valid without end (长期), which is no date; the parameter long_term can name one for it"}
)

// scanner reads a text from the left. Every method leaves the position alone unless it succeeds.
type scanner struct {
	s string
	i int
}

func (c *scanner) done() bool { return c.i == len(c.s) }

// accept skips word if it comes next.
func (c *scanner) accept(word string) bool {
	if end := c.i + len(word); end <= len(c.s) && c.s[c.i:end] == word {
		c.i = end
		return true
	}
	return false
}

func (c *scanner) skipSpaces() {
	for c.i < len(c.s) && c.s[c.i] == ' ' {
		c.i++
	}
}

// digits returns how many digits come next.
func (c *scanner) digits() int {
	n := 0
	for c.i+n < len(c.s) && isDigit(c.s[c.i+n]) {
		n++
	}
	return n
}

// number reads n digits that were counted before; n is at most 9.
func (c *scanner) number(n int) int {
	v := 0
	for range n {
		v = v*10 + int(c.s[c.i]-'0')
		c.i++
	}
	return v
}

// short reads a number of one or two digits, or returns -1.
func (c *scanner) short() int {
	if n := c.digits(); n == 1 || n == 2 {
		return c.number(n)
	}
	return -1
}

// scanMoment reads a date with an optional time and offset. It checks that both exist, not that the year is in range.
func scanMoment(s string) (m moment, p *Problem) {
	c := scanner{s: s}
	timeFollows := false
	switch n := c.digits(); n {
	case 4:
		m.year = c.number(4)
		if p := c.scanMonthAndDay(&m); p != nil {
			return m, p
		}
	case 8, 12, 14, 17: // 20240105, and run together with 0830, 083005, 083005123
		m.year, m.month, m.day = c.number(4), c.number(2), c.number(2)
		timeFollows = n > 8
	case 2:
		return m, twoDigitYear(s)
	default:
		return m, momentFormat
	}
	if m.year == 0 && m.month == 0 && m.day == 0 {
		return m, problemPlaceholder // 0000-00-00, the zero date of MySQL
	}
	if !validDate(m.year, m.month, m.day) {
		return m, momentDate
	}
	if c.done() {
		return m, nil
	}
	if !timeFollows && !c.accept("T") && !c.accept("t") {
		c.skipSpaces()
		if c.done() {
			return m, nil
		}
		if c.s[c.i-1] != ' ' && !isIdeograph(c.s, c.i) {
			return m, momentFormat
		}
	}
	if p := c.scanTime(&m); p != nil {
		return m, p
	}
	c.skipSpaces()
	if p := c.scanOffset(&m); p != nil {
		return m, p
	}
	c.skipSpaces()
	if !c.done() {
		return m, momentFormat
	}
	if m.hour > 24 || m.minute > 59 || m.second > 59 || m.hour == 24 && m.minute+m.second+m.micro > 0 {
		return m, momentTime
	}
	return m, nil
}

// isIdeograph reports whether the character before position i is 日 or 号, after which a time needs no blank.
func isIdeograph(s string, i int) bool {
	return i >= 3 && (s[i-3:i] == "日" || s[i-3:i] == "号")
}

func (c *scanner) scanMonthAndDay(m *moment) *Problem {
	chinese := false
	separator := ""
	switch {
	case c.accept("-"):
		separator = "-"
	case c.accept("/"):
		separator = "/"
	case c.accept("."):
		separator = "."
	case c.accept("年"):
		separator, chinese = "月", true
		c.skipSpaces()
	default:
		return momentFormat
	}
	m.month = c.short()
	if chinese {
		c.skipSpaces()
	}
	if m.month < 0 || !c.accept(separator) {
		return momentFormat
	}
	if chinese {
		c.skipSpaces()
	}
	if m.day = c.short(); m.day < 0 {
		return momentFormat
	}
	if chinese {
		c.skipSpaces()
		if !c.accept("日") {
			c.accept("号")
		}
	}
	return nil
}

func (c *scanner) scanTime(m *moment) *Problem {
	switch n := c.digits(); n {
	case 4, 6, 9: // 0830, 083005, 083005123
		m.hour, m.minute = c.number(2), c.number(2)
		if n > 4 {
			m.second = c.number(2)
		}
		if n == 9 {
			m.micro = c.number(3) * 1000
			return nil
		}
		if n == 4 {
			return nil
		}
	case 1, 2:
		m.hour = c.number(n)
		switch {
		case c.accept(":"):
			if c.digits() != 2 {
				return momentFormat
			}
			m.minute = c.number(2)
			if !c.accept(":") {
				return nil
			}
			if c.digits() != 2 {
				return momentFormat
			}
			m.second = c.number(2)
		case c.accept("时"), c.accept("点"):
			if c.done() {
				return nil
			}
			if m.minute = c.short(); m.minute < 0 {
				return momentFormat
			}
			if !c.accept("分") || c.done() {
				return nil
			}
			if m.second = c.short(); m.second < 0 {
				return momentFormat
			}
			c.accept("秒")
			return nil
		default:
			return momentFormat
		}
	default:
		return momentFormat
	}
	if c.accept(".") || c.accept(",") {
		return c.scanFraction(m)
	}
	return nil
}

// scanFraction reads one to nine decimals of a second and keeps six.
func (c *scanner) scanFraction(m *moment) *Problem {
	n := c.digits()
	if n == 0 || n > 9 {
		return momentFormat
	}
	m.micro = c.number(n)
	for ; n < 6; n++ {
		m.micro *= 10
	}
	for ; n > 6; n-- {
		m.micro /= 10
	}
	return nil
}

func (c *scanner) scanOffset(m *moment) *Problem {
	sign := 0
	switch {
	case c.done():
		return nil
	case c.accept("Z"), c.accept("z"), c.accept("UTC"), c.accept("GMT"):
		m.hasOffset = true
		return nil
	case c.accept("+"):
		sign = 1
	case c.accept("-"):
		sign = -1
	default:
		return momentFormat
	}
	hours, minutes := 0, 0
	switch c.digits() {
	case 4:
		hours, minutes = c.number(2), c.number(2)
	case 2:
		hours = c.number(2)
		if c.accept(":") {
			if c.digits() != 2 {
				return momentFormat
			}
			minutes = c.number(2)
		}
	default:
		return momentFormat
	}
	if hours > 14 || minutes > 59 {
		return momentTime
	}
	m.hasOffset, m.offset = true, sign*(hours*3600+minutes*60)
	return nil
}

// twoDigitYear tells 24-01-05 from 05/01/2024, whose order of day and month nobody knows.
func twoDigitYear(s string) *Problem {
	c := scanner{s: s}
	c.number(2)
	for range 2 {
		if !c.accept("-") && !c.accept("/") && !c.accept(".") && !c.accept("年") && !c.accept("月") {
			return momentFormat
		}
		if c.digits() > 2 || c.short() < 0 {
			return momentFormat
		}
	}
	return momentYear
}
