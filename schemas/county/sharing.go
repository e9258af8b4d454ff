package county

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/document"
)

var purposeCode = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// Sharing is how personal data leaves the county's node.
type Sharing struct {
	Purposes       map[string]contract.Text `yaml:"purposes,omitempty" json:"purposes,omitempty" jsonschema:"description=What departments may ask for data for: code and name of each purpose (用途)"`
	Lead           string                   `yaml:"lead,omitempty" json:"lead,omitempty" jsonschema:"description=Code of the lead department (主管部门)\\, which sees every request and may suspend or revoke every grant"`
	Rules          string                   `yaml:"rules,omitempty" json:"rules,omitempty" jsonschema:"description=Folder with deadlines of the county's own (*.yaml)\\, tighter than the nation's; its folder province holds the province's; relative to this file"`
	Audit          Audit                    `yaml:"audit,omitempty" json:"audit,omitempty"`
	Items          string                   `yaml:"items,omitempty" json:"items,omitempty" jsonschema:"description=File with the county's service items and the materials that each requires; relative to this file"`
	Window         string                   `yaml:"window,omitempty" json:"window,omitempty" jsonschema:"description=Purpose for which clerks see at /window what a case's applicant need not hand in; without it there is no such page"`
	Lag            Duration                 `yaml:"lag,omitempty" json:"lag,omitempty" jsonschema:"description=How far what is shared may be behind what the departments have sent; reads are refused beyond it; 1m when absent"`
	Cipher         string                   `yaml:"cipher,omitempty" json:"cipher,omitempty" jsonschema:"enum=aes-256-gcm,enum=sm4-gcm,default=aes-256-gcm,description=How personal values and the records to share are sealed on the disk; another one than before makes a new key"`
	Clients        []Client                 `yaml:"clients,omitempty" json:"clients,omitempty" jsonschema:"description=Systems of the departments that may call the sharing interface; nobody else may"`
	Issuers        []Issuer                 `yaml:"issuers,omitempty" json:"issuers,omitempty" jsonschema:"description=Authorisation servers whose tokens are taken (OAuth2 client credentials)"`
	Limits         SharingLimits            `yaml:"limits,omitempty" json:"limits,omitempty"`
	Subscriptions  []Subscription           `yaml:"subscriptions,omitempty" json:"subscriptions,omitempty" jsonschema:"description=Departments that are sent the changes of what they were granted"`
	WarehouseUsers []WarehouseUser          `yaml:"warehouse_users,omitempty" json:"warehouse_users,omitempty" jsonschema:"description=Departments that read in ClickHouse what they are granted and is not personal"`
}

// Audit is how the log of accesses to personal data is kept (docs/audit.md).
type Audit struct {
	Hash              string   `yaml:"hash,omitempty" json:"hash,omitempty" jsonschema:"enum=sha256,enum=sm3,default=sha256,description=Hash function of the chain; it may be changed while the log goes on"`
	Signature         string   `yaml:"signature,omitempty" json:"signature,omitempty" jsonschema:"enum=ed25519,enum=sm2,default=ed25519,description=How checkpoints are signed; the key is made in the data directory"`
	CheckpointEntries int      `yaml:"checkpoint_entries,omitempty" json:"checkpoint_entries,omitempty" jsonschema:"description=A checkpoint after so many entries"`
	CheckpointEvery   Duration `yaml:"checkpoint_every,omitempty" json:"checkpoint_every,omitempty" jsonschema:"description=A checkpoint after so long\\, when there were any entries"`
	HandOut           string   `yaml:"hand_out,omitempty" json:"hand_out,omitempty" jsonschema:"description=File to which every checkpoint is appended as well\\, best on a disk that others rule; relative to this file"`
}

func (c *Config) proveSharing(fail func(path, do, format string, args ...any)) {
	c.proveRequests(fail)
	c.proveWindow(fail)
	c.proveStore(fail)
	a := &c.Sharing.Audit
	orDefault(&a.Hash, "sha256")
	orDefault(&a.Signature, "ed25519")
	orDefault(&a.CheckpointEntries, 10_000)
	orDefault(&a.CheckpointEvery, Duration(15*time.Minute))
	if !slices.Contains([]string{"sha256", "sm3"}, a.Hash) {
		fail("$.sharing.audit.hash", "write sha256 or sm3", "the audit log is not hashed with %q", a.Hash)
	}
	if !slices.Contains([]string{"ed25519", "sm2"}, a.Signature) {
		fail("$.sharing.audit.signature", "write ed25519 or sm2", "checkpoints are not signed with %q", a.Signature)
	}
	if a.CheckpointEntries < 1 {
		fail("$.sharing.audit.checkpoint_entries", "write at least 1, or leave it out", "%d is too small", a.CheckpointEntries)
	}
	if a.HandOut == "" {
		return
	}
	a.HandOut = c.Resolve(a.HandOut)
	if info, err := os.Stat(filepath.Dir(a.HandOut)); err != nil || !info.IsDir() {
		fail("$.sharing.audit.hand_out", "make the folder, or leave hand_out out", "there is no folder %s for the checkpoints", filepath.Dir(a.HandOut))
	}
}

// proveRequests proves what requests for data are judged by.
func (c *Config) proveRequests(fail func(path, do, format string, args ...any)) {
	for code, name := range c.Sharing.Purposes {
		if !purposeCode.MatchString(code) || name.Zh == "" || name.En == "" {
			fail("$.sharing.purposes."+code, "write code: {zh: …, en: …}, the code in lower-case letters, digits and _", "the purpose %q is not complete", code)
		}
	}
	if lead := c.Sharing.Lead; lead != "" && len(c.Departments) > 0 {
		if _, ok := c.Departments[lead]; !ok {
			fail("$.sharing.lead", document.DidYouMean(lead, slices.Sorted(maps.Keys(c.Departments))), "the county has no department %q", lead)
		}
	}
	if c.Sharing.Rules != "" {
		c.Sharing.Rules = c.Resolve(c.Sharing.Rules)
		if info, err := os.Stat(c.Sharing.Rules); err != nil || !info.IsDir() {
			fail("$.sharing.rules", "make the folder, or leave rules out", "there is no folder %s for the deadlines", c.Sharing.Rules)
		}
	}
}

// proveWindow proves what the page of the window clerks stands on.
func (c *Config) proveWindow(fail func(path, do, format string, args ...any)) {
	s := &c.Sharing
	if s.Window == "" {
		return
	}
	if _, ok := s.Purposes[s.Window]; !ok {
		fail("$.sharing.window", document.DidYouMean(s.Window, slices.Sorted(maps.Keys(s.Purposes))), "the county has no purpose %q", s.Window)
	}
	if s.Items == "" {
		fail("$.sharing.window", "name the list of service items under sharing.items", "what a case requires is not known without a list of service items")
	}
}

// proveStore proves how records to share are kept.
func (c *Config) proveStore(fail func(path, do, format string, args ...any)) {
	s := &c.Sharing
	orDefault(&s.Lag, Duration(time.Minute))
	orDefault(&s.Cipher, "aes-256-gcm")
	if !slices.Contains([]string{"aes-256-gcm", "sm4-gcm"}, s.Cipher) {
		fail("$.sharing.cipher", "write aes-256-gcm or sm4-gcm", "personal values are not sealed with %q", s.Cipher)
	}
	if s.Items == "" {
		return
	}
	s.Items = c.Resolve(s.Items)
	if info, err := os.Stat(s.Items); err != nil || info.IsDir() {
		fail("$.sharing.items", "name the file, or leave items out", "there is no file %s with the service items", s.Items)
	}
}
