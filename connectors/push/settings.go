package push

import (
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/county"
)

// settings is what stands under with: of a source of kind push.
//
//	secret: ${CIVIL_AFFAIRS_SECRET}           # of the webhook; without it there is none
//	previous_secret: ${CIVIL_AFFAIRS_BEFORE}  # is taken too, while the department changes over
//	nats: true                                # the department publishes to NATS as a user of its own
//	keep: 720h                                # how long an event that was read is known, so that it is not taken twice
type settings struct {
	Secret         county.Secret
	PreviousSecret county.Secret
	NATS           bool
	Keep           time.Duration
}

var settingKeys = []string{"secret", "previous_secret", "nats", "keep"}

func decodeSettings(from connectors.Settings) (settings, error) {
	d := connectors.NewDecoder(from)
	s := settings{Keep: 30 * 24 * time.Hour}
	with := from.Source.With
	d.Known("with", with, settingKeys)
	d.Secret("with", with, "secret", &s.Secret)
	d.Secret("with", with, "previous_secret", &s.PreviousSecret)
	d.Bool("with", with, "nats", &s.NATS)
	d.Duration("with", with, "keep", &s.Keep)
	if s.Secret == "" && !s.NATS && d.Err() == nil {
		d.Fail("with.secret", "write secret: ${NAME} for a webhook, nats: true for a NATS user, or both", "is missing, and so is nats: nobody could send anything")
	}
	if s.PreviousSecret != "" && s.Secret == "" {
		d.Fail("with.previous_secret", "write secret: too, or leave it out", "stands alone")
	}
	department := ""
	for _, name := range from.Contracts.Names() {
		if own := from.Contracts[name]; own != nil && department == "" {
			department = own.Department
		} else if own != nil && own.Department != department {
			d.Fail("with", "make a source for each department: a secret or a NATS user is one department's", "serves datasets of the departments %s and %s", department, own.Department)
		}
	}
	return s, d.Err()
}
