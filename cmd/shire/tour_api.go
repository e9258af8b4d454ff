package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/shirecounty/shire/connectors/simulate"
	"github.com/shirecounty/shire/portal"
	"github.com/shirecounty/shire/portal/accounts"
	"github.com/shirecounty/shire/schemas/sharing"
)

// tourAPI calls the sharing interface as the systems of the departments' windows do: over HTTP, each with its key.
type tourAPI struct {
	base   string // http://host:port
	client *http.Client
	file   *accounts.Keys
	keys   map[string]string // by department
}

// newTourAPI gives the windows of a story their keys. close takes them away.
func newTourAPI(base string, file *accounts.Keys, story *simulate.Story) (*tourAPI, error) {
	t := &tourAPI{base: base, client: &http.Client{Timeout: 30 * time.Second}, file: file, keys: map[string]string{}}
	for _, e := range story.Errands {
		name := tourPrefix + e.Department
		// A tour that was killed has left its keys, which nobody knows any more.
		if err := file.Remove(name); err != nil && !errors.Is(err, accounts.ErrUnknown) {
			return nil, err
		}
		key, err := file.Add(name)
		if err != nil {
			return nil, err
		}
		t.keys[e.Department] = name + "." + key
	}
	return t, nil
}

func (t *tourAPI) close(log *slog.Logger) {
	for department := range t.keys {
		if err := t.file.Remove(tourPrefix + department); err != nil {
			log.Warn("a key of the tour is still there; take it away with shire clients remove", "client", tourPrefix+department, "error", err)
		}
	}
	t.client.CloseIdleConnections()
}

// prefill asks what of an errand's materials is held. The case was just loaded, and what is read from follows the bus a moment later.
func (t *tourAPI) prefill(ctx context.Context, e simulate.Errand) (*portal.PrefillAnswer, error) {
	deadline := time.Now().Add(tourPatience)
	for {
		var p portal.PrefillAnswer
		err := t.call(ctx, http.MethodPost, "/api/v1/cases/"+url.PathEscape(e.Case)+"/prefill", e, portal.PrefillQuestion{}, &p)
		var no *refusedCall
		late := errors.As(err, &no) && (no.Code == string(sharing.NoCase) || no.Status == http.StatusServiceUnavailable)
		if !late || time.Now().After(deadline) {
			return &p, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// use takes a material from shared data.
func (t *tourAPI) use(ctx context.Context, e simulate.Errand, prefill, material string) error {
	return t.call(ctx, http.MethodPost, "/api/v1/cases/"+url.PathEscape(e.Case)+"/prefill/"+url.PathEscape(prefill)+"/use", e, portal.MaterialUse{Material: material}, nil)
}

// accesses are the looks at a person, the newest first.
func (t *tourAPI) accesses(ctx context.Context, e simulate.Errand, person string) ([]portal.PersonAccess, error) {
	var list portal.PersonAccesses
	err := t.call(ctx, http.MethodGet, "/api/v1/persons/"+url.PathEscape(person)+"/accesses", e, nil, &list)
	return list.Accesses, err
}

// refusedCall is a call that was answered with a problem.
type refusedCall struct {
	Status int
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (e *refusedCall) Error() string {
	return fmt.Sprintf("the sharing interface answered %d %s: %s", e.Status, e.Code, e.Detail)
}

// call sends one call of an errand's window. answer is nil where none is expected.
func (t *tourAPI) call(ctx context.Context, method, path string, e simulate.Errand, body, answer any) error {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, t.base+path, content)
	if err != nil {
		return err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, value := range map[string]string{
		"Authorization": "Shire-Key " + t.keys[e.Department], "Shire-Clerk": tourClerk, "Shire-Purpose": tourPurpose, "Shire-Item": e.Item, "Shire-Case": e.Case,
	} {
		r.Header.Set(name, value)
	}
	res, err := t.client.Do(r)
	if err != nil {
		return fmt.Errorf("the portal of the running demo does not answer: %w", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<22))
	if err != nil {
		return fmt.Errorf("the portal's answer breaks off: %w", err)
	}
	if res.StatusCode >= 300 {
		no := &refusedCall{Status: res.StatusCode}
		if err := json.Unmarshal(text, no); err != nil {
			return fmt.Errorf("the portal answered %s, and no problem in words: %w", res.Status, err)
		}
		no.Status = res.StatusCode
		return no
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("the portal's answer cannot be read: %w", err)
	}
	return nil
}
