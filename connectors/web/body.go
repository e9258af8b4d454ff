package web

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"slices"
	"strings"

	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/transform"
)

// body takes a response apart while it arrives: the records one after the other, and the few members around them that say
// where to go on. Neither the response nor the list is ever held as a whole (I10).
type body struct {
	records []string   // members that lead to the list
	wanted  [][]string // and to what else has to be known
	record  func(raw json.RawMessage) error
	single  bool // records leads to one record, not to a list

	dec   *json.Decoder
	found map[string]string // scalars, by their joined path; null is left out
	there bool              // the list was there, perhaps empty; or the single record
}

// errBroken is a response that is not what it should be. It holds nothing of the response.
var errBroken = errors.New("the response is not JSON")

// recordError is an error of whoever takes the records, not of the response.
type recordError struct{ error }

func (e recordError) Unwrap() error { return e.error }

// read reads the response. What was handed on before an error is true nevertheless.
func (b *body) read(r io.Reader, contentType string, lines bool, maxRecord int) error {
	b.found = map[string]string{}
	pieces := &pieces{text: decoded(r, contentType), most: int64(maxRecord)}
	b.dec = json.NewDecoder(pieces)
	b.dec.UseNumber()
	pieces.used = b.dec.InputOffset
	var err error
	if lines {
		err = b.lines()
	} else if err = b.value(nil); err == nil {
		if _, more := b.dec.Token(); more != io.EOF {
			err = cmpErr(more, errBroken)
		}
	}
	var mine recordError
	if errors.As(err, &mine) {
		return mine.error
	}
	return b.sentence(err)
}

func cmpErr(err, otherwise error) error {
	if err == nil {
		return otherwise
	}
	return err
}

// pieces hands the text to the decoder in small parts, and no more of it than one record may have: what was read and has
// not been used is in memory.
type pieces struct {
	text io.Reader
	used func() int64
	read int64
	most int64
}

const piece = 32 << 10

func (p *pieces) Read(into []byte) (int, error) {
	if p.read-p.used() > p.most+piece {
		return 0, errRecord
	}
	n, err := p.text.Read(into[:min(len(into), piece)])
	p.read += int64(n)
	return n, err
}

// decoded is the text in UTF-8 without a byte order mark. Services of older systems answer in GBK and say so.
func decoded(r io.Reader, contentType string) io.Reader {
	_, params, _ := mime.ParseMediaType(contentType)
	switch strings.ToLower(params["charset"]) {
	case "gbk", "gb2312", "gb18030":
		r = transform.NewReader(r, simplifiedchinese.GB18030.NewDecoder())
	}
	buffered := bufio.NewReaderSize(r, 4<<10)
	if mark, _ := buffered.Peek(3); bytes.Equal(mark, []byte("\uFEFF")) {
		buffered.Discard(3)
	}
	return buffered
}

// sentence makes an error of the response one for people; the decoder's own would show a character of it (I7).
func (b *body) sentence(err error) error {
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errTooLarge):
		return refuse("response_too_large", "the response is larger than max_response; ask for smaller pages, or raise max_response")
	case errors.Is(err, errRecord):
		return refuse("record_too_large", "a record, or a member beside the records, is larger than max_record; raise max_record (it is held in memory), or have the department leave the large member out")
	case errors.Is(err, errBroken), errors.As(err, &syntax):
		return refuse("response_broken", "the response is not JSON from byte %d on; is path: right, does the service answer with a page for people?", b.dec.InputOffset())
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errTruncated):
		return refuse("response_truncated", "the response ends before it is complete (byte %d); what was read of it stands, the page is read again", b.dec.InputOffset())
	}
	return fmt.Errorf("the response cannot be read: %w", err)
}

func (b *body) lines() error {
	b.there = true
	for {
		var raw json.RawMessage
		if err := b.dec.Decode(&raw); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := b.record(raw); err != nil {
			return recordError{err}
		}
	}
}

// value reads the value at a path of members.
func (b *body) value(at []string) error {
	if slices.Equal(at, b.records) {
		if b.single {
			return b.item()
		}
		return b.items()
	}
	for _, w := range b.wanted {
		if slices.Equal(at, w) {
			return b.scalar(strings.Join(at, "."))
		}
	}
	leads := func(w []string) bool { return len(w) > len(at) && slices.Equal(w[:len(at)], at) }
	tok, err := b.dec.Token()
	if err != nil {
		return err
	}
	if tok != json.Delim('{') || !leads(b.records) && !slices.ContainsFunc(b.wanted, leads) {
		return b.skip(tok)
	}
	for b.dec.More() {
		name, err := b.dec.Token()
		if err != nil {
			return err
		}
		if err := b.value(append(slices.Clone(at), name.(string))); err != nil { // a key is a string, the decoder sees to it
			return err
		}
	}
	_, err = b.dec.Token()
	return err
}

// scalar keeps a text, number or boolean that says something about the list.
func (b *body) scalar(path string) error {
	tok, err := b.dec.Token()
	if err != nil {
		return err
	}
	switch v := tok.(type) {
	case nil:
	case json.Delim:
		return b.skip(tok)
	default:
		b.found[path] = fmt.Sprint(v)
	}
	return nil
}

// skip reads to the end of the value that began with tok.
func (b *body) skip(tok json.Token) error {
	const deepest = 1000 // the decoder remembers every level
	for depth := 0; depth < deepest; {
		switch tok {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth <= 0 {
			return nil
		}
		var err error
		if tok, err = b.dec.Token(); err != nil {
			return err
		}
	}
	return errBroken
}

func (b *body) item() error {
	var raw json.RawMessage
	if err := b.dec.Decode(&raw); err != nil {
		return err
	}
	b.there = true
	if string(raw) == "null" {
		return nil
	}
	if err := b.record(raw); err != nil {
		return recordError{err}
	}
	return nil
}

func (b *body) items() error {
	tok, err := b.dec.Token()
	if err != nil {
		return err
	}
	if tok == nil { // null for an empty list
		b.there = true
		return nil
	}
	if tok != json.Delim('[') {
		return recordError{refuse("records_not_a_list", "what records: names is not a list in the response; check it against the service's documentation")}
	}
	b.there = true
	for b.dec.More() {
		var raw json.RawMessage
		if err := b.dec.Decode(&raw); err != nil {
			return err
		}
		if err := b.record(raw); err != nil {
			return recordError{err}
		}
	}
	_, err = b.dec.Token()
	return err
}
