package push

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// Computed by openssl dgst -hmac over the text that docs/connectors/http-push.md describes.
const (
	knownSecret = "0123456789abcdef0123456789abcdef"
	knownTime   = 1795400000
	knownBody   = `{"specversion":"1.0"}`
	knownSHA    = "3453c0fbfd5d4ed54135ade995084b25b14daaba7613cb390bc27cac721e66be"
	knownSM3    = "27eda2aee927dc15afb8d836583b827a10bfe32424a6fa4e67fa959b7d554c54"

	knownBinaryBody = `{"number":"M-7"}`
	knownBinarySHA  = "68b33b0f1879d822de302956be7351adf40ba04778e4a923f57dcd303bf67e3e"
	knownBinarySM3  = "10eae23d533164fc082025c037b9a4ecb0a6946543ea649c6629b13e23383fa6"
)

func knownHeader() http.Header {
	return http.Header{"Ce-Type": {"shire.record.deleted"}, "Ce-Id": {"88213"}, "Ce-Specversion": {"1.0"}, "Ce-Source": {"civil-affairs/marriages"}, "Accept": {"*/*"}}
}

// signedBy says whether a request is signed, and with what it is refused.
func signedBy(header string, attributes http.Header, body string, at time.Time, secrets ...string) string {
	s, err := parseSignature(header, at)
	if err != nil {
		return err.Error()
	}
	var keys [][]byte
	for _, secret := range secrets {
		keys = append(keys, []byte(secret))
	}
	if err := s.verify(attributes, []byte(body), keys); err != nil {
		return err.Error()
	}
	return ""
}

func TestKnownSignatures(t *testing.T) {
	now := time.Unix(knownTime, 0)
	for _, header := range []string{"t=1795400000,sha256=" + knownSHA, "t=1795400000,sm3=" + knownSM3, "t=1795400000, sm3=" + strings.ToUpper(knownSM3), "sha256=" + knownSHA + ",v2=new,t=1795400000", "t=1795400000,sha256=" + knownSHA + ",sm3=" + knownSM3} {
		for _, at := range []time.Time{now, now.Add(tolerance), now.Add(-tolerance)} {
			if problem := signedBy(header, nil, knownBody, at, "another", knownSecret); problem != "" {
				t.Errorf("%s: %s", header, problem)
			}
		}
	}
	for _, header := range []string{"t=1795400000,sha256=" + knownBinarySHA, "t=1795400000,sm3=" + knownBinarySM3} {
		if problem := signedBy(header, knownHeader(), knownBinaryBody, now, knownSecret); problem != "" {
			t.Errorf("in binary mode, %s: %s", header, problem)
		}
	}
}

func TestOtherSignaturesAreRefused(t *testing.T) {
	now := time.Unix(knownTime, 0)
	const right = "t=1795400000,sha256=" + knownSHA
	for header, want := range map[string]string{
		"": "missing", "t=1795400000": "is not t=", "sha256=" + knownSHA: "is not t=", "t=x,sha256=" + knownSHA: "is not t=", "t=1795400000,sha256=zz": "is not t=",
		"t=1795400000,md5=00": "is not t=", right + ",sha256=" + knownSHA: "is not t=", "t=1795400001,sha256=" + knownSHA: "not one of", "t=01795400000,sha256=" + knownSHA: "not one of",
		"t=1795400000,sha256=" + knownSHA[:62]: "not one of", "t=1795400000,sha256=": "not one of", "t=1795400000,sm3=" + knownSHA: "not one of",
		right + ",sm3=" + knownSHA: "not one of", "t=1795399699,sha256=" + knownSHA: "5 minutes", "t=1795400301,sha256=" + knownSHA: "5 minutes", "t=-9223372036854775808,sha256=" + knownSHA: "5 minutes",
	} {
		if got := signedBy(header, nil, knownBody, now, knownSecret); !strings.Contains(got, want) {
			t.Errorf("%s: %q", header, got)
		}
	}
	if signedBy(right, nil, knownBody+" ", now, knownSecret) == "" || signedBy(right, nil, knownBody, now, "another") == "" || signedBy(right, nil, knownBody, now) == "" {
		t.Error("another body or secret was taken")
	}
	// Attributes in headers are signed: a caught request cannot be made to say something else.
	for _, change := range []func(http.Header){
		func(h http.Header) { h.Set("Ce-Type", "shire.record.created") }, func(h http.Header) { h.Set("Ce-Dataset", "other") }, func(h http.Header) { h.Del("Ce-Source") },
		func(h http.Header) { h.Add("Ce-Id", "2") },
	} {
		h := knownHeader()
		change(h)
		if signedBy("t=1795400000,sha256="+knownBinarySHA, h, knownBinaryBody, now, knownSecret) == "" {
			t.Errorf("other attributes were taken: %v", h)
		}
	}
}
