package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Kinds of alerts.
const (
	KindFailed = "failed" // a run failed and is not tried again
	KindLate   = "late"   // a run has not ended so long after it was due
	KindSilent = "silent" // no run has ended well for so long
)

// Alert is something a webhook is to be told. It stands in the job's entry until it was told.
type Alert struct {
	Kind    string    `json:"kind"`
	Run     string    `json:"run,omitempty"`
	Message string    `json:"message"`
	At      time.Time `json:"at"`
	Node    string    `json:"node"`  // process that sends it
	Tries   int       `json:"tries"` // in vain so far
	Next    time.Time `json:"next"`  // not before
}

// Notice is what a webhook is sent, as JSON.
type Notice struct {
	Job     string    `json:"job"`
	Kind    string    `json:"kind"` // failed, late or silent
	Run     string    `json:"run,omitempty"`
	Owner   string    `json:"owner,omitempty"`
	Message string    `json:"message"`
	At      time.Time `json:"at"`
	Text    string    `json:"text"` // all of it in one sentence
}

// Post sends a notice to a webhook.
type Post func(ctx context.Context, webhook string, body []byte) error

// giveUpAfter is how long an alert is tried.
const giveUpAfter = 24 * time.Hour

// alert notes that somebody is to be told, when the job says so.
func (s *State) alert(j *Job, kind string, r *Run, now time.Time) {
	if kind == KindFailed && !j.Alert.Failures() || j.Alert.Webhook == "" {
		return
	}
	a := Alert{Kind: kind, At: now, Next: now}
	if r != nil {
		a.Run, a.Message = r.ID, r.Message
	}
	if len(s.Alerts) >= mostAlerts { // I10: the oldest has had its time
		s.Alerts = slices.Delete(s.Alerts, 0, 1)
	}
	s.Alerts = append(s.Alerts, a)
}

func (j *Job) lateAt(r *Run) time.Time {
	if j.Alert.LateAfter == 0 || r.LateTold {
		return time.Time{}
	}
	return r.Due.Add(time.Duration(j.Alert.LateAfter))
}

func (j *Job) silentAt(s *State) time.Time {
	if j.Alert.SilentFor == 0 || !s.Silent.IsZero() || s.Since.IsZero() {
		return time.Time{}
	}
	return later(s.LastOK, s.Since).Add(time.Duration(j.Alert.SilentFor))
}

// worry notes runs that are late, and a job that is silent, once for each.
func (j *Job) worry(s *State, now time.Time, node string) (changed bool) {
	for i := range s.Active {
		r := &s.Active[i]
		if at := j.lateAt(r); !at.IsZero() && !at.After(now) {
			r.LateTold, changed = true, true
			told := *r
			told.Message = fmt.Sprintf("it was due at %s and is still %s", r.Due.In(j.Zone).Format(time.DateTime), r.Outcome)
			s.alert(j, KindLate, &told, now)
		}
	}
	if at := j.silentAt(s); !at.IsZero() && !at.After(now) {
		s.Silent, changed = later(s.LastOK, s.Since), true
		message := fmt.Sprintf("no run has ended well since %s", s.Silent.In(j.Zone).Format(time.DateTime))
		if s.Paused != nil {
			message += "; the job is paused"
		}
		s.alert(j, KindSilent, &Run{Message: message}, now)
	}
	for i := range s.Alerts {
		if a := &s.Alerts[i]; a.Node == "" {
			a.Node, changed = node, true
		}
	}
	return changed
}

// send sends the alerts whose time has come, beside everything else.
func (s *Scheduler) send(life context.Context, e *entry, state *State) {
	now := s.Clock.Now()
	for _, a := range state.Alerts {
		if a.Node != s.id || a.Next.After(now) {
			continue
		}
		key := a.key(e.job)
		s.mu.Lock()
		sending := s.sending[key]
		s.sending[key] = true
		s.mu.Unlock()
		if sending {
			continue
		}
		s.work.Go(func() {
			s.sendOne(life, e, a)
			s.mu.Lock()
			delete(s.sending, key)
			s.plan(e)
			s.mu.Unlock()
		})
	}
}

func (a *Alert) key(j *Job) string {
	return fmt.Sprint(j.Name, " ", a.Kind, " ", a.Run, " ", a.At.UnixNano())
}

func (a *Alert) same(b *Alert) bool { return a.Kind == b.Kind && a.Run == b.Run && a.At.Equal(b.At) }

func (s *Scheduler) sendOne(life context.Context, e *entry, a Alert) {
	j := e.job
	n := Notice{Job: j.Name, Kind: a.Kind, Run: a.Run, Owner: j.Owner, Message: a.Message, At: a.At, Text: fmt.Sprintf("Shire: job %s is %s: %s", j.Name, a.Kind, a.Message)}
	if a.Kind == KindFailed {
		n.Text = fmt.Sprintf("Shire: job %s failed: %s", j.Name, a.Message)
	}
	body, err := json.Marshal(n)
	if err == nil {
		ctx, cancel := context.WithTimeout(life, 10*time.Second)
		err = s.Post(ctx, j.Alert.Webhook, body)
		cancel()
	}
	s.mu.Lock()
	s.stats.alerted(err == nil)
	s.mu.Unlock()
	now := s.Clock.Now()
	if err != nil {
		s.Log.Warn("an alert could not be sent", "job", j.Name, "kind", a.Kind, "tries", a.Tries+1, "error", err)
	}
	s.changeAlert(life, e, &a, func(mine *Alert) (remove bool) {
		if err == nil || now.Sub(a.At) > giveUpAfter {
			return true
		}
		mine.Tries++
		mine.Next = now.Add(min(time.Second<<min(mine.Tries, 12), 15*time.Minute))
		return false
	})
}

// changeAlert changes an alert in the entry, or removes it.
func (s *Scheduler) changeAlert(life context.Context, e *entry, a *Alert, change func(*Alert) (remove bool)) {
	for life.Err() == nil {
		s.mu.Lock()
		state, revision := e.state, e.revision
		s.mu.Unlock()
		next := state.clone()
		i := slices.IndexFunc(next.Alerts, func(b Alert) bool { return b.same(a) })
		if i < 0 {
			return
		}
		if change(&next.Alerts[i]) {
			next.Alerts = slices.Delete(next.Alerts, i, i+1)
		}
		ctx, cancel := context.WithTimeout(life, stepWithin)
		err := s.commit(ctx, life, e, next, revision)
		if err != nil {
			err = s.refresh(ctx, life, e)
		}
		cancel()
		if err == nil {
			s.mu.Lock()
			done := e.revision > revision && !slices.ContainsFunc(e.state.Alerts, func(b Alert) bool { return b.same(a) && b.Tries == a.Tries })
			s.mu.Unlock()
			if done {
				return
			}
		}
		select {
		case <-life.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// postHTTP sends a notice. An address may hold a key, so that errors name its host alone.
func postHTTP(ctx context.Context, webhook string, body []byte) error {
	u, err := url.Parse(webhook)
	if err != nil {
		return fmt.Errorf("the webhook is no address")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, webhook, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("the webhook at %s cannot be asked", u.Host)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		if inner := new(url.Error); errors.As(err, &inner) {
			err = inner.Err
		}
		return fmt.Errorf("the webhook at %s: %w", u.Host, err)
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		return fmt.Errorf("the webhook at %s answered %s", u.Host, response.Status)
	}
	return nil
}
