// Command shire is the county node: it runs the platform, loads sources, and answers questions about both.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/jobs/command"

	// The kinds of connectors that this binary knows.
	_ "github.com/shirecounty/shire/connectors/file"
	_ "github.com/shirecounty/shire/connectors/mysql"
	_ "github.com/shirecounty/shire/connectors/postgres"
	_ "github.com/shirecounty/shire/connectors/query"
	_ "github.com/shirecounty/shire/connectors/web"
)

// version is set by the Makefile.
var version = "0.1.0-dev"

// memoryLimit is where the collector begins to work harder rather than let this process grow; its buffers are bounded
// well below (I10). GOMEMLIMIT overrides it.
const memoryLimit = 768 << 20

func main() {
	embedded.RunChildIfAsked()
	command.RunSupervisorIfAsked()
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
		debug.SetGCPercent(400) // the limit decides, not how little there was before
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
