package portal

import (
	"net/http"

	"github.com/shirecounty/shire/connectors/push"
)

// pushRoute is the webhook of departments that send their changes by themselves (connectors/push).
func (p *Portal) pushRoute() route {
	return route{
		Method: http.MethodPost, Path: push.Path, ID: "push",
		Summary: "Take changes that a department sends by itself: CloudEvents 1.0, answered when they are safe",
		Parameters: []parameter{
			{Name: "source", In: "path", Pattern: `^[a-z][a-z0-9_]{0,62}$`, Description: "Name of the source in county.yaml"},
			{Name: "Shire-Signature", In: "header", Pattern: `^t=[0-9]+,(sha256|sm3)=[0-9a-f]{64}$`, Description: "HMAC over the time, a dot and the body, with the source's secret"},
		},
		Body: map[string]any{}, BodyTypes: []string{"application/cloudevents+json", "application/cloudevents-batch+json", "application/json"},
		Result: push.Result{}, Problems: []int{400, 401, 404, 408, 413, 415, 422, 429, 503}, handle: p.o.Push.ServeHTTP,
	}
}

func (r route) bodyTypes() []string {
	if len(r.BodyTypes) == 0 {
		return []string{"application/json"}
	}
	return r.BodyTypes
}
