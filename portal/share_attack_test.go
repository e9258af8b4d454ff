package portal

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/portal/callers"
	"github.com/shirecounty/shire/schemas/county"
)

// Whatever is made of an address, nothing is shown of it, and nothing of it comes back.
func TestAttacksByAddress(t *testing.T) {
	w := newShareWorld(t, wide)
	id := w.node.person(zhang).String()
	for _, path := range []string{
		"/api/v1/persons/../persons/" + id, "/api/v1/persons/./" + id, "/api/v1//persons/" + id, "/api/v1/persons/%2e%2e/persons/" + id, "/api/v1/persons/" + id + "%2f", "/api/v1/persons/" + id + "/",
		"/api/v1/persons/" + id + ".", "/api/v1/persons/" + id + "%00", "/api/v1/persons/%252e%252e%252f" + id, "/api/v1/persons/" + strings.ToUpper(id) + "x", "/api/v1/persons/" + id + ";v=1",
		"/api/v1/persons/" + id + "%0d%0aSet-Cookie:%20a=b", "/api/v1/persons/１2345678-89ab-8def-8123-456789abcdef", "/API/v1/persons/" + id, "/api/v1/persons\\" + id, "/api/v1/persons/" + id + "?id=" + id,
		"/api/v1/persons/" + id + "?number=330127", "/api/v1/persons/" + id + "?%00", "/api/v1/persons/00000000-0000-0000-0000-000000000000", "/api/v1/persons/' OR 1=1 --", "/api/v1/persons/*",
		"/api/v1/departments/social_security/datasets/insured_persons/records/S-1%2f..%2fS-1", "/api/v1/departments/social_security/datasets/insured_persons/records/..%2fS-1",
		"/api/v1/departments/social_security/datasets/insured_persons/records/S-1%00", "/api/v1/departments/social_security/datasets/insured_persons/records/S-1.", "/api/v1/departments/social_security/datasets/insured_persons/records/S-1%C0%AE",
		"/api/v1/departments/social_security/datasets/insured_persons/records/S-1' OR '1'='1", "/api/v1/departments/social_security/datasets/insured_persons/records/S-1; DROP TABLE restricted.person_records",
		"/api/v1/departments/social_security/datasets/..%2f..%2frestricted/records/S-1", "/api/v1/departments/social_security/datasets/insured_persons%27/records/S-1", "/api/v1/departments/%ff/datasets/insured_persons/records/S-1",
		"/api/v1/departments/social_security/datasets/insured_persons/records/S-1?fields=name%27)%20UNION%20SELECT", "/api/v1/departments/social_security/datasets/insured_persons/records/S-1?fields=*",
		"/api/v1/departments/social_security/datasets/insured_persons/records/S-1?fields=name&fields=phone", "/api/v1/departments/social_security/datasets/insured_persons/records/S-1?Fields=status",
		"/api/v1/departments/social_security/datasets/insured_persons/records/S-1?fields=" + strings.Repeat("status,", 5000),
	} {
		status, text := w.raw("GET " + strings.ReplaceAll(path, " ", "%20") + " HTTP/1.1\r\n" + w.rawHeaders("civil") + "\r\n")
		if status < 300 || status >= 500 {
			t.Errorf("%s: %d", path, status)
		}
		for _, secret := range append(append(zhang.secrets(), li.secrets()...), "a=b", "DROP TABLE") {
			if strings.Contains(text, secret) {
				t.Errorf("%s: the answer holds %q", path, secret)
			}
		}
		if strings.Contains(text, "Location: http") || strings.Contains(text, "Location: //") {
			t.Errorf("%s leads elsewhere: %s", path, text)
		}
	}
	// A key that holds what would be code elsewhere is a key like another: it is looked for, and is not there.
	if status, _ := w.raw("GET /api/v1/departments/social_security/datasets/insured_persons/records/S-1%27%20OR%20%271%27=%271 HTTP/1.1\r\n" + w.rawHeaders("civil") + "\r\n"); status != 403 {
		t.Errorf("SQL as a key: %d", status)
	}
}

// raw sends a request as it is written, and reads one answer.
func (w *shareWorld) raw(text string) (int, string) {
	w.Helper()
	c := w.dial()
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		w.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		w.Fatalf("%q: %v", text[:min(len(text), 80)], err)
	}
	defer answer.Body.Close()
	var all strings.Builder
	answer.Header.Write(&all)
	io.Copy(&all, answer.Body)
	return answer.StatusCode, all.String()
}

func (w *shareWorld) rawHeaders(client string) string {
	return fmt.Sprintf("Host: 127.0.0.1\r\nConnection: close\r\nAuthorization: Shire-Key %s.%s\r\n%s: %s\r\n%s: %s\r\n%s: %s\r\n%s: C-1\r\n", client, w.key[client],
		clerkHeader, shareClerk, purposeHeader, sharePurpose, itemHeader, shareItem, caseHeader)
}

func TestAttacksByHeader(t *testing.T) {
	w := newShareWorld(t, wide)
	path := "/api/v1/persons/" + w.node.person(zhang).String()
	for name, c := range map[string]struct {
		headers []string
		status  int
		code    string
	}{
		"encoded":                    {[]string{clerkHeader, "UTF-8''%E7%8E%8B%E8%8A%B3"}, 200, ""},
		"a line break, encoded":      {[]string{clerkHeader, "UTF-8''a%0d%0aX:%20b"}, 400, codeMalformed},
		"an ending in the encoding":  {[]string{clerkHeader, "UTF-8''a%0"}, 400, codeMalformed},
		"a tab":                      {[]string{clerkHeader, "a\tb"}, 400, codeMalformed},
		"no UTF-8":                   {[]string{clerkHeader, "\xff\xfe"}, 400, codeMalformed},
		"what turns the text around": {[]string{clerkHeader, "a\u202eb"}, 400, codeMalformed},
		"an invisible character":     {[]string{caseHeader, "C-1\u200b"}, 400, codeMalformed},
		"too long":                   {[]string{clerkHeader, strings.Repeat("a", 300)}, 400, codeMalformed},
		"too long for the log":       {[]string{clerkHeader, strings.Repeat("a", 200)}, 422, codeUnusable},
		"SQL":                        {[]string{caseHeader, "C-1' OR '1'='1"}, 403, "no_case"},
		"another spelling":           {[]string{caseHeader, "c-1"}, 403, "no_case"},
		"full width":                 {[]string{caseHeader, "Ｃ-1"}, 403, "no_case"},
		"two cases in one":           {[]string{caseHeader, "C-1, P-1"}, 403, "no_case"},
		"who somebody says to be":    {[]string{"X-Forwarded-User", "police", "X-Department", "police", "Shire-Department", "public_security"}, 200, ""},
		"another method":             {[]string{"X-HTTP-Method-Override", "DELETE"}, 200, ""},
	} {
		if a := w.do(asks("civil", http.MethodGet, path, "", c.headers...)); a.status != c.status || a.code != c.code {
			t.Errorf("%s: %d %s %s", name, a.status, a.code, a.text)
		}
	}
	for name, lines := range map[string]string{
		"two cases": caseHeader + ": P-1\r\n", "two keys": "Authorization: Shire-Key police." + w.key["police"] + "\r\n", "a folded line": " X: b\r\n", "a NUL": "X-A: \x00\r\n", "a space before the colon": "X-A : b\r\n",
		"two hosts": "Host: elsewhere\r\n",
	} {
		if status, text := w.raw("GET " + path + " HTTP/1.1\r\n" + w.rawHeaders("civil") + lines + "\r\n"); status < 400 || status > 499 || strings.Contains(text, zhang.name) {
			t.Errorf("%s: %d", name, status)
		}
	}
	if status, _ := w.raw("GET " + path + " HTTP/1.1\r\n" + strings.Replace(w.rawHeaders("civil"), "127.0.0.1", "shire.attacker.example", 1) + "\r\n"); status != http.StatusMisdirectedRequest {
		t.Errorf("a name that was made to lead here: %d", status)
	}
	if status, _ := w.raw("GET " + path + " HTTP/1.1\r\n" + w.rawHeaders("civil") + "X-Big: " + strings.Repeat("x", 64<<10) + "\r\n\r\n"); status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("large headers: %d", status)
	}
}

func TestAttacksByBody(t *testing.T) {
	w := newShareWorld(t, wide)
	good := `{"number":"` + zhang.number + `"}`
	before := w.entries()
	for name, c := range map[string]struct {
		body, contentType string
		status            int
		code              string
	}{
		"nothing":                 {" ", "application/json", 400, codeMalformed},
		"cut off":                 {good[:10], "application/json", 400, codeMalformed},
		"a list":                  {"[" + good + "]", "application/json", 400, codeMalformed},
		"null":                    {"null", "application/json", 400, codeMalformed},
		"two":                     {good + good, "application/json", 400, codeMalformed},
		"something behind":        {good + "x", "application/json", 400, codeMalformed},
		"a member twice":          {`{"number":"` + li.number + `","number":"` + zhang.number + `"}`, "application/json", 400, codeMalformed},
		"twice, escaped":          {`{"number":"` + li.number + `","n\u0075mber":"` + zhang.number + `"}`, "application/json", 400, codeMalformed},
		"twice, in other letters": {`{"number":"` + li.number + `","Number":"` + zhang.number + `"}`, "application/json", 400, codeMalformed},
		"the long s":              {`{"number":"` + zhang.number + `","brought":{},"birth_date\u017f":""}`, "application/json", 400, codeMalformed},
		"an unknown member":       {`{"number":"` + zhang.number + `","department":"public_security"}`, "application/json", 400, codeMalformed},
		"a prototype":             {`{"__proto__":{"admin":true},"number":"` + zhang.number + `"}`, "application/json", 400, codeMalformed},
		"another type":            {`{"number":` + zhang.number[:17] + `}`, "application/json", 400, codeMalformed},
		"a condition":             {`{"number":{"$ne":""}}`, "application/json", 400, codeMalformed},
		"a list of texts":         {`{"number":["` + zhang.number + `"]}`, "application/json", 400, codeMalformed},
		"no UTF-8":                {"{\"number\":\"\xff\"}", "application/json", 400, codeMalformed},
		"UTF-16":                  {"\xff\xfe{\x00}\x00", "application/json", 400, codeMalformed},
		"half a pair":             {`{"name":"\ud842","birth_date":"1985-03-07"}`, "application/json", 400, codeMalformed},
		"a NUL in a text":         {`{"name":"\u0000","birth_date":"1985-03-07"}`, "application/json", 400, codeMalformed},
		"deep":                    {`{"brought":` + strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000) + "}", "application/json", 413, codeTooLarge},
		"deep and small":          {`{"brought":` + strings.Repeat(`[`, 50) + strings.Repeat("]", 50) + "}", "application/json", 400, codeMalformed},
		"large":                   {`{"number":"` + strings.Repeat("1", 1<<20) + `"}`, "application/json", 413, codeTooLarge},
		"a long text":             {`{"number":"` + strings.Repeat("1", 1000) + `"}`, "application/json", 400, codeMalformed},
		"many members":            {`{"brought":{` + strings.TrimSuffix(strings.Repeat(`"a.%":"b",`, 80), ",") + `}}`, "application/json", 400, codeMalformed},
		"a form":                  {"number=" + zhang.number, "application/x-www-form-urlencoded", 415, codeMediaType},
		"text, as a page sends":   {good, "text/plain", 415, codeMediaType},
		"another character set":   {good, "application/json; charset=gb18030", 415, codeMediaType},
		"no type":                 {good, "", 415, codeMediaType},
		"SQL":                     {`{"number":"' OR 1=1 --"}`, "application/json", 422, codeUnusable},
		"SQL in a name":           {`{"name":"' UNION SELECT","birth_date":"1985-03-07"}`, "application/json", 403, "person_not_of_case"},
	} {
		for i := 0; strings.Contains(c.body, "%"); i++ {
			c.body = strings.Replace(c.body, "%", fmt.Sprint("m", i), 1)
		}
		if a := w.do(asks("civil", http.MethodPost, "/api/v1/persons/lookup", c.body, "Content-Type", c.contentType)); a.status != c.status || a.code != c.code {
			t.Errorf("%s: %d %s %s", name, a.status, a.code, a.text)
		}
	}
	for name, headers := range map[string][]string{"compressed": {"Content-Encoding", "gzip"}} {
		if a := w.do(asks("civil", http.MethodPost, "/api/v1/persons/lookup", good, headers...)); a.code != codeMediaType {
			t.Errorf("%s: %d %s", name, a.status, a.code)
		}
	}
	if n := w.entries() - before; n != 1 {
		t.Errorf("%d reads came out of bodies of which one can be read", n)
	}
}

// Two servers that disagree on where a request ends: the portal disagrees with nobody, it ends the connection.
func TestRequestSmuggling(t *testing.T) {
	w := newShareWorld(t, wide)
	head := "POST /api/v1/persons/lookup HTTP/1.1\r\n" + strings.Replace(w.rawHeaders("civil"), "Connection: close\r\n", "", 1) + "Content-Type: application/json\r\n"
	hidden := "GET /api/v1/persons/" + w.node.person(zhang).String() + " HTTP/1.1\r\n" + w.rawHeaders("civil") + "\r\n"
	for name, rest := range map[string]string{
		"two lengths":             "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		"a list of lengths":       "Content-Length: 2, 3\r\n\r\n{}",
		"a signed length":         "Content-Length: +2\r\n\r\n{}",
		"length and chunks":       "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"chunks that are none":    "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"chunks twice":            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
		"a chunk's length is bad": "Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n",
	} {
		c := w.dial()
		if _, err := io.WriteString(c, head+rest); err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(io.LimitReader(c, 1<<20))
		if err != nil && !errors.Is(err, io.EOF) {
			var away *net.OpError
			if !errors.As(err, &away) {
				t.Fatal(name, err)
			}
		}
		if n := strings.Count(string(all), "HTTP/1.1 "); n > 1 || strings.Contains(string(all), "HTTP/1.1 200") || strings.Contains(string(all), zhang.name) {
			t.Errorf("%s: %d answers:\n%s", name, n, all)
		}
		c.Close()
	}
}

// Slow clients are let go, and do not keep others from being answered.
func TestSlowClients(t *testing.T) {
	short := 300 * time.Millisecond
	w := newShareWorld(t, wide, func(o *Options) {
		o.times = &serverTimes{header: short, read: 3 * short, write: time.Minute, idle: short}
	})
	var slow []net.Conn
	for range 200 {
		c := w.dial()
		fmt.Fprintf(c, "GET /api/v1/persons/x HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: b")
		slow = append(slow, c)
	}
	if a := w.do(asks("civil", http.MethodGet, "/api/v1/persons/"+w.node.person(zhang).String(), "")); a.status != 200 {
		t.Errorf("among slow clients: %d", a.status)
	}
	for _, c := range slow {
		if text, _ := io.ReadAll(io.LimitReader(c, 4096)); strings.Contains(string(text), "200 OK") { // ends when the server ends it, or fails at the test's deadline
			t.Fatalf("%s", text)
		}
	}
	// A body that does not come.
	c := w.dial()
	io.WriteString(c, "POST /api/v1/persons/lookup HTTP/1.1\r\n"+w.rawHeaders("civil")+"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"number\":")
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || answer.StatusCode != http.StatusRequestTimeout {
		t.Fatalf("%v %v", answer, err)
	}
	var p Problem
	if json.NewDecoder(answer.Body).Decode(&p); p.Code != codeTooSlow {
		t.Errorf("%+v", p)
	}
}

// A session of the portal opens nothing here, and a page of another site can send nothing that would be answered.
func TestSessionsAndOtherSites(t *testing.T) {
	w := newShareWorld(t, wide, withJobs)
	path := "/api/v1/persons/" + w.node.person(zhang).String()
	since, err := w.o.Jobs.Operators.Since(testReviewer)
	if err != nil || since.IsZero() {
		t.Fatal("there is no operator", err)
	}
	token, _ := w.operators.sessions.begin(testReviewer, since)
	session := asks("", http.MethodGet, "/api/v1/operators/session", "", "Cookie", jobsCookie+"="+token)
	if a := w.do(session); a.status != 200 {
		t.Fatalf("the session that was stolen is none: %d", a.status)
	}
	for name, headers := range map[string][]string{
		"a session": {"Cookie", jobsCookie + "=" + token}, "with the door's header": {"Cookie", jobsCookie + "=" + token, jobsHeader, "1", "Origin", w.url},
		"as a token": {"Authorization", "Bearer " + token},
	} {
		if a := w.do(asks("", http.MethodGet, path, "", headers...)); a.status != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	a := w.do(asks("civil", http.MethodGet, path, "", "Origin", "https://attacker.example"))
	for name := range a.header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("another site may read the answer: %s", name)
		}
	}
	if a.header.Get("Cross-Origin-Resource-Policy") != "same-origin" || a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Set-Cookie") != "" {
		t.Errorf("%v", a.header)
	}
	if a := w.do(asks("", http.MethodOptions, path, "", "Origin", "https://attacker.example", "Access-Control-Request-Headers", "authorization")); a.status != http.StatusMethodNotAllowed || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a preflight is answered with %d %v", a.status, a.header)
	}
	for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodDelete, "TRACE", "CONNECT", "PROPFIND"} {
		if a := w.do(asks("civil", method, path, "")); a.status < 400 || strings.Contains(a.text, w.key["civil"]) {
			t.Errorf("%s: %d", method, a.status)
		}
	}
}

// certificateOfTest makes a certificate; without a parent it is an authority.
func certificateOfTest(t *testing.T, dir, name string, parent *tls.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	above, signer := template, any(key)
	if parent != nil {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		above, signer = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, above, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// A client shows a certificate on a portal that speaks TLS.
func TestClientCertificates(t *testing.T) {
	dir := t.TempDir()
	authority := certificateOfTest(t, dir, "authority", nil)
	certificateOfTest(t, dir, "portal", &authority)
	gateway := certificateOfTest(t, dir, "gateway.civil", &authority)
	stranger := certificateOfTest(t, dir, "stranger", &authority)
	forger := certificateOfTest(t, dir, "forgers", nil)
	forged := certificateOfTest(t, dir, "gateway.civil", &forger)
	who, err := callers.New(callers.Options{Clients: []county.Client{{Name: "civil", Department: "civil_affairs", Certificate: &county.Certificate{DNS: "gateway.civil"}}}})
	if err != nil {
		t.Fatal(err)
	}
	w := newShareWorld(t, wide, func(o *Options) {
		o.Sharing.Callers = who
		o.TLS = &county.PortalTLS{Cert: filepath.Join(dir, "portal.pem"), Key: filepath.Join(dir, "portal.key"), ClientCA: filepath.Join(dir, "authority.pem")}
	})
	roots := x509.NewCertPool()
	roots.AddCert(authority.Leaf)
	ask := func(certificates ...tls.Certificate) (int, error) {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(certificates) == 0 {
				return &tls.Certificate{}, nil
			}
			return &certificates[0], nil
		}}}, Timeout: 20 * time.Second}
		defer c.CloseIdleConnections()
		r, err := http.NewRequest(http.MethodGet, strings.Replace(w.url, "http:", "https:", 1)+"/api/v1/persons/"+w.node.person(zhang).String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range asks("", "", "", "").headers {
			r.Header.Set(name, value)
		}
		answer, err := c.Do(r)
		if err != nil {
			return 0, err
		}
		defer answer.Body.Close()
		return answer.StatusCode, nil
	}
	if status, err := ask(gateway); status != 200 || err != nil {
		t.Errorf("the gateway: %d %v", status, err)
	}
	if status, err := ask(stranger); status != 401 || err != nil {
		t.Errorf("a stranger whom the authority vouches for: %d %v", status, err)
	}
	if status, err := ask(); status != 401 || err != nil {
		t.Errorf("without a certificate: %d %v", status, err)
	}
	if status, err := ask(forged); err == nil {
		t.Errorf("a certificate of another authority with the right name: %d", status)
	}
	if _, err := (&http.Client{Timeout: 10 * time.Second}).Get(w.url + "/healthz"); err == nil {
		if a, _ := http.Get(w.url + "/healthz"); a.StatusCode == 200 {
			t.Error("the portal speaks plain HTTP beside TLS")
		}
	}
	// A certificate that is renewed is shown without a restart.
	renewed := certificateOfTest(t, dir, "portal", &authority)
	c, err := tls.Dial("tcp", strings.TrimPrefix(w.url, "http://"), &tls.Config{RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.ConnectionState().PeerCertificates[0]; got.SerialNumber.Cmp(renewed.Leaf.SerialNumber) != 0 {
		t.Error("the old certificate is shown")
	}
}

// When the access log cannot be written, nothing is shown, and the answer says so.
func TestNothingIsShownWithoutTheLog(t *testing.T) {
	w := newShareWorld(t, wide, func(o *Options) {
		o.Sharing.Desk = awayDesk{o.Sharing.Desk}
	})
	a := w.do(asks("civil", http.MethodGet, "/api/v1/persons/"+w.node.person(zhang).String(), ""))
	if a.status != 503 || a.code != codeUnavailable || a.header.Get("Retry-After") == "" || !strings.Contains(a.text, "nothing was shown") {
		t.Errorf("%d %s", a.status, a.text)
	}
}

// awayDesk has its reads end before the log can answer.
type awayDesk struct{ Desk }

func (d awayDesk) Person(ctx context.Context, r readerOfDesk, id personID) (*shownPerson, error) {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return d.Desk.Person(ctx, r, id)
}
