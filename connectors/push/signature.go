package push

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emmansun/gmsm/sm3"
)

// signatureHeader holds who sent a request and when:
//
//	Shire-Signature: t=1795400000,sha256=5d41402abc4b2a76b9719d911017c592…
//
// The digest is the HMAC, with the source's secret, over the time, a dot, and the body. SM3 (GB/T 32905) does as well as
// SHA-256. In binary mode the attributes stand in headers, so they are signed too, before the body: a line name:value for
// each ce- header, in lower case and in order.
const signatureHeader = "Shire-Signature"

// tolerance is how far the clocks may be apart; within it, a request that is sent again is recognised by its events.
const tolerance = 5 * time.Minute

var digests = map[string]func() hash.Hash{"sha256": sha256.New, "sm3": sm3.New}

// signature is what the header says.
type signature struct {
	at     string
	digest map[string][]byte // by algorithm
}

// parseSignature reads the header and proves its time. What it does not know is let be.
func parseSignature(header string, now time.Time) (signature, error) {
	s := signature{digest: map[string][]byte{}}
	if header == "" {
		return s, unsigned("the header %s is missing", "缺少请求头 %s", signatureHeader)
	}
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if name == "t" {
			s.at = value
		}
		if digests[name] == nil {
			continue
		}
		sum, err := hex.DecodeString(value)
		if err != nil || s.digest[name] != nil {
			return s, errSignature
		}
		s.digest[name] = sum
	}
	seconds, err := strconv.ParseInt(s.at, 10, 64)
	if err != nil || len(s.digest) == 0 {
		return s, errSignature
	}
	if apart := now.Sub(time.Unix(seconds, 0)).Abs(); apart > tolerance {
		return s, unsigned("the time in %s is more than 5 minutes from this server's; set the clock, and sign anew", "%s 中的时间与本服务器相差超过 5 分钟；请校准时钟并重新签名", signatureHeader)
	}
	return s, nil
}

var errSignature = unsigned("the header %s is not t=SECONDS,sha256=HEX or t=SECONDS,sm3=HEX", "请求头 %s 不是 t=秒,sha256=十六进制 或 t=秒,sm3=十六进制 的形式", signatureHeader)

// verify proves that one of the secrets made the signature. Every digest that is there has to be right.
func (s signature) verify(header http.Header, body []byte, secrets [][]byte) error {
	for _, secret := range secrets {
		right := true
		for name, sum := range s.digest {
			right = hmac.Equal(sum, sign(digests[name], secret, s.at, header, body)) && right // in constant time
		}
		if right {
			return nil
		}
	}
	return unsigned("the signature is not one of this source's secret over this body", "签名与本数据源的密钥及请求内容不符")
}

func sign(digest func() hash.Hash, secret []byte, at string, header http.Header, body []byte) []byte {
	m := hmac.New(digest, secret)
	io.WriteString(m, at+".") // a hash takes everything
	if binary(header) {
		lines := map[string]string{}
		for name, values := range header {
			if name = strings.ToLower(name); strings.HasPrefix(name, prefix) {
				lines[name] = strings.Join(values, ",")
			}
		}
		for _, name := range slices.Sorted(maps.Keys(lines)) {
			fmt.Fprintf(m, "%s:%s\n", name, lines[name])
		}
	}
	m.Write(body)
	return m.Sum(nil)
}
