// Package county defines county.yaml: which county this node serves, on which engines, from which sources.
package county

import (
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/document"
)

// Config is county.yaml.
type Config struct {
	County        County                   `yaml:"county" json:"county" jsonschema:"required"`
	Contracts     string                   `yaml:"contracts" json:"contracts" jsonschema:"required,description=Folder with the dataset contracts (*.yaml); relative to this file"`
	Calendars     string                   `yaml:"calendars,omitempty" json:"calendars,omitempty" jsonschema:"description=Folder with working-calendar files that override single days; its folder national holds the nation's files of years that were published after this program and its folder province the province's"`
	Materials     string                   `yaml:"materials,omitempty" json:"materials,omitempty" jsonschema:"description=Folder with rules of materials (*.yaml): how long papers are valid and what changes them; its folder province holds the province's. A rule replaces that of the same material in the layer before"`
	Clocks        Clocks                   `yaml:"clocks,omitempty" json:"clocks,omitempty"`
	Engines       Engines                  `yaml:"engines,omitempty" json:"engines,omitempty"`
	Departments   map[string]contract.Text `yaml:"departments,omitempty" json:"departments,omitempty" jsonschema:"description=Names of the departments whose codes the data uses"`
	Sources       []Source                 `yaml:"sources" json:"sources" jsonschema:"required"`
	Jobs          []Job                    `yaml:"jobs,omitempty" json:"jobs,omitempty"`
	JobsFolder    string                   `yaml:"jobs_folder,omitempty" json:"jobs_folder,omitempty" jsonschema:"description=Folder with more jobs (*.yaml); each file holds a list of jobs or one job"`
	Interventions string                   `yaml:"interventions,omitempty" json:"interventions,omitempty" jsonschema:"description=Folder with what the county did to serve better (*.yaml)\\, each with its claim; relative to this file"`
	Flow          Flow                     `yaml:"flow,omitempty" json:"flow,omitempty"`
	Portal        Portal                   `yaml:"portal,omitempty" json:"portal,omitempty"`
	Pseudonyms    Pseudonyms               `yaml:"pseudonyms,omitempty" json:"pseudonyms,omitempty"`
	Sharing       Sharing                  `yaml:"sharing,omitempty" json:"sharing,omitempty"`

	File string `yaml:"-" json:"-"` // where it was read from; relative paths are relative to its folder

	doc *document.Document
}

// At makes a problem at the place of a YAML path of county.yaml, such as Source.Path + ".with.directory".
func (c *Config) At(path, message, do string) *document.Problem { return c.doc.At(path, message, do) }

// County names the county that this node serves (县).
type County struct {
	Division string `yaml:"division" json:"division" jsonschema:"required,pattern=^[0-9]{6}$,description=Six-digit division code\\, GB/T 2260"`
	NameZh   string `yaml:"name_zh" json:"name_zh" jsonschema:"required"`
	NameEn   string `yaml:"name_en" json:"name_en"`
	TimeZone string `yaml:"time_zone,omitempty" json:"time_zone,omitempty" jsonschema:"default=Asia/Shanghai"`
}

// Engines says where the bus and the warehouse run; both are embedded unless an address is given.
type Engines struct {
	NATS       NATS       `yaml:"nats,omitempty" json:"nats,omitempty"`
	ClickHouse ClickHouse `yaml:"clickhouse,omitempty" json:"clickhouse,omitempty"`
	MinFree    Bytes      `yaml:"min_free_disk,omitempty" json:"min_free_disk,omitempty" jsonschema:"description=The embedded engines refuse to write when less is free"`
}

// NATS is the message bus.
type NATS struct {
	Address     string `yaml:"address,omitempty" json:"address,omitempty" jsonschema:"description=nats://host:port or tls://host:port of an external server; embedded when absent"`
	User        string `yaml:"user,omitempty" json:"user,omitempty"`
	Password    Secret `yaml:"password,omitempty" json:"password,omitempty"`
	Credentials string `yaml:"credentials,omitempty" json:"credentials,omitempty" jsonschema:"description=A .creds file"`
	TLS         TLS    `yaml:"tls,omitempty" json:"tls,omitempty"`
	Replicas    int    `yaml:"replicas,omitempty" json:"replicas,omitempty" jsonschema:"minimum=1,maximum=5"`
	Port        int    `yaml:"port,omitempty" json:"port,omitempty" jsonschema:"description=Port of the embedded server on loopback; any free one when absent"`
	Sync        string `yaml:"sync,omitempty" json:"sync,omitempty" jsonschema:"description=always or how often the embedded server writes through to the disk"`
}

// ClickHouse is the warehouse.
type ClickHouse struct {
	Address         string `yaml:"address,omitempty" json:"address,omitempty" jsonschema:"description=host:port of the native protocol of an external server; embedded when absent"`
	User            string `yaml:"user,omitempty" json:"user,omitempty"`
	Password        Secret `yaml:"password,omitempty" json:"password,omitempty"`
	AnalystUser     string `yaml:"analyst_user,omitempty" json:"analyst_user,omitempty" jsonschema:"description=User that figures and shire sql read as; shire_analyst when absent"`
	AnalystPassword Secret `yaml:"analyst_password,omitempty" json:"analyst_password,omitempty"`
	JobsUser        string `yaml:"jobs_user,omitempty" json:"jobs_user,omitempty" jsonschema:"description=User that jobs with SQL which writes run as; shire_jobs when absent"`
	JobsPassword    Secret `yaml:"jobs_password,omitempty" json:"jobs_password,omitempty"`
	TLS             TLS    `yaml:"tls,omitempty" json:"tls,omitempty"`
	NativePort      int    `yaml:"native_port,omitempty" json:"native_port,omitempty" jsonschema:"description=Port of the embedded server on loopback; any free one when absent"`
	HTTPPort        int    `yaml:"http_port,omitempty" json:"http_port,omitempty"`
	MaxMemory       Bytes  `yaml:"max_memory,omitempty" json:"max_memory,omitempty"`
}

// TLS of a connection to an external engine.
type TLS struct {
	Enabled bool   `yaml:"enabled,omitempty" json:"enabled,omitempty"`
	CA      string `yaml:"ca,omitempty" json:"ca,omitempty" jsonschema:"description=PEM file of the authority; the system's when absent"`
	Cert    string `yaml:"cert,omitempty" json:"cert,omitempty"`
	Key     string `yaml:"key,omitempty" json:"key,omitempty"`
}

// Source is one department system that a connector reads.
type Source struct {
	Name     string         `yaml:"name" json:"name" jsonschema:"required"`
	Kind     string         `yaml:"kind" json:"kind" jsonschema:"required,description=Kind of connector: file\\, postgres\\, mysql\\, query\\, http or push"`
	Datasets []string       `yaml:"datasets" json:"datasets" jsonschema:"required,description=Datasets that it delivers; each dataset has one source"`
	With     map[string]any `yaml:"with,omitempty" json:"with,omitempty" jsonschema:"description=Settings of the connector"`
	Schedule string         `yaml:"schedule,omitempty" json:"schedule,omitempty" jsonschema:"description=Read to its end at these times and not followed in between: minute hour day-of-month month day-of-week in the county's time zone"`

	Timed bool      `yaml:"-" json:"-"` // a job reads it, by Schedule or by another entry of jobs; it is not followed
	Path  string    `yaml:"-" json:"-"` // YAML path of this source, for messages
	Times *Schedule `yaml:"-" json:"-"` // Schedule, read; nil for a source that is followed
}

// Flow bounds the pipeline's buffers (I10).
type Flow struct {
	PackRows   int      `yaml:"pack_rows,omitempty" json:"pack_rows,omitempty" jsonschema:"description=Most changes in one message"`
	PackBytes  Bytes    `yaml:"pack_bytes,omitempty" json:"pack_bytes,omitempty" jsonschema:"description=Most bytes in one message"`
	PackLinger Duration `yaml:"pack_linger,omitempty" json:"pack_linger,omitempty" jsonschema:"description=Longest wait before a message that is not full is sent"`
	LoadRows   int      `yaml:"load_rows,omitempty" json:"load_rows,omitempty" jsonschema:"description=Most changes in one load"`
	LoadBytes  Bytes    `yaml:"load_bytes,omitempty" json:"load_bytes,omitempty"`
	LoadAge    Duration `yaml:"load_age,omitempty" json:"load_age,omitempty" jsonschema:"description=Longest wait before a load that is not full is made"`
	Lease      Duration `yaml:"lease,omitempty" json:"lease,omitempty" jsonschema:"description=How long a second node waits for one that says nothing any more"`
}

// Portal is the HTTP listener.
type Portal struct {
	Listen string     `yaml:"listen,omitempty" json:"listen,omitempty" jsonschema:"default=127.0.0.1:8080"`
	TLS    *PortalTLS `yaml:"tls,omitempty" json:"tls,omitempty"`
	OIDC   *OIDC      `yaml:"oidc,omitempty" json:"oidc,omitempty"`
}

// Pseudonyms are keyed hashes; nodes that shall give the same ones share the key.
type Pseudonyms struct {
	Key Secret `yaml:"key,omitempty" json:"key,omitempty" jsonschema:"description=At least 32 characters; generated into the data directory when absent"`
}

// Duration is a time.Duration written as 5s, 200ms, 2m.
type Duration time.Duration

// UnmarshalYAML reads "5s".
func (d *Duration) UnmarshalYAML(node ast.Node) error {
	v, err := time.ParseDuration(scalar(node))
	if err != nil || v <= 0 {
		return document.Errorf(node, "write a duration such as 200ms, 5s or 2m")
	}
	*d = Duration(v)
	return nil
}
