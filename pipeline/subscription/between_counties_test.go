package subscription

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/shirecounty/shire/connectors/push"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

// inboxes keeps what a webhook of another county takes.
type inboxes struct{ *bus.Bus }

func (i inboxes) Put(ctx context.Context, department, dataset, token string, header map[string][]string, data []byte) (bool, error) {
	return i.Inbox(department).Put(ctx, dataset, token, header, data)
}

const mirrored = `dataset: mirrored
department: civil
owner: {zh: 甲, en: A}
title: {zh: 甲, en: A}
version: 1
key: [shire_record]
sharing: {type: conditional}
fields:
  - {name: shire_record, type: identifier, required: true, sensitivity: internal}
  - {name: level, type: text, sensitivity: internal}
  - {name: card, type: text, sensitivity: sensitive}
emits:
  - {table: person_records, role: holder, columns: {name: card}}
`

// What one county's node sends, another one's webhook takes: signed with either digest, each event once.
func TestFromOneCountyToAnother(t *testing.T) {
	r := newRig(t)
	there, err := bus.Open(t.Context(), r.nc, bus.Options{County: "44" + r.county[2:], Replicas: 1})
	r.must(err)
	d, err := contract.Parse("m.yaml", []byte(mirrored), "Asia/Shanghai")
	r.must(err)
	door, err := push.NewDoor(push.DoorOptions{
		Sources:   []county.Source{{Name: "next_county", Kind: push.Kind, Datasets: []string{"mirrored"}, With: map[string]any{"secret": secret}}},
		Contracts: contract.Set{"mirrored": d}, Resolve: func(p string) string { return p }, Store: inboxes{there}, Closed: func() error { return nil }, Log: slog.New(slog.DiscardHandler),
	})
	r.must(err)
	mux := http.NewServeMux()
	mux.Handle("POST "+push.Path, door)
	server := httptest.NewServer(mux)
	defer server.Close()
	r.grant("G1", "welfare", masks, "birth")
	r.open("C1", anna, "birth")
	s := r.service(nil)
	var list []county.Subscription
	for _, digest := range push.Digests {
		c := r.config("welfare")
		c.Name, c.Webhook = "to_"+digest, county.Webhook{URL: server.URL + "/api/v1/push/next_county", Secret: secret, Digest: digest}
		list = append(list, c)
	}
	r.serve(s, list...)
	all := func() {
		for _, c := range list {
			r.done(s, c)
		}
	}
	r.welfare("W1", anna, "a", money)
	all()
	r.welfare("W1", anna, "b", money)
	all()
	r.publish("welfare", row(change.Delete, "W1", anna, "", "", ""))
	all()
	for _, c := range list {
		if p := r.progress(s, c); p.Parked != 0 || p.Trouble != nil {
			t.Fatalf("%s: %+v %+v", c.Name, p, p.Trouble)
		}
	}
	state, err := there.Inbox("civil").State(t.Context())
	if err != nil || state.Last != 6 {
		t.Fatalf("%+v, %v: there should be three events of each", state, err)
	}
}
