package partition

import (
	"encoding/binary"
	"unsafe"
)

// A record is kept as its words, from which its evidence is prepared when it is needed: preparing costs little more than
// reading would, and words are a third of the size. Words are dataset, role, and the values, each a uvarint length and its
// bytes.

// words are what a record says, as the source's contract made it.
type words struct {
	dataset, role string
	values        []string // by the partition's columns
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func (w *words) append(dst []byte) []byte {
	dst = appendText(appendText(dst, w.dataset), w.role)
	for _, v := range w.values {
		dst = appendText(dst, v)
	}
	return dst
}

// wordsOf reads words. Nothing is copied: they are valid as long as the bytes. The state is ours and its files are
// checked, so that a wrong length is a fault of the program: it panics.
func wordsOf(b []byte) (w words) {
	text := func() string {
		n, size := binary.Uvarint(b)
		s := unsafe.String(unsafe.SliceData(b[size:]), int(n))
		b = b[size+int(n):]
		return s
	}
	w.dataset, w.role = text(), text()
	w.values = make([]string, 0, 8)
	for len(b) > 0 {
		w.values = append(w.values, text())
	}
	return w
}
