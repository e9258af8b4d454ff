package callers

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/schemas/county"
)

func certificate(t *testing.T, name, dns string) *x509.Certificate {
	t.Helper()
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{"County"}}, DNSNames: []string{dns}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func shown(r *http.Request, c *x509.Certificate, verified bool) *http.Request {
	r.RemoteAddr = "192.0.2.7:1000"
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}}
	if verified {
		r.TLS.VerifiedChains = [][]*x509.Certificate{{c}}
	}
	return r
}

func TestCertificates(t *testing.T) {
	gateway, other := certificate(t, "gateway", "gateway.police"), certificate(t, "gateway", "gateway.other")
	sum := sha256.Sum256(gateway.Raw)
	with := certificate(t, "with", "with.police")
	w := newWorld(t,
		county.Client{Name: "with", Department: "police", Certificate: &county.Certificate{DNS: "with.police"}, Token: &county.ClientToken{Issuer: testIssuer, Subject: "with-1"}},
		county.Client{Name: "by_print", Department: "police", Certificate: &county.Certificate{Fingerprint: fmt.Sprintf("%x", sum)}},
		county.Client{Name: "by_name", Department: "police", Certificate: &county.Certificate{Subject: "CN=gateway,O=County", DNS: "gateway.other"}},
		county.Client{Name: "both", Department: "police", Certificate: &county.Certificate{Fingerprint: strings.Repeat("0", 64)}, APIKey: true},
		county.Client{Name: "bound", Department: "police", Token: &county.ClientToken{Issuer: testIssuer, Subject: "bound-1"}},
	)
	key, err := w.keys.Add("both") // which has a certificate besides
	if err != nil {
		t.Fatal(err)
	}
	if got := w.code(shown(request(), gateway, true)); got != "by_print" {
		t.Errorf("by its fingerprint: %s", got)
	}
	if got := w.code(shown(request(), other, true)); got != "by_name" {
		t.Errorf("by its name: %s", got)
	}
	if got := w.code(shown(request(), gateway, false)); got != NoCredentials {
		t.Errorf("nobody vouches for it: %s", got)
	}
	if got := w.code(shown(request(), certificate(t, "stranger", "x"), true)); got != BadCredentials {
		t.Errorf("a stranger's: %s", got)
	}
	// What stands in county.yaml is all needed, and proves nothing apart.
	if got := w.code(shown(request("Shire-Key both."+key), gateway, true)); got != BadCredentials {
		t.Errorf("the key with another certificate: %s", got)
	}
	if got := w.code(request("Shire-Key both." + key)); got != BadCredentials {
		t.Errorf("the key alone: %s", got)
	}
	if got := w.code(shown(request("Shire-Key by_print.x", "Bearer x"), gateway, true)); got != BadCredentials {
		t.Errorf("two headers beside a certificate: %s", got)
	}
	unnamed, err := w.keys.Add("by_print")
	if err != nil {
		t.Fatal(err)
	}
	if got := w.code(shown(request("Shire-Key by_print."+unnamed), gateway, true)); got != BadCredentials {
		t.Errorf("a key that county.yaml does not name: %s", got)
	}
	if got := w.code(shown(request(), with, true)); got != BadCredentials {
		t.Errorf("the certificate alone, where a token is needed too: %s", got)
	}
	if got := w.code(shown(request("Bearer "+w.token(set("sub", "with-1"))), with, true)); got != "with" {
		t.Errorf("the certificate and the token: %s", got)
	}
	if got := w.code(shown(request("Bearer "+w.token(set("sub", "with-1"))), gateway, true)); got != BadCredentials {
		t.Errorf("the token with another certificate: %s", got)
	}
	// RFC 8705: a token that is bound to the connection's certificate may be used again, and by nobody else.
	thumb := base64.RawURLEncoding.EncodeToString(sum[:])
	token := w.token(set("sub", "bound-1"), set("cnf", map[string]any{"x5t#S256": thumb}))
	for range 3 {
		if got := w.code(shown(request("Bearer "+token), gateway, true)); got != "bound" {
			t.Errorf("bound: %s", got)
		}
	}
	if got := w.code(shown(request("Bearer "+token), other, true)); got != BadCredentials {
		t.Errorf("bound, and stolen by one with a certificate: %s", got)
	}
	if got := w.code(shown(request("Bearer "+token), gateway, false)); got != BadCredentials {
		t.Errorf("bound, and shown with a certificate for which nobody vouches: %s", got)
	}
}

// All that county.yaml says of a certificate has to be so, and what says nothing means no certificate.
func TestWhichCertificateIsMeant(t *testing.T) {
	c := certificate(t, "gateway", "gateway.police")
	c.URIs = []*url.URL{{Scheme: "spiffe", Host: "county", Path: "/gateway"}}
	sum := fmt.Sprintf("%x", sha256.Sum256(c.Raw))
	all := county.Certificate{Fingerprint: sum, Subject: "CN=gateway,O=County", DNS: "gateway.police", URI: "spiffe://county/gateway"}
	for name, test := range map[string]struct {
		spoil func(*county.Certificate)
		want  bool
	}{
		"all":                   {func(*county.Certificate) {}, true},
		"the print alone":       {func(c *county.Certificate) { *c = county.Certificate{Fingerprint: sum} }, true},
		"the subject alone":     {func(c *county.Certificate) { *c = county.Certificate{Subject: c.Subject} }, true},
		"the name alone":        {func(c *county.Certificate) { *c = county.Certificate{DNS: c.DNS} }, true},
		"the address alone":     {func(c *county.Certificate) { *c = county.Certificate{URI: c.URI} }, true},
		"nothing":               {func(c *county.Certificate) { *c = county.Certificate{} }, false},
		"another print":         {func(c *county.Certificate) { c.Fingerprint = strings.Repeat("0", 64) }, false},
		"another subject":       {func(c *county.Certificate) { c.Subject = "CN=gateway,O=Elsewhere" }, false},
		"another name":          {func(c *county.Certificate) { c.DNS = "gateway.other" }, false},
		"another address":       {func(c *county.Certificate) { c.URI = "spiffe://county/other" }, false},
		"another address alone": {func(c *county.Certificate) { *c = county.Certificate{URI: "spiffe://county/other"} }, false},
	} {
		want := all
		test.spoil(&want)
		if got := isCertificate(&want, c); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	// A certificate that two clients could mean is neither's.
	w := newWorld(t, county.Client{Name: "by_print", Department: "police", Certificate: &county.Certificate{Fingerprint: sum}},
		county.Client{Name: "by_name", Department: "archives", Certificate: &county.Certificate{DNS: "gateway.police"}})
	if got := w.code(shown(request(), c, true)); got != BadCredentials {
		t.Errorf("two clients: %s", got)
	}
}
