//go:build unix

package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/shirecounty/shire/jobs"
)

// Worker makes a backup for each run of a job.
type Worker struct {
	// County says what is copied, as it is when the run begins.
	County   func(context.Context) (County, error)
	Settings Settings
}

var _ jobs.Worker = (*Worker)(nil)

// Do implements jobs.Worker. A backup that was stopped leaves nothing that looks like one.
func (w *Worker) Do(ctx context.Context, _ jobs.Task, output io.Writer) (jobs.Result, error) {
	c, err := w.County(ctx)
	if err != nil {
		return jobs.Result{}, err
	}
	began := time.Now()
	m, folder, err := Take(ctx, c, w.Settings, nil)
	if err != nil {
		if refused := (*RefusedError)(nil); errors.As(err, &refused) {
			err = fmt.Errorf("%w: %w", err, jobs.ErrPermanent)
		}
		if m == nil {
			return jobs.Result{}, err
		}
	}
	for _, p := range m.Parts {
		fmt.Fprintf(output, "%s\t%d bytes\n", p.File, p.Bytes)
	}
	result := jobs.Result{
		Message: fmt.Sprintf("%s: %d messages, %d rows, in %s", folder, m.Messages(), m.Rows(), time.Since(began).Round(100*time.Millisecond)),
		Counts:  map[string]uint64{"bytes": uint64(m.Bytes()), "messages": m.Messages(), "rows": m.Rows()},
	}
	if len(m.Of(KindSecrets)) == 0 {
		result.Message += "; " + SecretsLeftOut
	}
	return result, err
}

// SecretsLeftOut says what to keep elsewhere.
const SecretsLeftOut = "the generated secrets are not in it, because it was given no key: keep a copy of secrets.json of the data directory elsewhere, for without its pseudonym key the backup cannot be used"
