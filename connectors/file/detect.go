package file

import (
	"bytes"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/zeebo/xxh3"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
)

// encodingName is an encoding that is read.
type encodingName string

const (
	utf8Encoding encodingName = "utf-8"
	gb18030      encodingName = "gb18030"
	utf16LE      encodingName = "utf-16le"
	utf16BE      encodingName = "utf-16be"
)

// encodingNames are what people call them. GBK and GB2312 are subsets of GB18030.
var encodingNames = map[string]encodingName{
	"utf-8": utf8Encoding, "utf8": utf8Encoding, "gb18030": gb18030, "gbk": gb18030, "gb2312": gb18030,
	"utf-16": utf16LE, "utf-16le": utf16LE, "utf-16be": utf16BE,
}

// decoder is nil for UTF-8, which needs none.
func (e encodingName) decoder() *encoding.Decoder {
	switch e {
	case gb18030:
		return simplifiedchinese.GB18030.NewDecoder()
	case utf16LE:
		return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder()
	case utf16BE:
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewDecoder()
	}
	return nil
}

// content is what the first pass over a file finds out.
type content struct {
	hash   string
	sample []byte // the first MiB
	whole  bool   // the sample is the whole file
}

const sampleSize = 1 << 20

// survey reads the file once, to know its content from any other and to see how it is written.
func survey(path string) (*content, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(err)
	}
	defer f.Close()
	sample := make([]byte, sampleSize)
	n, err := io.ReadFull(f, sample)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, unreadable(err)
	}
	h := xxh3.New128()
	h.Write(sample[:n])
	if err == nil {
		if _, err := io.CopyBuffer(h, struct{ io.Reader }{f}, make([]byte, 256<<10)); err != nil {
			return nil, unreadable(err)
		}
	}
	return &content{hash: sum(h), sample: sample[:n], whole: n < sampleSize}, nil
}

func sum(h *xxh3.Hasher128) string {
	b := h.Sum128().Bytes()
	return hex.EncodeToString(b[:])
}

func unreadable(err error) error {
	return refuse("unreadable", "the file cannot be read (%v); check its permissions and the disk", cause(err))
}

var (
	zipMagic = []byte("PK\x03\x04")
	oleMagic = []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
	bomUTF8  = []byte("\xef\xbb\xbf")
)

// isWorkbook tells an XLSX by its content, since many a file is called .csv that is none.
func (in *content) isWorkbook(name string) (bool, error) {
	switch {
	case len(in.sample) == 0:
		return false, refuse("empty_file", "the file is empty; export it again")
	case bytes.HasPrefix(in.sample, oleMagic):
		return false, refuse("not_xlsx", "the file is an old .xls workbook or is protected by a password; save it as .xlsx without a password, or as CSV")
	case bytes.HasPrefix(in.sample, zipMagic):
		return true, nil
	case strings.EqualFold(filepath.Ext(name), ".xlsx"):
		return false, refuse("not_xlsx", "the file is called .xlsx and is not one (it was cut off, or is another format under this name); save it again as .xlsx, or name it .csv if it is text")
	}
	return false, nil
}

// detectEncoding goes by the byte order mark, else by whether the sample makes sense as UTF-8, then as GB18030.
func (in *content) detectEncoding() (encodingName, error) {
	s := in.sample
	switch {
	case bytes.HasPrefix(s, bomUTF8):
		return utf8Encoding, nil
	case bytes.HasPrefix(s, []byte("\xff\xfe")):
		return utf16LE, nil
	case bytes.HasPrefix(s, []byte("\xfe\xff")):
		return utf16BE, nil
	case bytes.IndexByte(s, 0) >= 0:
		return "", refuse("unknown_encoding", "the file holds zero bytes, so it is not text in UTF-8 or GB18030; export it as CSV in UTF-8, or set encoding: utf-16 for its pattern")
	case looksLikeUTF8(s, in.whole):
		return utf8Encoding, nil
	case looksLikeGB18030(s, in.whole):
		return gb18030, nil
	}
	return "", refuse("unknown_encoding", "the file's text makes sense neither as UTF-8 nor as GB18030; export it in UTF-8, or set encoding: for its pattern if you know it to be one of them")
}

// looksLikeUTF8 allows for a few broken characters among many good ones: those rows are quarantined one by one.
func looksLikeUTF8(s []byte, whole bool) bool {
	good, bad := 0, 0
	for i := 0; i < len(s); {
		if s[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRune(s[i:])
		switch {
		case r != utf8.RuneError || n > 1:
			good++
		case !whole && !utf8.FullRune(s[i:]): // cut off by the end of the sample
			return bad*10 <= good
		default:
			bad++
		}
		i += n
	}
	return bad*10 <= good
}

// looksLikeGB18030 asks for the code's structure, and that most characters are those of GB 2312: in text of another
// eight-bit encoding the second byte is mostly an ASCII letter, which GB 2312 never has.
func looksLikeGB18030(s []byte, whole bool) bool {
	common, other, broken := 0, 0, 0
	in := func(b byte, lo, hi byte) bool { return b >= lo && b <= hi }
	for i := 0; i < len(s); {
		b := s[i]
		left := len(s) - i
		switch {
		case b < 0x80:
			i++
		case left < 4 && !whole: // perhaps cut off by the end of the sample
			i = len(s)
		case left >= 2 && in(b, 0x81, 0xfe) && in(s[i+1], 0xa1, 0xfe) && (in(b, 0xa1, 0xa9) || in(b, 0xb0, 0xf7)):
			common++
			i += 2
		case left >= 2 && in(b, 0x81, 0xfe) && in(s[i+1], 0x40, 0xfe) && s[i+1] != 0x7f:
			other++
			i += 2
		case left >= 4 && in(b, 0x81, 0xfe) && in(s[i+1], 0x30, 0x39) && in(s[i+2], 0x81, 0xfe) && in(s[i+3], 0x30, 0x39):
			other++
			i += 4
		default:
			broken++
			i++
		}
	}
	return other*3 <= common && broken*10 <= common
}

// sampleText is the sample decoded, up to its last whole line.
func (in *content) sampleText(e encodingName) []byte {
	text := in.sample
	if d := e.decoder(); d != nil {
		if decoded, err := d.Bytes(text); err == nil {
			text = decoded
		}
	}
	text = bytes.TrimPrefix(text, bomUTF8)
	if !in.whole {
		if cut := bytes.LastIndexByte(text, '\n'); cut >= 0 {
			text = text[:cut+1]
		}
	}
	return text
}

// detectDelimiter takes the candidate that splits the first lines into the same number of columns most often;
// between equals the one that gives more columns, then the one that is more usual.
func detectDelimiter(text []byte, headerRow int64) byte {
	const candidates, lines = ",\t;|", 50
	for ; headerRow > 1; headerRow-- {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	var counts [len(candidates)][]int
	var now [len(candidates)]int
	quoted, blank, seen := false, true, 0
	end := func() {
		if !blank {
			for i := range counts {
				counts[i] = append(counts[i], now[i])
			}
			seen++
		}
		now, blank = [len(candidates)]int{}, true
	}
	for _, b := range text {
		if seen == lines {
			break
		}
		switch {
		case b == '"':
			quoted = !quoted
		case b == '\n' && !quoted:
			end()
			continue
		case !quoted:
			if i := strings.IndexByte(candidates, b); i >= 0 {
				now[i]++
			}
		}
		if b != '\r' {
			blank = false
		}
	}
	if seen < lines {
		end()
	}
	best, bestSame, bestColumns := byte(','), 0, 0
	for i := range candidates {
		c := counts[i]
		if len(c) == 0 || c[0] == 0 {
			continue
		}
		same := 0
		for _, n := range c {
			if n == c[0] {
				same++
			}
		}
		if same > bestSame || same == bestSame && c[0] > bestColumns {
			best, bestSame, bestColumns = candidates[i], same, c[0]
		}
	}
	return best
}
