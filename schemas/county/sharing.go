package county

import (
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Sharing is how personal data leaves the county's node.
type Sharing struct {
	Audit          Audit           `yaml:"audit,omitempty" json:"audit,omitempty"`
	Cipher         string          `yaml:"cipher,omitempty" json:"cipher,omitempty" jsonschema:"enum=aes-256-gcm,enum=sm4-gcm,default=aes-256-gcm,description=How personal values are sealed on the disk; another one than before makes a new key"`
	WarehouseUsers []WarehouseUser `yaml:"warehouse_users,omitempty" json:"warehouse_users,omitempty" jsonschema:"description=Departments that read in ClickHouse what they are granted and is not personal"`
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
