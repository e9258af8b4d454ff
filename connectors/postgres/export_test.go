package postgres

import (
	"time"

	"github.com/shirecounty/shire/connectors"
)

// Hasten has a connector look at its slot and confirm more often than it does by itself.
func Hasten(c connectors.Connector, look, confirm time.Duration) {
	c.(*Connector).lookEvery, c.(*Connector).confirmEvery, c.(*Connector).patience = look, confirm, time.Second
	c.(*Connector).silence = 3 * time.Second
}
