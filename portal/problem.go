package portal

import (
	"encoding/json"
	"net/http"
)

// Problem is an error response after RFC 9457 (application/problem+json). Type is "about:blank" throughout: Code is what a
// program may rely on, Detail is the sentence for a person.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// DetailZh is Detail in Chinese, for what a person at a screen has to act on.
	DetailZh string   `json:"detail_zh,omitempty" jsonschema:"description=The sentence in Chinese; of the review of identities and of jobs"`
	Code     string   `json:"code" jsonschema:"enum=unknown_metric,enum=bad_parameter,enum=not_found,enum=method_not_allowed,enum=wrong_host,enum=not_ready,enum=refused,enum=unavailable,enum=internal,enum=review_off,enum=signed_out,enum=wrong_password,enum=too_many_tries,enum=foreign_request,enum=unknown_pair,enum=contradiction,enum=not_recorded,enum=uncertain,enum=jobs_off,enum=unknown_job,enum=refused_order,enum=malformed_event,enum=wrong_signature,enum=unknown_source,enum=too_large,enum=unknown_media_type,enum=unusable_event,enum=too_many_requests,enum=unknown_intervention,enum=not_evaluated,enum=unknown_version,enum=unknown_request,enum=refused_act,enum=bad_terms,enum=requests_off"`
	Names    []string `json:"names,omitempty" jsonschema:"description=Names that exist and that may have been meant; the nearest first"`
	Errors   []string `json:"errors,omitempty" jsonschema:"description=Each reason; one sentence each"`
}

// Codes of a [Problem].
const (
	codeUnknownMetric = "unknown_metric"
	codeBadParameter  = "bad_parameter"
	codeNotFound      = "not_found"
	codeMethod        = "method_not_allowed"
	codeWrongHost     = "wrong_host"
	codeNotReady      = "not_ready"
	codeRefused       = "refused" // the metric's own definition refuses these months
	codeUnavailable   = "unavailable"
	codeInternal      = "internal"

	// Of interventions.
	codeUnknownIntervention = "unknown_intervention"
	codeNotEvaluated        = "not_evaluated"

	// Of the review of identities.
	codeReviewOff     = "review_off"
	codeSignedOut     = "signed_out"
	codeWrongPassword = "wrong_password"
	codeTooManyTries  = "too_many_tries"
	codeForeign       = "foreign_request" // not from the portal's own page
	codeUnknownPair   = "unknown_pair"
	codeContradiction = "contradiction"
	codeNotRecorded   = "not_recorded" // the access log does not take the access, so nothing is shown
	codeUncertain     = "uncertain"    // whether a verdict or an order holds

	// Of jobs.
	codeJobsOff         = "jobs_off"
	codeUnknownJob      = "unknown_job"
	codeRefusedOrder    = "refused_order" // it cannot be done as the job stands
	codeTooManyRequests = "too_many_requests"

	// Of the catalogue and of requests for data.
	codeNoVersion      = "unknown_version"
	codeUnknownRequest = "unknown_request"
	codeRefusedAct     = "refused_act" // it may not be done as the request stands, or not by this department; Errors holds why, as a code
	codeBadTerms       = "bad_terms"
	codeRequestsOff    = "requests_off"
)

func problem(status int, code, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Code: code}
}

func badParameter(detail string) *Problem {
	return problem(http.StatusBadRequest, codeBadParameter, detail)
}

// zh adds the sentence in Chinese.
func (p *Problem) zh(detail string) *Problem {
	p.DetailZh = detail
	return p
}

func (p *Problem) Error() string { return p.Detail }

func (p *Problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Del("ETag")
	w.Header().Del("Content-Disposition")
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p) // a client that went away is no fault of ours
}
