package county

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/document"
)

// Subscription is a department that is sent the changes of what it was granted (docs/subscriptions.md).
type Subscription struct {
	Name       string   `yaml:"name" json:"name" jsonschema:"required,description=Lower-case letters\\, digits and _"`
	Department string   `yaml:"department" json:"department" jsonschema:"required,description=Department that follows the dataset (需求部门)"`
	Dataset    string   `yaml:"dataset" json:"dataset" jsonschema:"required,description=Dataset of another department"`
	Fields     []string `yaml:"fields,omitempty" json:"fields,omitempty" jsonschema:"description=Fields that are wanted; all that are granted when absent"`
	Purpose    string   `yaml:"purpose" json:"purpose" jsonschema:"required,description=Purpose for which the data was granted"`
	Since      string   `yaml:"since,omitempty" json:"since,omitempty" jsonschema:"description=Changes from this day or time on (2026-11-01 or RFC 3339); those after the first start when absent"`
	Deliver    string   `yaml:"deliver,omitempty" json:"deliver,omitempty" jsonschema:"enum=webhook,enum=nats,default=webhook,description=Sent to an address\\, or put into the department's outbox on NATS\\, which it reads as a user of its own"`
	Webhook    Webhook  `yaml:"webhook,omitempty" json:"webhook,omitempty"`
	Outbox     Outbox   `yaml:"outbox,omitempty" json:"outbox,omitempty"`
	ParkAfter  Duration `yaml:"park_after,omitempty" json:"park_after,omitempty" jsonschema:"description=How long a change is tried before it is parked and the next one's turn comes; 6h when absent"`

	From time.Time `yaml:"-" json:"-"` // Since, read; zero when absent
}

// How events are delivered.
const (
	DeliverWebhook = "webhook"
	DeliverNATS    = "nats"
)

// Outbox bounds what a subscription may have lie unread on NATS.
type Outbox struct {
	Records int      `yaml:"records,omitempty" json:"records,omitempty" jsonschema:"description=So many records; 10000 when absent and 100000 at most"`
	Bytes   Bytes    `yaml:"bytes,omitempty" json:"bytes,omitempty" jsonschema:"description=So much; 64MiB when absent. The subscriptions of one department share what they have together"`
	Unread  Duration `yaml:"unread,omitempty" json:"unread,omitempty" jsonschema:"description=What lay there so long is parked; 168h when absent"`
}

// mostUnread bounds what is known of unread records in memory (I10).
const mostUnread = 100_000

// Webhook is where events are sent, and how they are signed.
type Webhook struct {
	URL    string `yaml:"url" json:"url" jsonschema:"required,description=https address; http on this machine alone"`
	Secret Secret `yaml:"secret" json:"secret" jsonschema:"required,description=At least 32 characters; the receiver checks the signature with it"`
	Digest string `yaml:"digest,omitempty" json:"digest,omitempty" jsonschema:"enum=sha256,enum=sm3,default=sha256"`
}

// mostSubscriptions bounds them: each holds a few messages of the bus in memory (I10).
const mostSubscriptions = 32

// proveSubscriptions proves what stands under sharing.subscriptions.
func (c *Config) proveSubscriptions(fail func(path, do, format string, args ...any), set contract.Set) {
	list := c.Sharing.Subscriptions
	if len(list) > mostSubscriptions {
		fail("$.sharing.subscriptions", "leave some out", "there are %d subscriptions, and at most %d can be served", len(list), mostSubscriptions)
	}
	seen := map[string]bool{}
	for i := range list {
		s, path := &list[i], fmt.Sprintf("$.sharing.subscriptions[%d]", i)
		orDefault(&s.Deliver, DeliverWebhook)
		orDefault(&s.ParkAfter, Duration(6*time.Hour))
		switch {
		case !sourceShape.MatchString(s.Name):
			fail(path+".name", "use lower-case letters, digits and _", "subscription %q is not a name", s.Name)
		case seen[s.Name]:
			fail(path+".name", "rename one of them", "subscription %s stands twice", s.Name)
		}
		seen[s.Name] = true
		if s.Department == "" {
			fail(path, "write department: with its code", "subscription %s names no department", s.Name)
		}
		if _, ok := c.Sharing.Purposes[s.Purpose]; !ok {
			fail(path+".purpose", "write one of sharing.purposes, as it was granted", "subscription %s is for the purpose %q, which the county does not have", s.Name, s.Purpose)
		}
		c.proveFollowed(fail, path, s, set)
		s.proveDelivery(c, fail, path)
		if err := s.readSince(c.County.TimeZone); err != nil {
			fail(path+".since", "write a day such as 2026-11-01, or a time such as 2026-11-01T08:00:00+08:00", "%q is no time", s.Since)
		}
	}
}

func (c *Config) proveFollowed(fail func(path, do, format string, args ...any), path string, s *Subscription, set contract.Set) {
	d := set[s.Dataset]
	if d == nil {
		fail(path+".dataset", document.DidYouMean(s.Dataset, slices.Collect(maps.Keys(set))), "dataset %q has no contract", s.Dataset)
		return
	}
	if d.Department == s.Department {
		fail(path+".dataset", "name a dataset of another department", "the dataset %s is the department's own", s.Dataset)
	}
	for i, name := range s.Fields {
		if _, ok := d.Field(name); !ok {
			fail(fmt.Sprintf("%s.fields[%d]", path, i), "write a field's name as its contract does", "the dataset %s has no field %q", s.Dataset, name)
		}
	}
}

// proveDelivery proves how events go out.
func (s *Subscription) proveDelivery(c *Config, fail func(path, do, format string, args ...any), path string) {
	switch s.Deliver {
	case DeliverWebhook:
		if s.Outbox != (Outbox{}) {
			fail(path+".outbox", "write deliver: nats, or leave outbox out", "subscription %s is sent to a webhook and has no outbox", s.Name)
		}
		orDefault(&s.Webhook.Digest, "sha256")
		s.Webhook.prove(c, fail, path+".webhook")
	case DeliverNATS:
		if s.Webhook != (Webhook{}) {
			fail(path+".webhook", "leave webhook out, or write deliver: webhook", "subscription %s is read from NATS and has no webhook", s.Name)
		}
		if s.Department != "" && !sourceShape.MatchString(s.Department) {
			fail(path+".department", "use lower-case letters, digits and _, or deliver: webhook", "department %q cannot be a part of a NATS user's name", s.Department)
		}
		o := &s.Outbox
		orDefault(&o.Records, 10_000)
		orDefault(&o.Bytes, 64<<20)
		orDefault(&o.Unread, Duration(7*24*time.Hour))
		if o.Records < 1 || o.Records > mostUnread {
			fail(path+".outbox.records", "write a number from 1 to 100000, or leave it out", "%d unread records are not kept", o.Records)
		}
		if o.Bytes < 1<<20 {
			fail(path+".outbox.bytes", "write at least 1MiB, or leave it out", "%d bytes are too few", o.Bytes)
		}
		if time.Duration(o.Unread) < time.Minute {
			fail(path+".outbox.unread", "write at least 1m, or leave it out", "%s is too short for anybody to read", time.Duration(o.Unread))
		}
	default:
		fail(path+".deliver", "write webhook or nats", "subscription %s is not delivered by %q", s.Name, s.Deliver)
	}
}

func (w *Webhook) prove(c *Config, fail func(path, do, format string, args ...any), path string) {
	u, err := url.Parse(w.URL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		fail(path+".url", "write https://host/path", "the webhook's url is not an address to send to, or holds a user or a fragment")
	case u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()):
	default:
		fail(path+".url", "write https://", "the webhook's url is not https: what is sent could be read on the way")
	}
	if !slices.Contains([]string{"sha256", "sm3"}, w.Digest) {
		fail(path+".digest", "write sha256 or sm3", "events are not signed with %q", w.Digest)
	}
	if w.Secret == "" {
		fail(path, "write secret: ${NAME}", "the webhook has no secret to sign with")
	}
	if file, isFile := strings.CutPrefix(string(w.Secret), "file:"); isFile {
		w.Secret = Secret("file:" + c.Resolve(file))
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// readSince reads a day, in the county's time zone, or a time.
func (s *Subscription) readSince(zone string) (err error) {
	if s.Since == "" {
		return nil
	}
	if s.From, err = time.Parse(time.RFC3339, s.Since); err == nil {
		return nil
	}
	where, err := time.LoadLocation(zone)
	if err != nil {
		return nil // told elsewhere
	}
	s.From, err = time.ParseInLocation(time.DateOnly, s.Since, where)
	return err
}
