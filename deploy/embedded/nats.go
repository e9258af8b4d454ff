//go:build unix

package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"golang.org/x/crypto/bcrypt"
)

// SystemUser is the NATS user that may do everything. Its password is the secret of that name (see [SystemSecret]).
const SystemUser = "system"

// SystemSecret is the name under which [LoadOrCreateSecrets] keeps the password of [SystemUser].
const SystemSecret = "nats." + SystemUser

// maxPayload bounds one message: a packed record batch must fit.
const maxPayload = 8 << 20

// NATSOptions describe the embedded nats-server.
type NATSOptions struct {
	Disabled bool // the county uses an external NATS
	Port     int  // on 127.0.0.1; 0: a free one, see Engines.NATS

	// SyncAlways fsyncs every message before it is acknowledged. Otherwise JetStream fsyncs every SyncInterval (0: its
	// default, two minutes), and a power failure may take with it what was acknowledged since. A crash of the process
	// alone takes nothing.
	SyncAlways   bool
	SyncInterval time.Duration

	StoreMaxBytes  int64 // bound of all file stores; 0: none, Options.MinFreeBytes tells when the disk is full
	MemoryMaxBytes int64 // bound of all memory stores; 0: 64 MiB

	Users []NATSUser // besides SystemUser
}

// NATSUser may publish to and subscribe to the given subject patterns only; to none if the list is empty. A user that
// waits for PubAcks needs an inbox of its own in Subscribe, such as "_INBOX_police.>" (nats.CustomInboxPrefix).
//
// Each user has an account of its own, which holds nothing; what it publishes is handed to the account of [SystemUser].
// Permissions alone would not do: nats-server does not ask whether a user may publish to the *reply* subject of its
// messages, so that a PubAck could be sent to any stream of the same account.
type NATSUser struct {
	Name, Password     string
	Publish, Subscribe []string

	// API are requests to JetStream's interface that the user may make, such as "CONSUMER.INFO.stream.consumer". The user writes
	// APIPrefix before them: $JS.API is the interface of its own account, which has no streams.
	API       []string
	APIPrefix string // required with API
}

// NATS tells how to reach the embedded nats-server.
type NATS struct {
	URL            string // nats://127.0.0.1:port
	User, Password string // of SystemUser
	server         *server.Server
}

// InProcess returns options for nats.Connect by which this process reaches the server as [SystemUser] without a socket.
// Pass [NATS.URL] along with them.
func (n *NATS) InProcess() []nats.Option {
	return []nats.Option{nats.InProcessServer(n.server), nats.UserInfo(n.User, n.Password)}
}

func startNATS(ctx context.Context, o NATSOptions, dir, password string, log *slog.Logger) (*NATS, error) {
	port := server.RANDOM_PORT
	if o.Port != 0 {
		if err := waitForPort(ctx, o.Port, "NATS", "nats.port"); err != nil {
			return nil, err
		}
		port = o.Port
	}
	system, err := hashed(password)
	if err != nil {
		return nil, err
	}
	users := []*server.User{{Username: SystemUser, Password: system}}
	var accounts []*server.Account
	for _, user := range o.Users {
		if user.Name == "" || user.Name == SystemUser || user.Password == "" {
			return nil, fmt.Errorf("embedded.NATSOptions: a user needs a password and a name, which cannot be %q", SystemUser)
		}
		hash, err := hashed(user.Password)
		if err != nil {
			return nil, fmt.Errorf("embedded.NATSOptions: user %s: %w", user.Name, err)
		}
		account, err := separate(user, &accounts)
		if err != nil {
			return nil, fmt.Errorf("embedded.NATSOptions: user %s: %w", user.Name, err)
		}
		users = append(users, &server.User{
			Username: user.Name,
			Password: hash,
			Account:  account,
			Permissions: &server.Permissions{
				Publish:   onlySubjects(slices.Concat(user.Publish, prefixed(user.APIPrefix, user.API))),
				Subscribe: onlySubjects(user.Subscribe),
			},
		})
	}
	memory := o.MemoryMaxBytes
	if memory == 0 {
		memory = 64 << 20
	}
	store := o.StoreMaxBytes
	if store == 0 {
		// nats-server's own default is three quarters of the disk, beyond which it refuses messages while everything
		// looks well. The watch of the disk stops the sources instead, and says why.
		store = 1 << 60
	}
	logger := &natsLogger{log: log.With("component", ComponentNATS)}
	s, err := server.NewServer(&server.Options{
		ServerName:             "shire",
		Host:                   loopback,
		Port:                   port,
		Users:                  users,
		Accounts:               accounts,
		JetStream:              true,
		StoreDir:               filepath.Join(dir, natsDir),
		SyncAlways:             o.SyncAlways,
		SyncInterval:           o.SyncInterval,
		JetStreamMaxStore:      store,
		JetStreamMaxMemory:     memory,
		MaxPayload:             maxPayload,
		NoSigs:                 true, // signals are the caller's
		DisableJetStreamBanner: true,
	})
	if err != nil {
		return nil, fmt.Errorf("configure the embedded NATS server: %w", err)
	}
	s.SetLoggerV2(logger, false, false, false)
	started := make(chan struct{})
	go func() {
		defer close(started)
		s.Start() // returns once the server runs, or after a fatal error, which only the logger hears of
	}()
	select {
	case <-started:
	case <-ctx.Done():
		<-started
		s.Shutdown()
		return nil, fmt.Errorf("start the embedded NATS server: %w", context.Cause(ctx))
	}
	fatal := logger.fatalError()
	if fatal == nil && (!s.ReadyForConnections(10*time.Second) || !s.JetStreamEnabled()) {
		fatal = errors.New("it does not take connections")
	}
	if fatal == nil && len(accounts) > 0 {
		// nats-server gives JetStream to the account of SystemUser by itself only where there is no other account.
		fatal = s.GlobalAccount().EnableJetStream(nil, nil)
	}
	if fatal != nil {
		s.Shutdown()
		return nil, &EnvError{
			What:  fmt.Sprintf("the embedded NATS server did not start: %v", fatal),
			Where: filepath.Join(dir, natsDir),
			Do:    "Check the directory and the log above",
			Err:   fatal,
		}
	}
	tcp, ok := s.Addr().(*net.TCPAddr)
	if !ok {
		s.Shutdown()
		return nil, errors.New("the embedded NATS server has no TCP address")
	}
	return &NATS{URL: "nats://" + address(tcp.Port), User: SystemUser, Password: password, server: s}, nil
}

// separate makes a user's own account, and hands what the user may publish over to the account of SystemUser, which is the
// first of accounts.
func separate(user NATSUser, accounts *[]*server.Account) (*server.Account, error) {
	if len(*accounts) == 0 {
		*accounts = append(*accounts, server.NewAccount(server.DEFAULT_GLOBAL_ACCOUNT))
	}
	system, own := (*accounts)[0], server.NewAccount(user.Name)
	*accounts = append(*accounts, own)
	hand := func(answers server.ServiceRespType, theirs, ours string) error {
		if err := system.AddServiceExportWithResponse(ours, answers, nil); err != nil {
			return fmt.Errorf("%s: %w", ours, err)
		}
		if err := own.AddServiceImport(system, theirs, ours); err != nil {
			return fmt.Errorf("%s: %w", theirs, err)
		}
		return nil
	}
	for _, pattern := range user.Publish {
		if err := hand(server.Singleton, pattern, pattern); err != nil {
			return nil, err
		}
	}
	for i, theirs := range prefixed(user.APIPrefix, user.API) {
		// One request for the next messages is answered with each of them.
		if err := hand(server.Streamed, theirs, "$JS.API."+user.API[i]); err != nil {
			return nil, err
		}
	}
	return own, nil
}

func prefixed(prefix string, subjects []string) []string {
	var out []string
	for _, s := range subjects {
		out = append(out, prefix+"."+s)
	}
	return out
}

// hashed is what nats-server wants for a password. The hash never leaves this process, so the lowest cost will do.
func hashed(password string) (string, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		return "", fmt.Errorf("the password cannot be used with NATS: %w", err) // longer than 72 bytes
	}
	return string(hash), nil
}

// onlySubjects allows the given patterns. An empty allow list would mean everything to nats-server.
func onlySubjects(patterns []string) *server.SubjectPermission {
	if len(patterns) == 0 {
		return &server.SubjectPermission{Deny: []string{">"}}
	}
	return &server.SubjectPermission{Allow: patterns}
}

// storeProblem tells why JetStream cannot store what it is given, nil when it can. After one failed write, whatever the
// reason, nats-server takes nothing more for that stream until it is started again, and does not answer who publishes: a
// publisher that waits for its acknowledgement waits for ever.
func (n *NATS) storeProblem() error {
	if status := n.server.Healthz(&server.HealthzOptions{}); status.Status != "ok" {
		return errors.New(status.Error)
	}
	return nil
}

// storeCheckInterval is how often JetStream is asked whether it can still store.
const storeCheckInterval = time.Second

// watchStore calls failed once, when JetStream cannot store any more.
func (n *NATS) watchStore(ctx context.Context, failed func(error)) {
	tick := time.NewTicker(storeCheckInterval)
	defer tick.Stop()
	for bad := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		problem := n.storeProblem()
		if problem == nil {
			bad = 0
			continue
		}
		// Twice, because a stream that is being made is for a moment one that is not there.
		if bad++; bad == 2 {
			failed(problem)
			return
		}
	}
}

func (n *NATS) stop(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.server.Shutdown() // flushes and closes JetStream's stores
		n.server.WaitForShutdown()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the embedded NATS server did not stop in time: %w", context.Cause(ctx))
	}
}

// natsLogger passes nats-server's log on and remembers a fatal error, after which the server does not run.
type natsLogger struct {
	log   *slog.Logger
	mu    sync.Mutex
	fatal error
}

func (l *natsLogger) fatalError() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}

func (l *natsLogger) Fatalf(format string, v ...any) {
	err := fmt.Errorf(format, v...)
	l.mu.Lock()
	l.fatal = err
	l.mu.Unlock()
	l.log.Error(err.Error())
}

func (l *natsLogger) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *natsLogger) Warnf(format string, v ...any)   { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l *natsLogger) Errorf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l *natsLogger) Debugf(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *natsLogger) Tracef(string, ...any)           {} // holds payloads: I7
