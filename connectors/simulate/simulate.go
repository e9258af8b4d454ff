// Package simulate makes a county that does not exist: people, households, organisations, and departments that keep
// their own files in their own shapes, with the mistakes that real ones make. The truth about it (who is who, which
// paper was handed in twice, what the data link truly did) is written beside the files, in the folder truth; it is
// there to judge Shire by, so nothing else in Shire reads it.
//
// The same options give the same files, byte for byte.
//
// The truth is: persons.csv and organisations.csv (the true parties), records.csv (whom each record of each dataset is
// about, by role), cases.csv, steps.csv, ratings.csv and incidents.csv (what is to be found when everything is loaded),
// submissions.csv (which paper is a repeat, and of which scope, and which a register held already), holdings.csv (what the registers
// hold of whom), decisions.csv and training.csv (what the councils and the
// party school did), reports.csv (what the departments report each month, and what they handed over), quarantined.csv (the bad rows, by file and line),
// effect.yaml (the data link) and identifiers.txt (one a line: every number, name and telephone, as it truly is and as
// it is written somewhere).
package simulate

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shirecounty/shire/schemas/calendar"
)

// version changes whenever the same options give other files.
const version = 6

//go:embed county
var templates embed.FS

// Options say which county is made. The zero values of People, Days, Seed and Until are the demo's.
type Options struct {
	Dir      string                             `json:"-"`       // folder of the county; made if absent
	People   int                                `json:"people"`  // 50,000 when 0
	Days     int                                `json:"days"`    // simulated days up to Until, inclusive; 730 when 0
	Seed     uint64                             `json:"seed"`    // 1 when 0
	Until    calendar.Date                      `json:"until"`   // last simulated day; 2026-09-30 when 0
	Defects  Defects                            `json:"defects"` // none when zero; see DefaultDefects
	Progress func(done, total int, what string) `json:"-"`       // called from several goroutines; may be nil
}

// Limits of the options.
const (
	minPeople = 100
	maxPeople = 3_000_000
	minDays   = 30
)

func (o *Options) defaults() {
	if o.Dir != "" {
		o.Dir = filepath.Clean(o.Dir) // its parent is where the county is put together
	}
	if o.People == 0 {
		o.People = 50_000
	}
	if o.Days == 0 {
		o.Days = 730
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	if o.Until == 0 {
		o.Until = calendar.NewDate(2026, 9, 30)
	}
	if o.Progress == nil {
		o.Progress = func(int, int, string) {}
	}
}

func (o *Options) prove() error {
	switch {
	case o.Dir == "":
		return errors.New("the simulated county needs a folder to be written to")
	case o.People < minPeople || o.People > maxPeople:
		return fmt.Errorf("a simulated county has %d to %d people, not %d", minPeople, maxPeople, o.People)
	case o.Days < minDays:
		return fmt.Errorf("a simulated county runs for at least %d days, not %d", minDays, o.Days)
	}
	return nil
}

// Summary says what was written.
type Summary struct {
	Dir       string `json:"dir"`
	People    int    `json:"people"`
	First     string `json:"first"`  // first simulated day, 2006-01-02
	Until     string `json:"until"`  // last simulated day
	Launch    string `json:"launch"` // of the data link
	Cases     int    `json:"cases"`
	OpenCases int    `json:"open_cases"` // at the end of the last day
	Papers    int    `json:"papers"`     // handed in or met from shared data
	Repeats   int    `json:"repeats"`
	Rows      int    `json:"rows"`      // of all departments' files, headers left out
	Unchanged bool   `json:"unchanged"` // the folder already held exactly this county
}

// manifest is the file by which a folder is recognised.
type manifest struct {
	Kind    string  `json:"kind"` // so that a folder with another program's manifest is not taken for ours
	Version int     `json:"version"`
	Options Options `json:"options"`
	Summary Summary `json:"summary"`
}

const (
	manifestFile = "manifest.json"
	manifestKind = "simulated county"
)

// Write makes the county in the folder: county.yaml, contracts, departments and truth. A folder that already holds
// the county of these options is left alone, and one with another county ([ErrOther]) or anything else in it is refused:
// what was loaded from it would no longer match. The county appears as a whole or not at all.
func Write(ctx context.Context, opts Options) (Summary, error) {
	opts.defaults()
	if err := opts.prove(); err != nil {
		return Summary{}, err
	}
	if m, err := readManifest(opts.Dir); err != nil {
		return Summary{}, err
	} else if m != nil && m.same(opts) {
		m.Summary.Dir, m.Summary.Unchanged = opts.Dir, true
		return m.Summary, nil
	} else if m != nil {
		return Summary{}, fmt.Errorf("%s: %w: %d people, %d days, seed %d; choose another folder, or remove this one", opts.Dir, ErrOther, m.Options.People, m.Options.Days, m.Options.Seed)
	}
	if err := os.MkdirAll(filepath.Dir(opts.Dir), 0o755); err != nil {
		return Summary{}, fmt.Errorf("the folder of the simulated county cannot be made: %w", err)
	}
	root, err := os.MkdirTemp(filepath.Dir(opts.Dir), "."+filepath.Base(opts.Dir)+"-*")
	if err != nil {
		return Summary{}, fmt.Errorf("the folder of the simulated county cannot be made: %w", err)
	}
	defer os.RemoveAll(root)
	sum, err := write(ctx, opts, root)
	if err != nil {
		return Summary{}, fmt.Errorf("the simulated county was not written: %w", err)
	}
	return sum, settle(root, opts.Dir)
}

// ErrOther says that a folder holds another simulated county, or one of another version of this program.
var ErrOther = errors.New("another simulated county is there")

// settle puts the finished county in its place.
func settle(from, to string) error {
	if err := os.Chmod(from, 0o755); err != nil {
		return err
	}
	return os.Rename(from, to) // over an empty folder, or none
}

// readManifest returns nil when the folder is absent or empty, and refuses one that is not ours to overwrite.
func readManifest(dir string) (*manifest, error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
			return nil, nil
		}
		return nil, fmt.Errorf("%s holds other files and no simulated county: give an empty folder", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", filepath.Join(dir, manifestFile), err)
	}
	m := &manifest{}
	if json.Unmarshal(text, m) != nil || m.Kind != manifestKind {
		return nil, fmt.Errorf("%s does not describe a simulated county: give an empty folder", filepath.Join(dir, manifestFile))
	}
	return m, nil
}

func (m *manifest) same(o Options) bool {
	a, _ := json.Marshal(m.Options)
	b, _ := json.Marshal(o)
	return m.Version == version && string(a) == string(b)
}

// newWorld makes the people and the clock.
func newWorld(opts Options, root string) (*world, error) {
	cal, err := calendar.Load(calendar.National())
	if err != nil {
		return nil, err
	}
	w := &world{opts: opts, root: root, tally: &tally{counts: map[tallied]int{}}, shelf: &shelf{holdings: map[held][]holding{}}, last: int32(opts.Until), first: int32(opts.Until) - int32(opts.Days) + 1}
	if w.clock, err = newClock(cal, w.first, w.last); err != nil {
		return nil, err
	}
	w.launch = w.launchDay()
	w.population, err = populate(opts.Seed, opts.People, w.first, w.last)
	return w, err
}

// launchDay is 2026-01-05 in the demo's two years, else the first Monday after three fifths of the window.
func (w *world) launchDay() int32 {
	demo := int32(calendar.NewDate(2026, 1, 5))
	if demo > w.first+(w.last-w.first)/2 && demo < w.last-90 {
		return demo
	}
	d := w.first + (w.last-w.first)*3/5
	for calendar.Date(d).Weekday() != 1 || !w.clock.isWorking(d) {
		d++
	}
	return d
}

func write(ctx context.Context, opts Options, root string) (Summary, error) {
	w, err := newWorld(opts, root)
	if err != nil {
		return Summary{}, err
	}
	if err := writeItems(filepath.Join(root, "items.yaml")); err != nil {
		return Summary{}, err
	}
	if err := copyTemplates(root, w.launch); err != nil {
		return Summary{}, err
	}
	var done atomic.Int64
	total := opts.Days + len(registers)*opts.Days/10
	progress := func(what string) func(int) {
		return func(n int) { opts.Progress(int(done.Add(int64(n))), total, what) }
	}
	tasks := map[string]*office{}
	var names []string
	task := func(name string, s style) (*office, error) {
		o, err := newOffice(w, name, s, false)
		tasks[name], names = o, append(names, name)
		return o, err
	}
	g, ctx := errgroup.WithContext(ctx)
	o, err := task("service_hall", style{})
	if err != nil {
		return Summary{}, err
	}
	hall := newHallOffice(w, o)
	if hall.truth, err = newHallTruth(root); err != nil {
		return Summary{}, err
	}
	g.Go(func() error {
		if err := hall.write(ctx, progress("service_hall")); err != nil {
			return err
		}
		for i := range hall.open {
			hall.truth.remember(w, &hall.open[i])
		}
		return o.close()
	})
	for _, r := range registers {
		o, err := task(r.office, r.style)
		if err != nil {
			return Summary{}, errors.Join(err, g.Wait())
		}
		g.Go(func() error {
			write := r.write
			if r.desk != nil {
				write = func(ctx context.Context, o *office) error { return r.desk(o).write(ctx) }
			}
			if err := write(ctx, o); err != nil {
				return err
			}
			progress(r.office)(opts.Days / 10)
			return o.close()
		})
	}
	g.Go(func() error { return w.writePersons(root, map[string]bool{}) })
	if err := g.Wait(); err != nil {
		return Summary{}, err
	}
	cases := hall.truth.cases.line - 1
	repeated, err := hall.truth.finish(w) // what need not have been asked for shows when all registers are written
	if err != nil {
		return Summary{}, err
	}
	if o, err = task("statistics", style{}); err != nil {
		return Summary{}, err
	}
	if err := errors.Join(writeReports(o), o.close()); err != nil {
		return Summary{}, err
	}
	sum := Summary{Dir: opts.Dir, People: len(w.people), First: calendar.Date(w.first).String(), Until: opts.Until.String(), Launch: calendar.Date(w.launch).String(),
		Cases: cases, OpenCases: hall.truth.openCases, Papers: len(hall.truth.submissions), Repeats: repeated}
	for _, o := range tasks {
		sum.Rows += o.rows
	}
	return sum, finish(root, opts, sum, names)
}

// finish joins the offices' parts of the truth and writes the manifest.
func finish(root string, opts Options, sum Summary, offices []string) error {
	parts := func(kind string) (p []string) {
		for _, o := range offices {
			p = append(p, filepath.Join(root, "truth", kind+"."+o+".part"))
		}
		return p
	}
	identifiers := append([]string{filepath.Join(root, "truth", "identifiers.canonical.part")}, parts("identifiers")...)
	if err := errors.Join(
		concatenate(filepath.Join(root, "truth", "records.csv"), parts("records"), "dataset,key,role,person"),
		concatenate(filepath.Join(root, "truth", "holdings.csv"), parts("holdings"), "dataset,key,role,person_role,person,material_code,valid_from,valid_until"),
		concatenate(filepath.Join(root, "truth", "incidents.csv"), parts("incidents"), "incident,caller,reported_at,closed_at,reopened"),
		concatenate(filepath.Join(root, "truth", "quarantined.csv"), parts("quarantined"), "file,line,dataset,key,defect"),
		concatenate(filepath.Join(root, "truth", "identifiers.txt"), identifiers, "")); err != nil {
		return err
	}
	sum.Dir = "" // the folder may be moved
	text, err := json.MarshalIndent(manifest{manifestKind, version, opts, sum}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, manifestFile), append(text, '\n'), 0o644)
}

// coachingAfter is how many months after the data link the other intervention began, which did nothing.
const coachingAfter = 4

// copyTemplates writes county.yaml, the contracts and the interventions.
func copyTemplates(root string, launch int32) error {
	began := calendar.Date(launch).Time()
	dates := strings.NewReplacer("{launch}", began.Format(time.DateOnly),
		"{coaching}", time.Date(began.Year(), began.Month()+coachingAfter, 1, 0, 0, 0, 0, time.UTC).Format(time.DateOnly))
	return fs.WalkDir(templates, "county", func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(root, filepath.FromSlash(path[len("county"):]))
		if e.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		text, err := templates.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.Contains(path, "/interventions/") {
			text = []byte(dates.Replace(string(text)))
		}
		return os.WriteFile(to, text, 0o644)
	})
}
