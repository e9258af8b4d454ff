package web

import (
	"context"
	"time"

	"github.com/shirecounty/shire/connectors"
)

// Waiting has a connector that shall wait call fn instead.
func Waiting(c connectors.Connector, fn func(context.Context, time.Duration)) {
	c.(*Connector).wait = fn
}

// RetryAfter is how long a service wants to be left alone.
var RetryAfter = retryAfter

// NextLink is the target of rel="next".
var NextLink = nextLink
