package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/county"
)

// connectNATS connects to the external server of county.yaml, or to the embedded one at url; reach says how:
// within this process where it runs here, over loopback where another process runs it.
func connectNATS(c *county.Config, url string, reach ...nats.Option) (*nats.Conn, error) {
	settings := c.Engines.NATS
	options := []nats.Option{
		nats.Name("shire " + c.County.Division), nats.MaxReconnects(-1), nats.ReconnectWait(500 * time.Millisecond), nats.Timeout(5 * time.Second),
	}
	if settings.Address == "" {
		nc, err := nats.Connect(url, append(options, reach...)...)
		if err != nil {
			return nil, fmt.Errorf("the embedded NATS at %s: %w: %w", url, errUnreachable, err)
		}
		return nc, nil
	}
	if settings.User != "" {
		password, err := settings.Password.Reveal()
		if err != nil {
			return nil, inputf("engines.nats.password cannot be read: %v", err)
		}
		options = append(options, nats.UserInfo(settings.User, password))
	}
	if settings.Credentials != "" {
		options = append(options, nats.UserCredentials(c.Resolve(settings.Credentials)))
	}
	config, err := tlsConfig(c, settings.TLS, "engines.nats.tls")
	if err != nil {
		return nil, err
	}
	if config != nil {
		options = append(options, nats.Secure(config))
	}
	nc, err := nats.Connect(settings.Address, options...)
	if err != nil {
		return nil, fmt.Errorf("NATS at %s: %w; check the address, the credentials, and that the server runs: %w", settings.Address, errUnreachable, err)
	}
	return nc, nil
}

// clickhouseAddresses are the loading user's and the analyst's ways to the warehouse.
func clickhouseAddresses(c *county.Config, secrets map[string]string, at *embedded.ClickHouse) (loader, analyst warehouse.Address, err error) {
	settings := c.Engines.ClickHouse
	if settings.Address == "" {
		loader = warehouse.Address{Native: at.Native, User: clickhouse.Loader, Password: secrets[clickhouse.Loader]}
		analyst = warehouse.Address{Native: at.Native, User: clickhouse.Analyst, Password: secrets[clickhouse.Analyst]}
		return loader, analyst, nil
	}
	config, err := tlsConfig(c, settings.TLS, "engines.clickhouse.tls")
	if err != nil {
		return loader, analyst, err
	}
	password, err := settings.Password.Reveal()
	if err != nil {
		return loader, analyst, inputf("engines.clickhouse.password cannot be read: %v", err)
	}
	reading, err := settings.AnalystPassword.Reveal()
	if err != nil {
		return loader, analyst, inputf("engines.clickhouse.analyst_password cannot be read: %v", err)
	}
	user := settings.AnalystUser
	if user == "" {
		user = clickhouse.Analyst
	}
	loader = warehouse.Address{Native: settings.Address, User: settings.User, Password: password, TLS: config}
	analyst = warehouse.Address{Native: settings.Address, User: user, Password: reading, TLS: config}
	return loader, analyst, nil
}

func tlsConfig(c *county.Config, t county.TLS, where string) (*tls.Config, error) {
	if !t.Enabled && t.CA == "" && t.Cert == "" {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pem, err := os.ReadFile(c.Resolve(t.CA))
		if err != nil {
			return nil, inputf("%s.ca cannot be read: %v", where, err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, inputf("%s.ca: %s holds no certificate in PEM form", where, t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.Resolve(t.Cert), c.Resolve(t.Key))
		if err != nil {
			return nil, inputf("%s: the certificate and key cannot be used: %v", where, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
