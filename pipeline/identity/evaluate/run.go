package evaluate

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/shirecounty/shire/pipeline/identity/batch"
	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/schemas/document"
	"github.com/shirecounty/shire/schemas/identity"
)

// Options say how a file is evaluated.
type Options struct {
	Draws  int    // resamples for the intervals; 0 for none
	Seed   uint64 // of all that is drawn
	Errors int    // pairs of each kind of error to list
}

// Evaluation is all that Run finds out about a model on a labelled file.
type Evaluation struct {
	File    string        `json:"file"`
	Model   string        `json:"model"`              // name/version/hash of the model's text
	Absent  []string      `json:"absent"`             // fields of the model that the file does not have
	Trained *batch.Report `json:"trained,omitempty"`  // when the model had no parameters: they were estimated from the file, without its labels
	Records int           `json:"records"`            // of the file
	Pairs   int64         `json:"true_pairs_in_file"` // pairs of records that the truth puts together

	Quality     Quality     `json:"quality"` // over the records whose truth is known
	Intervals   *Intervals  `json:"intervals,omitempty"`
	Calibration Calibration `json:"calibration"` // of the pairs that are linked, or nearly
	Candidates  int64       `json:"candidate_pairs"`
	Errors      []Error     `json:"errors"`

	Seconds          Seconds `json:"seconds"`
	RecordsPerSecond float64 `json:"records_per_second"` // from the parsed file to its partition, training included
	Single           Single  `json:"single_records"`
	Late             Late    `json:"late_records"`
	PeakMemory       int64   `json:"peak_memory_bytes,omitempty"` // of the process; 0 where the system does not tell
}

// Seconds is what each stage took.
type Seconds struct {
	Read    float64 `json:"read"`
	Prepare float64 `json:"prepare"`
	Block   float64 `json:"block"`
	Train   float64 `json:"train"`
	Compare float64 `json:"compare"`
	Cluster float64 `json:"cluster"`
}

// Single is what it took to decide about single records, each met after all the others: to prepare it, to weigh it
// against those that share a block with it, and to cluster it with the parties that it links to.
type Single struct {
	Sample   int     `json:"sample"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
	Compared float64 `json:"mean_compared"` // records that one is weighed against
}

// Late is what becomes of ids when the last records come after all the others are resolved.
type Late struct {
	Records int `json:"records"` // that came last: one in a hundred, drawn at random
	Renamed int `json:"renamed"` // of the others, those whose party has another id after that
}

const (
	bins       = 10
	mostSingle = 5000
	lateShare  = 100 // one record in so many comes last
)

// Run reads a labelled file, resolves it by a model, and tells how good the partition is and what it took. A model
// without parameters is trained on the file first, without the labels. The error is document.Problems when the file or the
// model is not as it must be.
func Run(ctx context.Context, s *identity.Model, file string, l Layout, o Options, progress batch.Progress) (*Evaluation, error) {
	m, err := match.Compile(s)
	if err != nil {
		return nil, err
	}
	clock := newStopwatch(progress)
	r, err := Read(ctx, file, l, func(done, total int64) { clock.told("read", int(done), int(total)) })
	if err != nil {
		return nil, err
	}
	clock.lap("read")
	if !slices.ContainsFunc(r.Truth, func(e int32) bool { return e >= 0 }) {
		return nil, document.Problems{{File: file, Message: "the column " + l.Truth + " is empty in every row", Do: "name the column that says who is who by --truth"}}
	}
	p, err := batch.Prepare(ctx, m, r.Input, clock.told)
	if err != nil {
		return nil, err
	}
	out := &Evaluation{File: file, Absent: l.Absent(), Records: r.Input.Len(), Errors: []Error{}}
	if s.Parameters == nil {
		if err := enough(file, r); err != nil {
			return nil, err
		}
		var rep batch.Report
		if s, rep, err = p.Train(ctx, o.Seed, clock.told); err != nil {
			return nil, err
		}
		if m, err = match.Compile(s); err != nil {
			return nil, err
		}
		out.Trained = &rep
	}
	out.Model = m.Version()
	res, err := p.Resolve(ctx, m, clock.told)
	if err != nil {
		return nil, err
	}
	out.Seconds = clock.seconds()
	out.RecordsPerSecond = float64(out.Records) / clock.sum("prepare", "block", "train", "compare", "cluster")
	out.Candidates = res.Compared

	var predicted, truth []int32
	for i, e := range r.Truth {
		if e >= 0 {
			predicted, truth = append(predicted, res.Cluster[i]), append(truth, e)
		}
	}
	out.Quality = Scores(predicted, truth)
	out.Pairs = out.Quality.TruePairs + out.Quality.MissedPairs
	if o.Draws > 0 {
		intervals := Bootstrap(predicted, truth, o.Draws, o.Seed)
		out.Intervals = &intervals
	}
	out.Calibration = Calibrate(scored(res.Pairs, r.Truth), bins)
	if o.Errors > 0 {
		out.Errors = wrong(p, m, res.Cluster, r, o.Errors)
	}
	out.Single = single(p, m, res, o.Seed)
	if out.Late, err = late(ctx, p, m, res.Cluster, o.Seed); err != nil {
		return nil, err
	}
	out.PeakMemory, _ = PeakMemory()
	return out, ctx.Err()
}

// Train reads a file and estimates a model's parameters from it. The error is document.Problems when the file or the
// model is not as it must be.
func Train(ctx context.Context, s *identity.Model, file string, l Layout, seed uint64, progress batch.Progress) (*identity.Model, batch.Report, error) {
	if _, err := match.Compile(s); err != nil {
		return nil, batch.Report{}, err
	}
	r, err := Read(ctx, file, l, func(done, total int64) { progress("read", int(done), int(total)) })
	if err == nil {
		err = enough(file, r)
	}
	if err != nil {
		return nil, batch.Report{}, err
	}
	return batch.Train(ctx, s, r.Input, seed, progress)
}

// enough tells whether there is anything to learn from.
func enough(file string, r *Records) error {
	if r.Input.Len() > 1 {
		return nil
	}
	return document.Problems{{File: file, Message: "the file has one record, and at least two are needed to train a model", Do: "train it on more, by shire identity train"}}
}

// scored are the pairs whose truth is known.
func scored(pairs []batch.Pair, truth []int32) []Scored {
	out := make([]Scored, 0, len(pairs))
	for _, p := range pairs {
		if a, b := truth[p.A], truth[p.B]; a >= 0 && b >= 0 {
			out = append(out, Scored{match.Probability(p.Weight), a == b})
		}
	}
	return out
}

// single times decisions about records one by one.
func single(p *batch.Prepared, m *match.Model, res *batch.Result, seed uint64) Single {
	r := rand.New(rand.NewPCG(seed, 1))
	n := min(mostSingle, p.Len())
	alone := batch.NewAlone(p, m, res)
	took := make([]float64, n)
	compared := 0
	for k := range took {
		i := int32(r.IntN(p.Len()))
		begin := time.Now()
		_, met := alone.Decide(i)
		took[k] = time.Since(begin).Seconds() * 1000
		compared += met
	}
	slices.Sort(took)
	return Single{n, quantile(took, .5), quantile(took, .99), float64(compared) / float64(n)}
}

// late resolves the file without some records, and holds the parties against those of the whole.
func late(ctx context.Context, p *batch.Prepared, m *match.Model, after []int32, seed uint64) (Late, error) {
	n := p.Len()
	order := rand.New(rand.NewPCG(seed, 2)).Perm(n)
	early := make([]int32, 0, n)
	for _, i := range order[(n+lateShare-1)/lateShare:] {
		early = append(early, int32(i))
	}
	slices.Sort(early)
	q, err := p.Subset(ctx, early, untold)
	if err != nil {
		return Late{}, err
	}
	res, err := q.Resolve(ctx, m, untold)
	if err != nil {
		return Late{}, err
	}
	before := make([]int32, n)
	for i := range before {
		before[i] = -1
	}
	for k, i := range early {
		before[i] = res.Cluster[k]
	}
	return Late{n - len(early), Renamed(before, after)}, nil
}

func untold(string, int, int) {}
