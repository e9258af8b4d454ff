package main

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/shirecounty/shire/pipeline/ingest"
)

// progress draws how far a long task is, on a terminal only. A nil progress draws nothing.
type progress struct {
	bars *mpb.Progress
	bar  *mpb.Bar
	stop chan struct{}
	once sync.Once

	mu     sync.Mutex
	source *ingest.Source
}

// measured is what a connector offers when it knows how much there is to read.
type measured interface{ Progress() (done, total int64) }

func (a *app) progress(what string) *progress {
	if f, ok := a.err.(*os.File); a.json || !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return newProgress(a.err, what)
}

func newProgress(w io.Writer, what string) *progress {
	p := &progress{bars: mpb.New(mpb.WithOutput(w), mpb.WithWidth(48)), stop: make(chan struct{})}
	p.bar = p.bars.AddBar(0, mpb.PrependDecorators(decor.Name(what+" "), decor.Any(func(decor.Statistics) string { return p.label() })),
		mpb.AppendDecorators(decor.Percentage(), decor.Name(" "), decor.Elapsed(decor.ET_STYLE_MMSS)), mpb.BarRemoveOnComplete())
	go func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.refresh()
			case <-p.stop:
				return
			}
		}
	}()
	return p
}

func (p *progress) label() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.source == nil {
		return ""
	}
	return p.source.Name() + " "
}

func (p *progress) refresh() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.source == nil {
		return
	}
	if m, ok := p.source.Connector().(measured); ok {
		done, total := m.Progress()
		p.bar.SetTotal(max(total, done+1), false) // the bar completes when done is called
		p.bar.SetCurrent(done)
	}
}

// watch names the source that is being read.
func (p *progress) watch(s *ingest.Source) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.source = s
}

// set shows a plain count.
func (p *progress) set(done, total int64) {
	if p == nil {
		return
	}
	p.bar.SetTotal(max(total, done+1), false)
	p.bar.SetCurrent(done)
}

// done ends the drawing.
func (p *progress) done() {
	if p == nil {
		return
	}
	p.once.Do(func() {
		close(p.stop)
		p.bar.SetTotal(-1, true)
		p.bars.Wait()
	})
}
