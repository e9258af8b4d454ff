package county

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/shirecounty/shire/schemas/document"
)

// jobFile is a file of jobs_folder: a list of jobs, or one.
type jobFile []Job

func (f *jobFile) UnmarshalYAML(node ast.Node) error {
	if _, list := node.(*ast.SequenceNode); list {
		return yaml.NodeToValue(node, (*[]Job)(f), yaml.Strict())
	}
	var one Job
	if err := yaml.NodeToValue(node, &one, yaml.Strict()); err != nil {
		return err
	}
	*f = jobFile{one}
	return nil
}

// ReadJob is the job of a source that is read at set times.
func ReadJob(source string) string { return "read-" + source }

// gatherJobs brings the jobs of all files together, and those that sources stand for.
func (c *Config) gatherJobs(env func(string) (string, bool)) (problems document.Problems) {
	for i := range c.Jobs {
		c.Jobs[i].doc, c.Jobs[i].path = c.doc, fmt.Sprintf("$.jobs[%d]", i)
	}
	if c.JobsFolder != "" {
		c.JobsFolder = c.Resolve(c.JobsFolder)
		if _, err := os.ReadDir(c.JobsFolder); err != nil {
			problems = append(problems, c.At("$.jobs_folder", fmt.Sprintf("the folder %s cannot be read", c.JobsFolder), "make it, or leave jobs_folder out"))
		}
		files, _ := filepath.Glob(filepath.Join(escapeGlob(c.JobsFolder), "*.yaml")) // a bad pattern, which it is not, is its only error
		for _, file := range files {
			more, err := readJobs(file, env)
			var found document.Problems
			if errors.As(err, &found) {
				problems = append(problems, found...)
			}
			c.Jobs = append(c.Jobs, more...)
		}
	}
	for _, s := range c.Sources {
		if s.Schedule != "" {
			c.Jobs = append(c.Jobs, c.readJob(s))
		}
	}
	return problems
}

var globLetters = regexp.MustCompile(`[*?\[\\]`)

func escapeGlob(path string) string { return globLetters.ReplaceAllString(path, `\$0`) }

func readJobs(file string, env func(string) (string, bool)) ([]Job, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, document.Problems{{File: file, Message: "cannot be read", Do: "check its permissions"}}
	}
	var jobs jobFile
	doc, err := document.ParseWithEnv(file, text, &jobs, env)
	if err != nil {
		return nil, err
	}
	for i := range jobs {
		jobs[i].doc, jobs[i].path = doc, fmt.Sprintf("$[%d]", i)
	}
	if !doc.Sequence() {
		jobs[0].path = "$"
	}
	return jobs, plainJobSecrets(doc, text, jobs).OrNil()
}

// readJob is what a source's schedule stands for.
func (c *Config) readJob(s Source) Job {
	j := Job{Name: ReadJob(s.Name), Do: Do{Kind: "read"}, Schedule: s.Schedule, Implicit: true, doc: c.doc, path: s.Path}
	if f, err := parser.ParseBytes([]byte(s.Name), 0); err == nil && len(f.Docs) == 1 {
		j.Do.node = f.Docs[0].Body
	}
	return j
}

var jobShape = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

// proveJobs fills in the defaults of the jobs, and finds every mistake that shows without knowing the kinds of work.
func (c *Config) proveJobs() (problems document.Problems) {
	places := map[string]*Job{}
	for i := range c.Jobs {
		j := &c.Jobs[i]
		fail := func(path, do, format string, args ...any) {
			problems = append(problems, j.At(path, fmt.Sprintf(format, args...), do))
		}
		if !jobShape.MatchString(j.Name) {
			fail(".name", "use lower-case letters, digits, - and _, beginning with a letter", "job %q is not a name", j.Name)
		} else if j.Name == "next" {
			fail(".name", "choose another name", "job next cannot be told from /api/v1/jobs/next, which lists what is due")
		} else if other, twice := places[j.Name]; twice {
			if other.Implicit || j.Implicit {
				fail(".name", "choose another name", "job %s has the name of the job that a source's schedule stands for", j.Name)
			} else {
				fail(".name", "rename one of them", "job %s stands twice", j.Name)
			}
		}
		places[j.Name] = j
		if j.Do.Kind == "" {
			fail("", `write one kind of work with its settings, such as "do: {read: SOURCE}"`, "job %s does nothing", j.Name)
		}
		j.defaults(c.County.TimeZone)
		c.proveTimes(j, fail)
		j.proveWords(fail)
		j.proveParameters(fail)
		j.proveAlert(fail)
	}
	return append(problems, c.proveAfter(places)...)
}

func (j *Job) defaults(zone string) {
	orDefault(&j.TimeZone, zone)
	orDefault(&j.Days, DaysAny)
	orDefault(&j.Missed, MissedOnce)
	orDefault(&j.MissedMost, 100)
	if len(j.After) > 0 { // what the jobs before it have made is not left lying because they were quick
		orDefault(&j.Overlap, OverlapQueue)
	}
	orDefault(&j.Overlap, OverlapSkip)
	orDefault(&j.Retries.Wait, Duration(time.Minute))
	orDefault(&j.Retries.Longest, max(Duration(time.Hour), j.Retries.Wait))
	orDefault(&j.Timeout, Duration(24*time.Hour))
}

func (c *Config) proveTimes(j *Job, fail func(path, do, format string, args ...any)) {
	zone, err := time.LoadLocation(j.TimeZone)
	if err != nil || j.TimeZone == "Local" {
		zone = time.UTC
		if j.TimeZone != c.County.TimeZone { // the county's is told already
			fail(".time_zone", "write a name such as Asia/Shanghai", "job %s: time zone %q is not known", j.Name, j.TimeZone)
		}
	}
	j.Zone = zone
	var ways []string
	for way, given := range map[string]bool{"schedule": j.Schedule != "", "every": j.Every != 0, "after": len(j.After) > 0} {
		if given {
			ways = append(ways, way)
		}
	}
	slices.Sort(ways)
	if len(ways) > 1 {
		fail("."+ways[1], "keep one of them", "job %s is due by %s at once", j.Name, strings.Join(ways, " and "))
	}
	if j.Schedule != "" && !j.Implicit {
		var problem *ScheduleError
		if j.Times, err = ParseSchedule(j.Schedule, zone); errors.As(err, &problem) {
			do := problem.Do
			if strings.Contains(j.Schedule, "TZ=") {
				do = "leave it out and write time_zone: below the job"
			}
			fail(".schedule", do, "job %s: %s", j.Name, problem.Message)
		}
	}
	if j.Implicit { // its mistakes are told at the source
		j.Times, _ = ParseSchedule(j.Schedule, zone)
	}
	if err := ProveEvery(time.Duration(j.Every)); j.Every != 0 && err != nil {
		fail(".every", "write one that divides a day, such as 30s, 5m, 1h or 6h, or whole days such as 48h", "job %s: %v", j.Name, err)
	}
	if !slices.Contains([]string{DaysAny, DaysWorkday, DaysHoliday, DaysFirstWorkdays}, j.Days) {
		fail(".days", document.DidYouMean(j.Days, []string{DaysAny, DaysWorkday, DaysHoliday, DaysFirstWorkdays}), "job %s: days %q is not known", j.Name, j.Days)
	}
	if j.Days != DaysAny && len(ways) == 1 && ways[0] == "after" || j.Days != DaysAny && len(ways) == 0 {
		fail(".days", "leave days out, or give it a schedule", "job %s has days and no times of its own", j.Name)
	}
}

// ProveEvery tells what is wrong with an interval: it has to come out the same whoever reckons it, every day.
func ProveEvery(every time.Duration) error {
	const day = 24 * time.Hour
	switch {
	case every < time.Second:
		return fmt.Errorf("every %s is less than a second", every)
	case every > 3660*day:
		return fmt.Errorf("every %s is more than ten years", every)
	case day%every != 0 && every%day != 0:
		return fmt.Errorf("every %s does not divide a day, so that it would come at other times each day", every)
	}
	return nil
}

func (j *Job) proveWords(fail func(path, do, format string, args ...any)) {
	for _, w := range []struct {
		path, word string
		valid      []string
	}{
		{".missed", j.Missed, []string{MissedSkip, MissedOnce, MissedAll}},
		{".overlap", j.Overlap, []string{OverlapSkip, OverlapQueue, OverlapCancel, OverlapAllow}},
	} {
		if !slices.Contains(w.valid, w.word) {
			fail(w.path, document.DidYouMean(w.word, w.valid), "job %s: %s %q is not known", j.Name, w.path[1:], w.word)
		}
	}
	if j.MissedMost < 1 || j.MissedMost > 200 {
		fail(".missed_most", "write a number from 1 to 200", "job %s makes up for %d runs", j.Name, j.MissedMost)
	}
	if j.Retries.Most < 0 || j.Retries.Most > 100 {
		fail(".retries.most", "write a number from 0 to 100", "job %s is tried again %d times", j.Name, j.Retries.Most)
	}
	if j.Retries.Longest < j.Retries.Wait {
		fail(".retries.longest", "exchange them", "job %s: the longest wait is shorter than the first", j.Name)
	}
	if strings.ContainsFunc(j.Owner, func(r rune) bool { return r < ' ' }) || len(j.Owner) > 200 {
		fail(".owner", "write one line of up to 200 bytes", "job %s: the owner is not a name", j.Name)
	}
}

func (j *Job) proveAlert(fail func(path, do, format string, args ...any)) {
	a := j.Alert
	if a.Webhook == "" {
		if a.OnFailure != nil || a.LateAfter != 0 || a.SilentFor != 0 {
			fail(".alert", "write webhook: http(s)://...", "job %s has an alert and nobody to tell", j.Name)
		}
		return
	}
	u, err := url.Parse(a.Webhook)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		fail(".alert.webhook", "write http(s)://host/path", "job %s: the webhook is not an address", j.Name) // which may hold a key, and is not repeated
	}
}

// proveAfter finds jobs that do not exist, circles, and jobs that are never due at the same time.
func (c *Config) proveAfter(jobs map[string]*Job) (problems document.Problems) {
	roots := map[string]string{} // of a job: what its due times come from; empty while it is looked for
	var root func(j *Job, path []string) string
	root = func(j *Job, path []string) string {
		if found, seen := roots[j.Name]; seen {
			if at := slices.Index(path, j.Name); found == "" && at >= 0 {
				circle := append(path[at:], j.Name)
				problems = append(problems, j.At(".after", fmt.Sprintf("the jobs %s wait for each other in a circle", strings.Join(circle, " -> ")), "take one of them out of after"))
			}
			return found
		}
		roots[j.Name] = ""
		path = append(slices.Clone(path), j.Name)
		found := j.ownTimes()
		if len(j.After) > 0 {
			found = ""
		}
		for i, name := range j.After {
			at := fmt.Sprintf(".after[%d]", i)
			if slices.Index(j.After, name) < i {
				problems = append(problems, j.At(at, fmt.Sprintf("job %s comes after %s twice", j.Name, name), "keep one of them"))
				continue
			}
			before, known := jobs[name]
			if !known {
				problems = append(problems, j.At(at, fmt.Sprintf("job %s comes after %q, which is no job", j.Name, name), document.DidYouMean(name, slices.Collect(maps.Keys(jobs)))))
				continue
			}
			other := root(before, path)
			if found != "" && other != "" && other != found {
				problems = append(problems, j.At(at, fmt.Sprintf("job %s comes after %s and %s, which are never due at the same time", j.Name, j.After[0], name), "give them the same times, or let one come after the other"))
			}
			if found == "" {
				found = other
			}
		}
		roots[j.Name] = found
		return found
	}
	for i := range c.Jobs {
		if j := &c.Jobs[i]; jobs[j.Name] == j {
			root(j, nil)
		}
	}
	return problems
}

// ownTimes names when a job is due by itself: two jobs of the same name are due at the same times.
func (j *Job) ownTimes() string {
	if j.Schedule == "" && j.Every == 0 {
		return "by hand: " + j.Name
	}
	return strings.Join([]string{strings.Join(strings.Fields(j.Schedule), " "), time.Duration(j.Every).String(), j.TimeZone, j.Days}, "|")
}

// TimesKey is the same for two definitions of a job exactly when it is due at the same times.
func (j *Job) TimesKey() string {
	if len(j.After) > 0 {
		return "after " + strings.Join(j.After, " ")
	}
	return j.ownTimes()
}

// plainJobSecrets finds secrets in a file of jobs that stand there in the clear.
func plainJobSecrets(doc *document.Document, text []byte, jobs []Job) (problems document.Problems) {
	var list []map[string]any
	if yaml.Unmarshal(text, &list) != nil {
		var one map[string]any
		if yaml.Unmarshal(text, &one) != nil { // the file was read strictly before, so what does not fit here is not a secret
			return nil
		}
		list = []map[string]any{one}
	}
	for i, entry := range list {
		if i < len(jobs) {
			problems = append(problems, plainWithin(doc, jobs[i].path+".do", entry["do"])...)
		}
	}
	return problems
}
