package portal

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/shirecounty/shire/schemas/county"
)

// tlsConfig is how the portal speaks TLS.
func tlsConfig(t *county.PortalTLS) (*tls.Config, error) {
	pair := &certificateFiles{cert: t.Cert, key: t.Key}
	if _, err := pair.current(); err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair.current() }}
	if t.ClientCA == "" {
		return c, nil
	}
	text, err := os.ReadFile(t.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("the authorities of client certificates cannot be read (portal.tls.client_ca): %w", err)
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate of an authority; set portal.tls.client_ca to a PEM file", t.ClientCA)
	}
	// People with browsers have none. One that is shown has to be vouched for, or the connection ends.
	c.ClientAuth = tls.VerifyClientCertIfGiven
	return c, nil
}

// certificateFiles are the portal's certificate and key, read again when they are renewed: a node need not stop for that.
type certificateFiles struct {
	cert, key string

	mu   sync.Mutex
	read [2]time.Time // when the files were changed that pair is from
	pair *tls.Certificate
}

func (f *certificateFiles) current() (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var changed [2]time.Time
	var failed error
	for i, path := range []string{f.cert, f.key} {
		info, err := os.Stat(path)
		if failed = errors.Join(failed, err); err == nil {
			changed[i] = info.ModTime()
		}
	}
	if failed == nil && f.pair != nil && changed == f.read {
		return f.pair, nil
	}
	var pair tls.Certificate
	if failed == nil {
		pair, failed = tls.LoadX509KeyPair(f.cert, f.key)
	}
	if failed != nil {
		if f.pair != nil {
			return f.pair, nil // between the writing of the two files, the one that was does
		}
		return nil, fmt.Errorf("the portal's certificate cannot be read (portal.tls): %w", failed)
	}
	f.pair, f.read = &pair, changed
	return f.pair, nil
}
