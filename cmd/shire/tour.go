package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/connectors/simulate"
	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/portal"
	"github.com/shirecounty/shire/portal/accounts"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/sharing"
)

// tourPurpose is for what the tour's departments read: that papers need not be handed in.
const tourPurpose = "material_reuse"

// tourClerk is who acts at the windows.
const tourClerk = "tour"

// tourPatience is how long a window waits until the county's records have a case that was just applied for.
const tourPatience = 2 * time.Minute

// tourPrefix is before the department in the names of the tour's clients, which the simulated county names.
const tourPrefix = "tour_"

// tour is one way of a resident through three departments, told as it happens.
type tour struct {
	*app
	s     *setup
	e     *engines
	story *simulate.Story
	api   *tourAPI
	lang  string
	told  tourResult
}

// tourResult is what --json shows. Nothing in it names a person: the resident is a pseudonym (I7).
type tourResult struct {
	Story    int                   `json:"story"`
	Resident string                `json:"resident"`
	Visits   []tourVisit           `json:"visits"`
	Granted  []string              `json:"granted"` // requests whose grants this tour brought about
	Avoided  tourFigure            `json:"avoided_repeats"`
	Looks    int                   `json:"looks"` // of the accesses, those that asked what is held
	Accesses []portal.PersonAccess `json:"accesses"`
}

// tourVisit is what became of one application.
type tourVisit struct {
	Department string                   `json:"department"`
	Item       string                   `json:"item"`
	Case       string                   `json:"case"`
	Materials  []portal.PrefillMaterial `json:"materials"`
	Asked      []string                 `json:"asked"`  // materials that the resident had to hand in
	Spared     []string                 `json:"spared"` // materials that were met from shared data
}

// tourFigure is a metric over all months, before and after the story, and what of it are the story's own papers.
type tourFigure struct {
	Before uint64 `json:"before"`
	After  uint64 `json:"after"`
	Story  uint64 `json:"story"`
}

func (a *app) tourCommand() *cobra.Command {
	var lang string
	cmd := &cobra.Command{
		Use:   "tour",
		Short: "Beside a running demo: a resident applies for three services, and hands in a paper once",
		Long: "Beside a running demo, follow a resident of the simulated county through three departments that all need the same paper.\n" +
			"The first asks for it; then the owner of the register grants the other two what shows that it is held, and they ask for nothing.\n" +
			"The cases come through the service hall's files, the windows' systems ask over HTTP, each look is in the access log.\n" +
			"Every run tells the story of another resident. Nothing personal is shown.",
		Example: "  shire demo                      # in one terminal, until the county is loaded\n  shire demo tour --lang en       # in another",
		Args:    exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flag("data").Changed {
				a.data = demoData
			}
			if lang != "zh" && lang != "en" {
				return inputf("--lang is zh or en, not %q", lang)
			}
			return a.tour(cmd.Context(), lang)
		},
	}
	cmd.Flags().StringVar(&lang, "lang", spokenLanguage(), "zh or en (default: as LC_ALL, LC_MESSAGES or LANG say)")
	return cmd
}

// spokenLanguage is the language of the environment, of the two that there are.
func spokenLanguage() string {
	if strings.HasPrefix(cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_MESSAGES"), os.Getenv("LANG")), "zh") {
		return "zh"
	}
	return "en"
}

// demoStory begins a story of the county of the demo that runs, and tells the address of its portal.
func (a *app) demoStory(begin func(dir string, now time.Time) (*simulate.Story, error)) (portal string, s *setup, story *simulate.Story, err error) {
	runtime, err := embedded.ReadRuntime(a.data)
	if errors.Is(err, embedded.ErrNotRunning) || err == nil && runtime.Extra["portal"] == "" {
		return "", nil, nil, inputf("nothing that has a portal runs on %s; start shire demo in another terminal, and come back when it says that the county is loaded", a.data)
	}
	if err != nil {
		return "", nil, nil, err
	}
	if s, err = a.readSetup(); err != nil {
		return "", nil, nil, err
	}
	story, err = begin(filepath.Dir(s.config.File), time.Now())
	if errors.Is(err, simulate.ErrNoCounty) {
		err = inputf("%s is not that of a simulated county, and an applicant is invented here: it is for shire demo alone", s.config.File)
	}
	return runtime.Extra["portal"], s, story, err
}

func (a *app) tour(ctx context.Context, lang string) error {
	portal, s, story, err := a.demoStory(simulate.NewStory)
	if err != nil {
		return err
	}
	e, _, err := a.attach(s)
	if err != nil {
		return err
	}
	defer e.stop()
	api, err := newTourAPI(portal, accounts.Clients(a.data), story)
	if err != nil {
		return err
	}
	defer api.close(a.log)
	t := &tour{app: a, s: s, e: e, story: story, api: api, lang: lang, told: tourResult{Story: story.Number, Granted: []string{}}}
	if err := t.run(ctx); err != nil {
		return fmt.Errorf("the tour ends early: %w", err)
	}
	a.result = t.told
	return nil
}

func (t *tour) run(ctx context.Context) error {
	conn, err := warehouse.Open(t.e.analyst)
	if err != nil {
		return err
	}
	defer conn.Close()
	f := &t.told.Avoided
	if f.Before, err = avoidedRepeats(ctx, conn); err != nil {
		return err
	}
	t.tell("第 %d 个故事：一位居民要在三个部门办三件事，每件事都要求交同一份材料。", "Story %d: a resident needs three services of three departments, and each requires the same paper.", t.story.Number)
	if err := t.first(ctx); err != nil {
		return err
	}
	if err := t.grant(ctx); err != nil {
		return err
	}
	for i := 1; i < len(t.story.Errands); i++ {
		if err := t.later(ctx, i); err != nil {
			return err
		}
	}
	if err := t.load(ctx); err != nil { // what the windows did is on the bus, and is now in the figures
		return err
	}
	if f.After, err = avoidedRepeats(ctx, conn); err != nil {
		return err
	}
	if f.Story, err = t.sparedPapers(ctx, conn); err != nil {
		return err
	}
	t.tell("", "")
	t.tell("指标 avoided_repeats（避免的重复提交）：此前 %d，现在 %d，其中本故事 %d。", "The metric avoided_repeats: %d before, %d now; %d of them in this story.", f.Before, f.After, f.Story)
	return t.counter(ctx)
}

// first is the visit before anything is granted: the paper is handed in.
func (t *tour) first(ctx context.Context) error {
	t.applies(0)
	if err := t.story.Apply(0, time.Now().In(t.zone())); err != nil {
		return err
	}
	v, p, err := t.prefill(ctx, 0)
	if err != nil {
		return err
	}
	t.told.Resident = p.Person.String()
	for _, m := range p.Materials {
		if m.Met {
			return fmt.Errorf("the %s has a grant for %s already, so that the story has no beginning; revoke it, and run the tour again", t.department(v.Department), m.Code)
		}
		t.tell("   %s：%s。窗口请居民交纸质材料。", "   %s: %s. The window asks for it on paper.", t.material(m.Code), t.why(m.Reason))
		v.Asked = append(v.Asked, m.Code)
	}
	t.told.Visits = append(t.told.Visits, v)
	at := time.Now().In(t.zone())
	if err := t.story.HandIn(0, at); err != nil {
		return err
	}
	// The hall writes whole seconds: what is used within the same one would not have come after the paper.
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Until(at.Truncate(time.Second).Add(time.Second))):
		return nil
	}
}

// grant has the departments of the later errands granted what shows that the paper is held, unless they have been before.
func (t *tour) grant(ctx context.Context) error {
	b, err := openBus(ctx, t.s, t.e)
	if err != nil {
		return err
	}
	x := pipeline.NewExchange(b, t.s.sharingWorld)
	all, err := x.Requests(ctx)
	if err != nil {
		return err
	}
	t.tell("", "")
	now := time.Now()
	for i, e := range t.story.Errands[1:] {
		terms := sharing.Terms{
			Dataset: "residents", Fields: map[string]sharing.Mask{"card_number": sharing.Exists, "card_from": sharing.Full, "card_until": sharing.Full},
			Purpose: tourPurpose, Items: []string{e.Item}, From: now, Until: now.AddDate(1, 0, 0),
		}
		if slices.ContainsFunc(all, func(r *sharing.Request) bool {
			return r.From == e.Department && r.Terms.Dataset == terms.Dataset && r.Terms.Purpose == tourPurpose && r.Covers(now) && slices.Contains(r.Terms.Items, e.Item)
		}) {
			t.tell("数据专线：%s已有有效授权。", "The data link: the %s has a live grant already.", t.department(e.Department))
			continue
		}
		id := fmt.Sprintf("R%s-TOUR%04d%c", now.In(t.zone()).Format("20060102"), t.story.Number, 'A'+rune(i))
		if err := x.Grant(ctx, "演示", 0, pipeline.Asking{Request: id, From: e.Department, Terms: terms, At: now}); err != nil {
			return err
		}
		t.told.Granted = append(t.told.Granted, id)
		t.tell("数据专线：%s申请、%s同意并交付（%s）：只看有无身份证及其有效期，用途为材料免交，仅限该事项。",
			"The data link: the %s asked, the %s approved and delivered (%s): whether there is a card and how long it is valid, to spare papers, for this item alone.",
			t.department(e.Department), t.department(t.s.contracts[terms.Dataset].Department), id)
	}
	return nil
}

// later is a visit at a department that may ask what is held.
func (t *tour) later(ctx context.Context, errand int) error {
	t.applies(errand)
	if err := t.story.Apply(errand, time.Now().In(t.zone())); err != nil {
		return err
	}
	v, p, err := t.prefill(ctx, errand)
	if err != nil {
		return err
	}
	for _, m := range p.Materials {
		if !m.Met {
			t.tell("   %s：%s。窗口请居民交纸质材料。", "   %s: %s. The window asks for it on paper.", t.material(m.Code), t.why(m.Reason))
			v.Asked = append(v.Asked, m.Code)
			continue
		}
		if err := t.api.use(ctx, t.story.Errands[errand], p.ID, m.Code); err != nil {
			return err
		}
		v.Spared = append(v.Spared, m.Code)
		t.tell("   %s：已由%s证明持有，有效期至 %s（证明 %s）。窗口采用，居民不必再交。", "   %s: the %s proves that it is held, valid until %s (proof %s). The window uses that; the resident hands in nothing.",
			t.material(m.Code), t.department(m.Proof.Department), orDefault(m.Proof.ValidUntil, "-"), m.Proof.Hash)
	}
	if len(v.Asked) == 0 {
		t.tell("   什么都不用交。", "   Nothing is asked for.")
	}
	t.told.Visits = append(t.told.Visits, v)
	return nil
}

// prefill loads what was dropped and has the errand's window ask what is held.
func (t *tour) prefill(ctx context.Context, errand int) (tourVisit, *portal.PrefillAnswer, error) {
	e := t.story.Errands[errand]
	v := tourVisit{Department: e.Department, Item: e.Item, Case: e.Case, Asked: []string{}, Spared: []string{}}
	if err := t.load(ctx); err != nil {
		return v, nil, err
	}
	t.tell("   窗口系统调用 POST /api/v1/cases/%s/prefill，用途 %s。", "   The window's system calls POST /api/v1/cases/%s/prefill, purpose %s.", e.Case, tourPurpose)
	p, err := t.api.prefill(ctx, e)
	if err != nil {
		return v, nil, err
	}
	v.Materials = p.Materials
	return v, p, nil
}

// load has the running node read what was dropped, and the register that proves the paper.
func (t *tour) load(ctx context.Context) error {
	var l loaded
	return t.askOver(ctx, t.s, t.e, askLoad, loadRequest{Sources: []string{"public_security", "service_hall"}}, &l)
}

// counter is the resident's question who looked at them, at the window of their first case.
func (t *tour) counter(ctx context.Context) error {
	list, err := t.api.accesses(ctx, t.story.Errands[0], t.told.Resident)
	if err != nil {
		return err
	}
	cases := t.cases()
	slices.Reverse(list) // the oldest first, as it happened
	t.told.Accesses = []portal.PersonAccess{}
	t.tell("", "")
	t.tell("居民在窗口查询“谁查看过我的记录”：", "At the counter the resident asks who looked at their records:")
	for _, l := range list {
		if !slices.Contains(cases, l.Case) {
			continue
		}
		t.told.Accesses = append(t.told.Accesses, l)
		if l.Decision == disclosure.Granted || l.Decision == disclosure.Refused {
			t.told.Looks++
		}
		t.tell("   %s  %s  办件 %s  用途 %s  %s", "   %s  %s  case %s  purpose %s  %s", l.At.In(t.zone()).Format(time.DateTime), l.Caller, l.Case, l.Purpose, t.decision(l.Decision))
	}
	t.tell("共 %d 次查看。再运行一次，讲另一位居民的故事。", "%d looks. Run it again for the story of another resident.", t.told.Looks)
	return nil
}

// avoidedRepeats is the metric over all months.
func avoidedRepeats(ctx context.Context, conn driver.Conn) (n uint64, err error) {
	if err := conn.QueryRow(ctx, "SELECT toUInt64(sum(numerator)) FROM metrics.avoided_repeats").Scan(&n); err != nil {
		return 0, fmt.Errorf("read the metric avoided_repeats: %w", err)
	}
	return n, nil
}

// sparedPapers are the story's papers that the metric counts (I9).
func (t *tour) sparedPapers(ctx context.Context, conn driver.Conn) (n uint64, err error) {
	if err := conn.QueryRow(ctx, "SELECT count() FROM mart.submissions WHERE case_number IN ? AND spared != ''", t.cases()).Scan(&n); err != nil {
		return 0, fmt.Errorf("read which papers were spared: %w", err)
	}
	return n, nil
}

// cases are the numbers of the story's cases.
func (t *tour) cases() (numbers []string) {
	for _, e := range t.story.Errands {
		numbers = append(numbers, e.Case)
	}
	return numbers
}

func (t *tour) zone() *time.Location { return t.s.zone }

// tell says a sentence in the language of the tour.
func (t *tour) tell(zh, en string, args ...any) {
	if t.lang == "zh" {
		en = zh
	}
	t.say(en, args...)
}

func (t *tour) in(text contract.Text) string {
	if t.lang == "zh" {
		return text.Zh
	}
	return text.En
}

func (t *tour) department(code string) string {
	return orDefault(t.in(t.s.config.Departments[code]), code)
}

func (t *tour) applies(errand int) {
	e := t.story.Errands[errand]
	t.tell("", "")
	t.tell("%d. 居民向%s申请“%s”，办件编号 %s。", "%d. The resident applies at the %s for %s, case %s.", errand+1, t.department(e.Department), t.item(e.Item), e.Case)
}

func (t *tour) item(code string) string {
	name := t.s.items[code].Name
	if t.lang == "zh" {
		return name.Zh
	}
	return code + " (" + name.Zh + ")" // the items of the simulated county have Chinese names alone
}
