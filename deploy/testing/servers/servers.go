// Package servers starts the database servers that departments run, for tests and benchmarks: each on loopback, on data of
// its own that go when it stops. The programs are Debian's; deploy/testing/install.sh installs them.
package servers

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"strings"
	"time"
)

// ErrMissing says that a server's programs are not installed.
var ErrMissing = errors.New("is not installed; run deploy/testing/install.sh")

// server is a running program with its folder.
type server struct {
	Address string // host:port
	owner   string // the user it runs as when this process is root's
	dir     string
	ready   string // the line of its log that says so
	command *exec.Cmd
}

func newServer(prefix, owner, ready string) (*server, error) {
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir, owner: owner, ready: ready}
	if uid, gid, ok := idsOf(owner); ok {
		if err := os.Chown(dir, uid, gid); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	if s.Address, err = freeAddress(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

func (s *server) port() string {
	_, port, _ := net.SplitHostPort(s.Address)
	return port
}

func (s *server) run(program string, args ...string) error {
	if out, err := asUser(s.owner, program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, out)
	}
	return nil
}

// serve starts the program and waits until its log says that it is ready.
func (s *server) serve(program string, args ...string) error {
	s.command = asUser(s.owner, program, args...)
	log := s.dir + "/log"
	out, err := os.Create(log)
	if err != nil {
		return err
	}
	defer out.Close()
	s.command.Stdout, s.command.Stderr = out, out
	if err := s.command.Start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		text, _ := os.ReadFile(log)
		if strings.Contains(string(text), s.ready) {
			return nil
		}
		if time.Now().After(deadline) {
			s.Kill()
			return fmt.Errorf("%s did not become ready:\n%s", program, text)
		}
	}
}

// Kill ends the server at once, as a power failure of the machine would.
func (s *server) Kill() {
	if s.command == nil || s.command.ProcessState != nil {
		return
	}
	killGroup(s.command)
	_ = s.command.Wait()
}

// Restart starts the server again on its data, after Kill.
func (s *server) Restart() error {
	return s.serve(s.command.Path, s.command.Args[1:]...)
}

// Stop ends the server and removes its data.
func (s *server) Stop() {
	s.Kill()
	_ = os.RemoveAll(s.dir)
}

// idsOf is the user that a server of this name runs as when this process is root's: neither server runs as root.
func idsOf(name string) (uid, gid int, ok bool) {
	if os.Getuid() != 0 {
		return 0, 0, false
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, false
	}
	fmt.Sscan(u.Uid, &uid)
	fmt.Sscan(u.Gid, &gid)
	return uid, gid, true
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
