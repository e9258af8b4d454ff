// Package registry keeps what the county did to serve better (改革举措): it reads the definitions that people write, registers them
// with their time before the result is seen, and has them evaluated.
//
// A registration is a row of audit.interventions, which holds the hash of the row before it, as the log of accesses does: none can be
// changed, put in or taken out without its showing. So are the first times that somebody was shown the figures of a month, and every
// evaluation. From these it follows whether an intervention was registered, or changed, after its result had been seen. That is
// allowed, and every evaluation says so for ever.
//
// # How it fails
//
//   - Two processes register at once: both want the same place in the chain, whose token the server takes once. The one whose row is
//     not there afterwards reads the chain anew; what the other registered is then registered already.
//   - The chain was changed: everything here ends with a [BrokenError] that names the row. Nothing is evaluated on it.
//   - The process is killed after an evaluation was written into the chain and before it was kept: nobody has seen it, and
//     the chain says that somebody may have. The next evaluation is kept.
//   - Figures that are read past the portal and the command line, by SQL, are not noticed. docs/evaluation.md says so.
package registry

import (
	"time"

	"github.com/shirecounty/shire/pipeline/gains"
	"github.com/shirecounty/shire/schemas/metrics"
)

// Registration is a version of an intervention as it stands in the register.
type Registration struct {
	gains.Intervention        // with the time of its registration, and when its result was first seen
	Version            uint32 // from 1
	Hash               string // SHA-256 of the registration, in hexadecimal
}

// Late tells whether the result had been seen before this version was registered.
func (r Registration) Late() bool { return r.Intervention.Late() }

// Evaluation is a result that was kept.
type Evaluation struct {
	At     time.Time
	Known  time.Time // zero: judged by what was known at At
	Result *gains.Result
	Hash   string // SHA-256 of the result as JSON
}

// startMonth is the first month whose figures show what an intervention did.
func startMonth(v gains.Intervention) metrics.Month {
	_, start, _ := v.Months()
	return start
}
