package change

import (
	"bytes"
	"errors"

	"github.com/klauspost/compress/s2"
)

// Encoding is the content encoding of what Encode returns. Decode also reads an Arrow stream without it, as a
// department's own publisher may send.
const Encoding = "snappy"

// maxStream is the largest Arrow stream that a message may expand to: what anybody publishes must not decide how much
// memory this process takes (I10).
const maxStream = 32 << 20

// compressed makes a message of an Arrow stream. The bus copies and writes every byte several times, so that squeezing
// them first costs less than it saves.
func compressed(stream []byte) []byte { return s2.EncodeSnappy(nil, stream) }

// expanded is the Arrow stream of a message.
func expanded(data []byte) ([]byte, error) {
	if bytes.HasPrefix(data, []byte{0xff, 0xff, 0xff, 0xff}) { // how an Arrow stream begins, and no snappy block can
		return data, nil
	}
	n, err := s2.DecodedLen(data)
	if err != nil {
		return nil, errors.New("it is neither an Arrow stream nor a compressed one")
	}
	if n > maxStream {
		return nil, errors.New("it expands to more than a message may hold")
	}
	stream, err := s2.Decode(nil, data)
	if err != nil {
		return nil, errors.New("its compression is damaged")
	}
	return stream, nil
}
