package push

import (
	"time"

	"github.com/shirecounty/shire/connectors"
)

// SetClock gives a connector another clock.
func SetClock(c connectors.Connector, now func() time.Time) { c.(*Connector).now = now }
