package push

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// SignatureHeader is where a webhook of this package looks for the signature.
const SignatureHeader = signatureHeader

// Digests are the hash functions of a signature.
var Digests = []string{"sha256", "sm3"}

// Sign is the signature of a body in structured mode, for who sends what this package takes.
func Sign(digest string, secret []byte, at time.Time, body []byte) (string, error) {
	make, ok := digests[digest]
	if !ok {
		return "", fmt.Errorf("there is no digest %q; the digests are %v", digest, Digests)
	}
	seconds := strconv.FormatInt(at.Unix(), 10)
	return "t=" + seconds + "," + digest + "=" + hex.EncodeToString(sign(make, secret, seconds, http.Header{}, body)), nil
}

// MinSecret is the least length of a secret, in characters.
const MinSecret = minSecret
