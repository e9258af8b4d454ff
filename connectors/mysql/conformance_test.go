package mysql

import (
	"testing"

	"github.com/shirecounty/shire/connectors/conformance"
)

func TestConformance(t *testing.T) {
	conformance.Run(t, conformance.Suite{New: func(t *testing.T) conformance.System { return newSystem(t, sharedServer(t)) }})
}
