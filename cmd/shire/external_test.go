package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/schemas/clickhouse"
)

// externalClickHouse starts a ClickHouse with Shire's users in this process' care, as an operator's would be, and
// returns its address. Each user's password is its name and "-password".
func externalClickHouse(t *testing.T) string {
	t.Helper()
	needEngine(t)
	o := embedded.Options{Dir: filepath.Join(t.TempDir(), "clickhouse"), Version: layoutVersion, NATS: embedded.NATSOptions{Disabled: true}}
	for _, u := range clickhouse.Access() {
		o.ClickHouse.Users = append(o.ClickHouse.Users, embedded.User{
			Name: u.Name, Password: u.Name + "-password", Readonly: u.Readonly, Settings: u.Settings, Grants: u.Grants,
		})
	}
	e, err := embedded.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Stop(t.Context()); err != nil {
			t.Log(err)
		}
	})
	return e.ClickHouse().Native
}

// externalNATS starts a nats-server with JetStream, with TLS when a configuration is given, and returns its URL.
func externalNATS(t *testing.T, secure *tls.Config) string {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true, MaxPayload: 8 << 20,
		Username: "county", Password: "nats-password", TLSConfig: secure, TLS: secure != nil, TLSTimeout: 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	if !s.ReadyForConnections(patience) {
		t.Fatal("the external nats-server does not take connections")
	}
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	scheme := "nats"
	if secure != nil {
		scheme = "tls"
	}
	return scheme + "://" + s.Addr().String()
}

// passwords are in the environment of all tests: county.yaml of external refers to them.
var passwords = map[string]string{
	"TEST_NATS_PASSWORD": "nats-password", "TEST_LOADER_PASSWORD": clickhouse.Loader + "-password", "TEST_ANALYST_PASSWORD": clickhouse.Analyst + "-password",
}

// external makes settings of engines elsewhere. With an authority, both are reached by TLS.
func external(nats, warehouse, authority string) func(map[string]any) {
	return func(settings map[string]any) {
		bus := map[string]any{"address": nats, "user": "county", "password": "${TEST_NATS_PASSWORD}"}
		house := map[string]any{"address": warehouse, "user": clickhouse.Loader, "password": "${TEST_LOADER_PASSWORD}", "analyst_password": "${TEST_ANALYST_PASSWORD}"}
		if authority != "" {
			bus["tls"] = map[string]any{"ca": authority}
			house["tls"] = map[string]any{"ca": authority}
		}
		settings["engines"] = map[string]any{"nats": bus, "clickhouse": house}
	}
}

// The same county on an external NATS and an external ClickHouse gives the same marts.
func TestExternalEngines(t *testing.T) {
	t.Parallel()
	needEngine(t)
	u := loadUndisturbed(t, 2000, 180, usual)
	file := countyYAML(t, u.county, external(externalNATS(t, nil), externalClickHouse(t), ""))
	data := filepath.Join(t.TempDir(), "node")
	if got := counts(t, shire(t, "load", "-c", file, "--data", data)); got != u.load {
		t.Errorf("with external engines %+v were loaded, with embedded ones %+v", got, u.load)
	}
	samePeople(t, u.people, data) // messages are closed by the clock here
	for _, engine := range []string{"clickhouse", "nats"} {
		if _, err := os.Stat(filepath.Join(data, engine)); err == nil {
			t.Errorf("%s has a folder in the data directory, although it runs elsewhere", engine)
		}
	}
	if again := counts(t, shire(t, "load", "-c", file, "--data", data)); again != (loadCounts{}) {
		t.Errorf("a second load did %+v", again)
	}
	shire(t, "status", "--data", data).ok(t)
}

// The same by TLS, with an authority of its own; and a server that this authority does not vouch for is refused.
func TestExternalEnginesTLS(t *testing.T) {
	t.Parallel()
	needEngine(t)
	u := loadUndisturbed(t, 500, 60, usual)
	secure, authority := certificate(t)
	bus := externalNATS(t, secure)
	house, secured := tlsBefore(t, externalClickHouse(t), secure)
	file := countyYAML(t, u.county, external(bus, house, authority))
	data := filepath.Join(t.TempDir(), "node")
	shire(t, "load", "-c", file, "--data", data).ok(t)
	samePeople(t, u.people, data) // messages are closed by the clock here
	if secured.Load() == 0 {
		t.Error("ClickHouse was not reached by TLS")
	}

	_, other := certificate(t)
	file = countyYAML(t, u.county, external(bus, house, other))
	r := shire(t, "load", "-c", file, "--data", filepath.Join(t.TempDir(), "other"))
	if r.Code != exitEnvironment || !strings.Contains(r.Stderr, "NATS at "+bus) || !strings.Contains(r.Stderr, "certificate") {
		t.Errorf("a server of an unknown authority: %v", r)
	}
}

// certificate makes a self-signed certificate for 127.0.0.1 and the PEM file by which it can be proven.
func certificate(t *testing.T) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, file
}

// tlsBefore puts a TLS listener before a plain server. It returns its address, and counts completed handshakes.
func tlsBefore(t *testing.T, plain string, config *tls.Config) (string, *atomic.Int64) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var secured atomic.Int64
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if conn.(*tls.Conn).Handshake() != nil {
					return // the client's side of the test says why
				}
				secured.Add(1)
				behind, err := net.Dial("tcp", plain)
				if err != nil {
					return
				}
				defer behind.Close()
				go func() {
					_, _ = io.Copy(behind, conn)
					behind.Close()
				}()
				_, _ = io.Copy(conn, behind)
			}()
		}
	}()
	return l.Addr().String(), &secured
}
