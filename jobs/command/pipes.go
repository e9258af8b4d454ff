//go:build unix

package command

import "os"

type pipe struct{ read, write *os.File }

// pipes are what shire and a supervisor speak through.
type pipes struct{ control, report, output pipe }

func openPipes() (*pipes, error) {
	p := &pipes{}
	for _, one := range []*pipe{&p.control, &p.report, &p.output} {
		var err error
		if one.read, one.write, err = os.Pipe(); err != nil {
			p.close()
			return nil, err
		}
	}
	return p, nil
}

// handOver closes this process's copies of the supervisor's ends, without which no end of them would be seen.
func (p *pipes) handOver() {
	for _, f := range []*os.File{p.control.read, p.report.write, p.output.write} {
		f.Close()
	}
}

func (p *pipes) close() {
	for _, one := range []pipe{p.control, p.report, p.output} {
		if one.read != nil {
			one.read.Close() // a second close does nothing
			one.write.Close()
		}
	}
}
