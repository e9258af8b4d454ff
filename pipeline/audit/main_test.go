package audit

import (
	"os"
	"testing"

	"github.com/shirecounty/shire/deploy/embedded"
)

func TestMain(m *testing.M) {
	embedded.RunChildIfAsked()
	os.Exit(m.Run())
}
