package county

import (
	"strings"
	"testing"
)

const followed = good + `sharing:
  purposes: {eligibility: {zh: 资格审查, en: Eligibility}}
  subscriptions:
    - {name: welfare_of_hall, department: civil, dataset: hall_cases, purpose: eligibility, since: 2026-11-01, webhook: {url: "https://civil.example/hook", secret: "${KEY}", digest: sm3}}
`

func TestSubscriptions(t *testing.T) {
	env := func(name string) (string, bool) { v, ok := variables[name]; return v, ok }
	c, _, err := load(write(t, followed), []string{"file"}, env)
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Sharing.Subscriptions[0]; s.From.Format("2006-01-02T15:04:05Z07:00") != "2026-11-01T00:00:00+08:00" || s.ParkAfter == 0 {
		t.Fatalf("%+v", s)
	}
	for wrong, says := range map[[2]string]string{
		{"name: welfare_of_hall", "name: Welfare"}:                    "is not a name",
		{"department: civil", "department: hall"}:                     "is the department's own",
		{"dataset: hall_cases, p", "dataset: halls, p"}:               "has no contract",
		{"purpose: eligibility", "purpose: curiosity"}:                "does not have",
		{"since: 2026-11-01", "since: yesterday"}:                     "is no time",
		{"https://civil.example", "http://civil.example"}:             "not https",
		{"https://civil.example", "https://me:pw@civil.example"}:      "holds a user",
		{`secret: "${KEY}"`, "secret: in-the-clear"}:                  "in the clear",
		{"digest: sm3", "digest: md5"}:                                "not signed with",
		{"purpose: eligibility", "purpose: eligibility, fields: [x]"}: "has no field",
	} {
		text := strings.Replace(followed, wrong[0], wrong[1], 1)
		if _, _, err := load(write(t, text), []string{"file"}, env); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; want %q", wrong[1], err, says)
		}
	}
}

const read = good + `sharing:
  purposes: {eligibility: {zh: 资格审查, en: Eligibility}}
  subscriptions:
    - {name: welfare_of_hall, department: civil, dataset: hall_cases, purpose: eligibility, deliver: nats, outbox: {records: 500}}
`

func TestSubscriptionsThatAreRead(t *testing.T) {
	env := func(name string) (string, bool) { v, ok := variables[name]; return v, ok }
	c, _, err := load(write(t, read), []string{"file"}, env)
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Sharing.Subscriptions[0]; s.Outbox.Records != 500 || s.Outbox.Bytes == 0 || s.Outbox.Unread == 0 || s.Webhook.Digest != "" {
		t.Fatalf("%+v", s)
	}
	for wrong, says := range map[[2]string]string{
		{"deliver: nats", "deliver: post"}:                                                "is not delivered by",
		{"deliver: nats", `deliver: nats, webhook: {url: "https://x", secret: "${KEY}"}`}: "has no webhook",
		{"deliver: nats, ", `webhook: {url: "https://x", secret: "${KEY}"}, `}:            "has no outbox",
		{"deliver: nats, outbox: {records: 500}", "since: 2026-11-01"}:                    "not an address",
		{"records: 500", "records: 100001"}:                                               "are not kept",
		{"department: civil", "department: civil.x"}:                                      "a NATS user",
		{"records: 500", "records: -1"}:                                                   "are not kept",
		{"records: 500", "bytes: 1KiB"}:                                                   "too few",
		{"records: 500", "unread: 1s"}:                                                    "too short",
	} {
		text := strings.Replace(read, wrong[0], wrong[1], 1)
		if _, _, err := load(write(t, text), []string{"file"}, env); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; want %q", wrong[1], err, says)
		}
	}
}
