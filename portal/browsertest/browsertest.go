// Package browsertest drives the portal's pages in a headless Chromium, for tests: of the portal alone, and of a node.
package browsertest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// ErrNoBrowser says that there is no Chromium on this machine.
var ErrNoBrowser = errors.New("there is no chromium")

// Browser is one window. It has a keyboard and no mouse.
type Browser struct {
	t           testing.TB
	ctx         context.Context
	screenshots string

	mu      sync.Mutex
	foreign []string // addresses of other sites that were asked for
	errors  []string // what the page wrote to its console as errors, or threw
	allowed string   // another site that the page may lead to
}

// Allow lets the page lead to one other site, a host with its port.
func (b *Browser) Allow(host string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.allowed = host
}

// patience bounds each wait for the page. It is no measure: a page that takes so long hangs.
const patience = time.Minute

// Open opens a page in a browser of its own, which is closed when the test ends. Whatever the page asks of another site
// fails the test, and so does an error in its console, but for what the portal refuses: that is the page's to handle. With the environment variable SHIRE_SCREENSHOTS, pictures go to that directory. The error is
// ErrNoBrowser, or nil.
func Open(t testing.TB, address string) (*Browser, error) {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		return nil, ErrNoBrowser
	}
	site, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1440, 1000),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
	}
	for _, flag := range []string{"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync"} {
		options = append(options, chromedp.Flag(flag, true))
	}
	ctx, stopProgram := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closeWindow := chromedp.NewContext(ctx)
	b := &Browser{t: t, ctx: ctx, screenshots: os.Getenv("SHIRE_SCREENSHOTS")}
	t.Cleanup(func() {
		closeWindow()
		stopProgram()
	})
	err = chromedp.Listen(ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			if asked, err := url.Parse(e.Request.URL); err == nil && asked.Host != site.Host && (asked.Scheme == "http" || asked.Scheme == "https") {
				if asked.Host != b.allowed {
					b.foreign = append(b.foreign, asked.Host)
				}
			}
		case *runtime.EventExceptionThrown:
			text := e.ExceptionDetails.Text
			if thrown := e.ExceptionDetails.Exception; thrown != nil {
				text += " " + thrown.Description
			}
			b.errors = append(b.errors, text)
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
				b.errors = append(b.errors, e.Entry.Text)
			}
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.ConsoleAPICalledTypeError {
				b.errors = append(b.errors, fmt.Sprintf("console.error with %d arguments", len(e.Args)))
			}
		}
	})
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.foreign) > 0 {
			t.Errorf("the page asked other sites: %v", b.foreign)
		}
		if len(b.errors) > 0 {
			t.Errorf("the console has errors: %q", b.errors)
		}
	})
	ask(b, network.Enable, network.EnableParams{})
	ask(b, runtime.Enable, cdp.Empty{})
	ask(b, log.Enable, cdp.Empty{})
	run(b, chromedp.Navigate(address))
	return b, nil
}

func run[T any](b *Browser, action chromedp.Action[T]) T {
	b.t.Helper()
	got, err := chromedp.Run(b.ctx, action)
	if err != nil {
		b.t.Fatalf("chromium: %v", err)
	}
	return got
}

func ask[P, R any](b *Browser, command cdp.Command[P, R], parameters P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, command, parameters); err != nil {
		b.t.Fatalf("chromium: %v", err)
	}
}

// Press presses keys, one after another: letters, or keys of chromedp's package kb.
func (b *Browser) Press(keys ...string) {
	b.t.Helper()
	for _, key := range keys {
		run(b, chromedp.KeyEvent(key, asAKeyboard))
	}
}

// asAKeyboard sends a key as a keyboard does: a page that takes the key for itself gets no letter from it.
func asAKeyboard(key *input.DispatchKeyEventParams) {
	if key.Type == kb.KeyDown {
		key.Type = kb.KeyRawDown
	}
}

// PressCtrl presses a key together with Ctrl.
func (b *Browser) PressCtrl(key string) {
	b.t.Helper()
	run(b, chromedp.KeyEvent(key, asAKeyboard, chromedp.KeyModifiers(chromedp.ModifierCtrl)))
}

// Write writes text where the focus is, as an input method does.
func (b *Browser) Write(text string) {
	b.t.Helper()
	ask(b, input.InsertText, input.InsertTextParams{Text: text})
}

// Text is what an expression in JavaScript gives, as text.
func (b *Browser) Text(expression string) string {
	b.t.Helper()
	return run(b, chromedp.Evaluate[string]("String("+expression+")"))
}

// leaving tells whether an expression has no value because the page that it was asked of is being left for another.
func leaving(err error) bool {
	var refused *cdproto.Error
	return errors.As(err, &refused) && refused.Code == -32000 // a server error; what the page's own script throws comes otherwise
}

// Wait waits until an expression in JavaScript is true; what says what is waited for. While one page goes and the next comes, nothing
// is true yet.
func (b *Browser) Wait(what, expression string) {
	b.t.Helper()
	var left error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var yes bool
		yes, left = chromedp.Run(b.ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		switch {
		case left != nil && !leaving(left):
			b.t.Fatalf("chromium: %v", left)
		case left == nil && yes:
			return
		}
	}
	if left != nil {
		b.t.Fatalf("waited in vain: %s. There is no page: %v", what, left)
	}
	b.Picture("failed")
	b.t.Fatalf("waited in vain: %s. The focus is on %s; the page says:\n%s", what, b.Text("document.activeElement?.outerHTML.slice(0, 200)"), b.Text("document.body.innerText"))
}

// Dark makes the system ask for dark pages, or for light ones.
func (b *Browser) Dark(on bool) {
	b.t.Helper()
	scheme := "light"
	if on {
		scheme = "dark"
	}
	ask(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
}

// Size makes the window another size, in pixels of the page: such as 390 by 844 for a telephone.
func (b *Browser) Size(width, height int64) {
	b.t.Helper()
	ask(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1})
}

// Reload reads the page anew.
func (b *Browser) Reload() {
	b.t.Helper()
	run(b, chromedp.Navigate(b.Text("location.href")))
}

// Go opens another page.
func (b *Browser) Go(address string) {
	b.t.Helper()
	run(b, chromedp.Navigate(address))
}

// Click clicks the first element that a selector finds, as a mouse does.
func (b *Browser) Click(selector string) {
	b.t.Helper()
	b.Wait("there is "+selector, `document.querySelector('`+selector+`')`)
	// Where the click leads to another page, it may be there before the answer.
	if _, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`String(document.querySelector('`+selector+`').click())`)); err != nil && !leaving(err) {
		b.t.Fatalf("chromium: %v", err)
	}
}

// Picture takes a picture of the window, where pictures are wanted.
func (b *Browser) Picture(name string) {
	b.t.Helper()
	if b.screenshots == "" {
		return
	}
	png := run(b, chromedp.CaptureScreenshot())
	file := strings.NewReplacer("/", "_", " ", "_").Replace(fmt.Sprintf("%s_%s.png", b.t.Name(), name))
	if err := os.WriteFile(filepath.Join(b.screenshots, file), png, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// Keys that have no letter.
const (
	Enter  = kb.Enter
	Tab    = kb.Tab
	Escape = kb.Escape
	Down   = kb.ArrowDown
	Up     = kb.ArrowUp
)
