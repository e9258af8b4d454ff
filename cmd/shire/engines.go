package main

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/jobs/backup"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/county"
)

// layoutVersion is the version of the data directory's layout that this binary writes.
const layoutVersion = "1.0.0"

// pseudonymSecret names the key of the pseudonyms among the generated secrets.
const pseudonymSecret = "pseudonym_key"

// engines are the two engines as this process reaches them, however they run.
type engines struct {
	own     *embedded.Engines // nil when another process or a server elsewhere runs both
	nc      *nats.Conn
	loader  warehouse.Address
	analyst warehouse.Address
	jobs    warehouse.Address // for SQL of the county's own that writes
	key     []byte            // of the pseudonyms
}

// start runs the embedded engines (where county.yaml names no address) and connects to both.
func (a *app) start(ctx context.Context, s *setup, onChange func(embedded.Component)) (*engines, error) {
	if backup.Unfinished(a.data) {
		return nil, inputf("a restore into %s was not finished: run shire restore again, which begins anew", a.data)
	}
	return a.startUnfinished(ctx, s, onChange)
}

// startUnfinished is start on a data directory that may be half restored.
func (a *app) startUnfinished(ctx context.Context, s *setup, onChange func(embedded.Component)) (*engines, error) {
	accesses := s.accesses()
	secrets, err := embedded.LoadOrCreateSecrets(a.data, append(secretNames(), accessSecrets(accesses)...)...)
	if err != nil {
		return nil, err
	}
	options := embeddedOptions(a.data, s.config, secrets, onChange, a.log)
	departments, err := a.departmentUsers(s)
	if err != nil {
		return nil, err
	}
	options.ClickHouse.Users = append(options.ClickHouse.Users, departments...)
	options.NATS.Users = natsUsers(accesses, secrets)
	own, err := embedded.Start(ctx, options)
	if err != nil {
		return nil, err
	}
	e := &engines{own: own}
	var url string
	var reach []nats.Option
	if at := own.NATS(); at != nil {
		url, reach = at.URL, at.InProcess()
	}
	if err := e.connect(s.config, secrets, own.ClickHouse(), url, reach...); err != nil {
		e.stop()
		return nil, err
	}
	if err := a.remember(s.config.File); err != nil {
		e.stop()
		return nil, err
	}
	return e, nil
}

// attach connects to the engines that another process runs on the data directory.
func (a *app) attach(s *setup) (*engines, *embedded.Runtime, error) {
	runtime, err := embedded.ReadRuntime(a.data)
	if err != nil {
		return nil, nil, err
	}
	secrets, err := embedded.LoadOrCreateSecrets(a.data, secretNames()...)
	if err != nil {
		return nil, nil, err
	}
	e := &engines{}
	at := &embedded.ClickHouse{Native: runtime.ClickHouseNative, HTTP: runtime.ClickHouseHTTP}
	login := nats.UserInfo(embedded.SystemUser, secrets[embedded.SystemSecret])
	if err := e.connect(s.config, secrets, at, runtime.NATSURL, login); err != nil {
		return nil, nil, err
	}
	return e, runtime, nil
}

func secretNames() []string {
	names := []string{pseudonymSecret, embedded.SystemSecret}
	for _, u := range clickhouse.Access() {
		names = append(names, u.Name)
	}
	return names
}

func embeddedOptions(dir string, c *county.Config, secrets map[string]string, onChange func(embedded.Component), log *slog.Logger) embedded.Options {
	o := embedded.Options{
		Dir: dir, Version: layoutVersion, MinFreeBytes: uint64(c.Engines.MinFree), OnChange: onChange, Log: log,
		NATS: embedded.NATSOptions{
			Disabled: c.Engines.NATS.Address != "", Port: c.Engines.NATS.Port, StoreMaxBytes: 0,
			SyncAlways: c.Engines.NATS.Sync == "always",
		},
		ClickHouse: embedded.ClickHouseOptions{
			Disabled: c.Engines.ClickHouse.Address != "", NativePort: c.Engines.ClickHouse.NativePort, HTTPPort: c.Engines.ClickHouse.HTTPPort,
			MaxMemoryBytes: uint64(c.Engines.ClickHouse.MaxMemory),
		},
	}
	if d, err := time.ParseDuration(c.Engines.NATS.Sync); err == nil {
		o.NATS.SyncInterval = d
	}
	for _, u := range clickhouse.Access() {
		o.ClickHouse.Users = append(o.ClickHouse.Users, embedded.User{
			Name: u.Name, Password: secrets[u.Name], Readonly: u.Readonly, Settings: u.Settings, Grants: u.Grants,
		})
	}
	return o
}

func (e *engines) connect(c *county.Config, secrets map[string]string, clickhouseAt *embedded.ClickHouse, natsURL string, reach ...nats.Option) error {
	key, err := c.Pseudonyms.Key.Reveal()
	if err != nil {
		return inputf("the key of the pseudonyms cannot be read: %v", err)
	}
	if key == "" {
		key = secrets[pseudonymSecret]
	}
	e.key = []byte(key)
	if e.nc, err = connectNATS(c, natsURL, reach...); err != nil {
		return err
	}
	if e.loader, e.analyst, err = clickhouseAddresses(c, secrets, clickhouseAt); err != nil {
		return err
	}
	e.jobs, err = jobsAddress(c, secrets, clickhouseAt)
	return err
}

// stopTimeout bounds how long the engines may take to stop; with drainTimeout it stays under the 10 s that a
// service manager waits.
const stopTimeout = 5 * time.Second

func (e *engines) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if e.nc != nil {
		e.nc.Close()
	}
	if e.own != nil {
		if err := e.own.Stop(ctx); err != nil {
			slog.Warn("the engines did not stop cleanly", "error", err)
		}
	}
}

func reachable(err error, address string) error {
	if err == nil || !away(err) {
		return err
	}
	return fmt.Errorf("ClickHouse at %s: %w; check the address, and that the server runs: %w", address, errUnreachable, err)
}

// away tells errors of the connection from answers of the server.
func away(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, sqldriver.ErrBadConn) || errors.Is(err, sql.ErrConnDone)
}
