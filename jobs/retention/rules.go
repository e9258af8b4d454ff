// Package retention deletes what a county need not keep any longer, by rule, and nothing that somebody still needs: messages of
// the bus on which newer ones say more, rows that wait in quarantine for longer than anybody will mend them, old lines of the
// logs, and what is left of a person's record after the department has deleted it. What was deleted is written down.
package retention

import (
	"fmt"
	"time"
)

// Rules say for how many days what is kept. A rule of 0 days is none: everything stays.
type Rules struct {
	ChangesDays  int  `yaml:"changes_days"`  // messages of the bus
	SayAgain     int  `yaml:"say_again"`     // so many records of old messages are said anew by their source in a run, so that the old messages can go
	WaitingDays  int  `yaml:"waiting_days"`  // rows in quarantine, with their bytes
	SettledDays  int  `yaml:"settled_days"`  // lines on rows that were released or dropped
	RunsDays     int  `yaml:"runs_days"`     // ops.runs
	LoadsDays    int  `yaml:"loads_days"`    // ops.loads
	AccessesDays int  `yaml:"accesses_days"` // audit.accesses
	DeletedDays  int  `yaml:"deleted_days"`  // personal data after its record was deleted at the source
	DryRun       bool `yaml:"dry_run"`       // say what would be deleted, and delete nothing
}

// Bounds of the rules, in days.
const (
	leastChanges  = 7   // within which somebody notices that something is wrong, and replays
	leastAccesses = 183 // Cybersecurity Law (网络安全法): logs are kept for at least six months
	most          = 36500
	mostSaidAgain = 1_000_000
)

// Mistake is what is wrong with a rule.
type Mistake struct{ Key, Message, Do string }

// Prove finds what is wrong with the rules.
func (r *Rules) Prove() (mistakes []Mistake) {
	wrong := func(key, do, format string, args ...any) {
		mistakes = append(mistakes, Mistake{key, fmt.Sprintf(format, args...), do})
	}
	any := false
	for _, rule := range []struct {
		key         string
		days, least int
		because     string
	}{
		{"changes_days", r.ChangesDays, leastChanges, "a mistake has to be noticed while it can still be replayed"},
		{"waiting_days", r.WaitingDays, 1, ""},
		{"settled_days", r.SettledDays, 1, ""},
		{"runs_days", r.RunsDays, 1, ""},
		{"loads_days", r.LoadsDays, 1, ""},
		{"accesses_days", r.AccessesDays, leastAccesses, "the log of accesses has to be kept for six months at least"},
		{"deleted_days", r.DeletedDays, 1, ""},
	} {
		any = any || rule.days != 0
		switch {
		case rule.days == 0:
		case rule.days < rule.least && rule.because != "":
			wrong(rule.key, fmt.Sprintf("write a number from %d on", rule.least), "%s is %d: %s", rule.key, rule.days, rule.because)
		case rule.days < rule.least || rule.days > most:
			wrong(rule.key, fmt.Sprintf("write a number of days from %d to %d, or leave it out to keep everything", rule.least, most), "%s is %d", rule.key, rule.days)
		}
	}
	if !any {
		wrong("", "write for how many days something is kept, such as runs_days: 400", "no rule says what is to be deleted")
	}
	if r.SayAgain < 0 || r.SayAgain > mostSaidAgain {
		wrong("say_again", fmt.Sprintf("write a number from 0 to %d", mostSaidAgain), "say_again is %d", r.SayAgain)
	}
	if r.SayAgain > 0 && r.ChangesDays == 0 {
		wrong("say_again", "write changes_days too", "say_again makes old messages of the bus free to go, and no rule says how old")
	}
	if r.DeletedDays > 0 && r.ChangesDays == 0 {
		wrong("deleted_days", "write changes_days too", "deleted_days alone leaves what the bus holds of the deleted records")
	}
	return mistakes
}

// before is the moment that many days ago.
func before(now time.Time, days int) time.Time { return now.AddDate(0, 0, -days) }
