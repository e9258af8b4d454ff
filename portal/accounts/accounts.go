//go:build unix

// Package accounts keeps who may review identities, operate jobs, act for a department, stand at a window or supervise accesses: a file each of names and
// password hashes in the data directory. Nobody is in them until somebody with access to that directory adds them, and no password is there
// from the start. Whoever operates jobs need not see personal data, and whoever sees it need not operate anything: so each
// has a file of its own, and to be in one opens nothing of another. Officers act for their department about requests for
// data; clerks ask at its windows what is held on an applicant; supervisors read who looked at whom.
//
// # How it fails
//
//   - Others than its owner may read or change the file, or it is not what Add wrote: nobody may sign in, and the error
//     says what to do. A file that somebody else may have written must not decide who sees personal data.
//   - A process dies while it writes: the old file stays.
package accounts

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Names of the files in the data directory.
const (
	ReviewersFile = "reviewers.json"
	OperatorsFile = "operators.json"

	OfficersFile    = "officers.json"
	ClerksFile      = "clerks.json"
	SupervisorsFile = "supervisors.json"
)

// cost makes checking one password take some 0.2 s. Passwords are generated and cannot be guessed; who replaces that with
// a weaker one is still protected.
const cost = 12

// nobody is the hash of a password that was thrown away: checking a name that is not there takes as long as one that is.
const nobody = "$2a$12$kmrdRCnEZngOUFv1D5OL0eCpqLVfY2uSQZ96qV8VapZ3BGQ1HA73a"

// Account is one person who may.
type Account struct {
	Name       string    `json:"name"`
	Department string    `json:"department,omitempty"` // of an officer or a clerk
	Created    time.Time `json:"created"`
}

// entry is an account as the file has it.
type entry struct {
	Account
	Hash string `json:"password_bcrypt,omitempty"`
	Key  string `json:"key_sha256,omitempty"` // of a client: see [Keys]
}

// Errors of [File.Add] and [File.Remove].
var (
	ErrName    = errors.New("a name has 1 to 64 letters, digits, spaces or . _ @ - and begins with a letter or digit")
	ErrThere   = errors.New("there is somebody of this name; remove them first to give them a new password")
	ErrUnknown = errors.New("there is nobody of this name")
)

var names = regexp.MustCompile(`^[\p{L}\p{N}]([\p{L}\p{N} ._@-]{0,62}[\p{L}\p{N}._@-])?$`)

// File is the file of a data directory. It is read anew whenever it is asked: it is small, and who is removed must be out
// at once. It is safe for concurrent use, by several processes too.
type File struct {
	path string
	cost int // of bcrypt, for new passwords
}

// Reviewers are those who may review identities: the file of a data directory, which need not be there yet.
func Reviewers(dataDir string) *File { return &File{filepath.Join(dataDir, ReviewersFile), cost} }

// Operators are those who may operate jobs.
func Operators(dataDir string) *File { return &File{filepath.Join(dataDir, OperatorsFile), cost} }

// Officers are those who act for their department about requests for data.
func Officers(dataDir string) *File { return &File{filepath.Join(dataDir, OfficersFile), cost} }

// Clerks are those who ask at their department's windows what is held on an applicant.
func Clerks(dataDir string) *File { return &File{filepath.Join(dataDir, ClerksFile), cost} }

// Supervisors are those who may read who looked at whose records.
func Supervisors(dataDir string) *File { return &File{filepath.Join(dataDir, SupervisorsFile), cost} }

// Check tells whether a password is that of an account.
func (f *File) Check(name, password string) (bool, error) {
	list, err := f.read()
	if err != nil {
		return false, err
	}
	hash, i := nobody, slices.IndexFunc(list, func(e entry) bool { return e.Name == name })
	if i >= 0 {
		hash = list[i].Hash
	}
	return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil && i >= 0, nil
}

// Since is when an account was added; the zero time when there is none of that name.
func (f *File) Since(name string) (time.Time, error) {
	list, err := f.read()
	if err != nil {
		return time.Time{}, err
	}
	for _, e := range list {
		if e.Name == name {
			return e.Created, nil
		}
	}
	return time.Time{}, nil
}

// Department is the department that an account belongs to; "" when there is none of that name.
func (f *File) Department(name string) (string, error) {
	list, err := f.read()
	if err != nil {
		return "", err
	}
	for _, e := range list {
		if e.Name == name {
			return e.Department, nil
		}
	}
	return "", nil
}

// List lists the accounts by name.
func (f *File) List() ([]Account, error) {
	list, err := f.read()
	if err != nil {
		return nil, err
	}
	accounts := make([]Account, len(list))
	for i, e := range list {
		accounts[i] = e.Account
	}
	return accounts, nil
}

// Add adds an account and returns the password that it made, which nothing keeps.
func (f *File) Add(name string) (password string, err error) { return f.AddOf(name, "") }

// AddOf is Add for somebody of a department.
func (f *File) AddOf(name, department string) (password string, err error) {
	if !names.MatchString(name) {
		return "", ErrName
	}
	password = rand.Text()
	err = f.change(func(list []entry) ([]entry, error) {
		if slices.ContainsFunc(list, func(e entry) bool { return e.Name == name }) {
			return nil, ErrThere
		}
		hash, err := bcrypt.GenerateFromPassword([]byte(password), f.cost)
		if err != nil {
			return nil, err
		}
		return append(list, entry{Account: Account{name, department, time.Now().UTC()}, Hash: string(hash)}), nil
	})
	if err != nil {
		return "", err
	}
	return password, nil
}

// Remove removes an account, whose sessions end with it. What it decided stays.
func (f *File) Remove(name string) error {
	return f.change(func(list []entry) ([]entry, error) {
		i := slices.IndexFunc(list, func(e entry) bool { return e.Name == name })
		if i < 0 {
			return nil, ErrUnknown
		}
		return slices.Delete(list, i, i+1), nil
	})
}

// read returns the entries by name.
func (f *File) read() ([]entry, error) {
	file, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read who may sign in: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("read who may sign in: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s may be read or changed by other users (mode %#o); if nobody has, run: chmod 600 %s", f.path, info.Mode().Perm(), f.path)
	}
	var list []entry
	if json.NewDecoder(file).Decode(&list) != nil {
		// The decoder's own words could quote a hash.
		return nil, fmt.Errorf("%s is not a list of accounts; restore it from a backup, or remove it and add them again", f.path)
	}
	slices.SortFunc(list, func(x, y entry) int { return cmp.Compare(x.Name, y.Name) })
	return list, nil
}

// change replaces the file by what do makes of it. Processes that change it at once take turns.
func (f *File) change(do func([]entry) ([]entry, error)) error {
	dir := filepath.Dir(f.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	lock, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open the data directory: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock the data directory %s: %w", dir, err)
	}
	list, err := f.read()
	if err != nil {
		return err
	}
	if list, err = do(list); err != nil {
		return err
	}
	content, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return fmt.Errorf("encode who may sign in: %w", err)
	}
	return replace(f.path, append(content, '\n'), lock)
}

// replace writes a file whole or not at all, for its owner alone; dir is its open directory.
func replace(path string, content []byte, dir *os.File) error {
	file, err := os.CreateTemp(dir.Name(), "."+filepath.Base(path)+"-*") // 0600
	if err != nil {
		return fmt.Errorf("write who may sign in: %w", err)
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write who may sign in: %w", err), os.Remove(file.Name()))
	}
	return dir.Sync()
}
