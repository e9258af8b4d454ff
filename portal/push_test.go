package portal

import (
	"net/http"
	"slices"
	"testing"
)

// The webhook is reached by POST alone, with the source's name; a portal without one has no such address.
func TestPushIsMounted(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.Push = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("taken from " + r.PathValue("source"))) })
	})
	if r := w.ask(http.MethodPost, "/api/v1/push/civil_affairs"); r.Code != 200 || r.Body.String() != "taken from civil_affairs" {
		t.Errorf("%d %s", r.Code, r.Body)
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodOptions} {
		if r := w.ask(method, "/api/v1/push/civil_affairs"); r.Code != http.StatusMethodNotAllowed || r.Header().Get("Allow") != http.MethodPost {
			t.Errorf("%s: %d %v", method, r.Code, r.Header())
		}
	}
	if r := newWorld(t).ask(http.MethodPost, "/api/v1/push/civil_affairs"); r.Code < 400 {
		t.Errorf("without a webhook: %d %s", r.Code, r.Body)
	}
	operation := w.OpenAPI()["paths"].(map[string]any)["/api/v1/push/{source}"].(map[string]any)["post"].(map[string]any)
	var types []string
	for name := range operation["requestBody"].(map[string]any)["content"].(map[string]any) {
		types = append(types, name)
	}
	slices.Sort(types)
	if !slices.Equal(types, []string{"application/cloudevents+json", "application/cloudevents-batch+json", "application/json"}) {
		t.Errorf("%v", types)
	}
}
