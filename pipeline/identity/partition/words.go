package partition

import (
	"slices"

	"github.com/shirecounty/shire/schemas/identity"
)

// Words gives what each record says by the fields of a model, which reads columns that there are (Compile), and
// behind them its dataset where the model tells sources apart. The values are good until fn returns; fn may end it by false.
func (p *Partition) Words(spec *identity.Model, fn func(values []string) bool) {
	from := make([]int, len(spec.Fields))
	for f := range spec.Fields {
		from[f] = slices.Index(p.opt.Columns, spec.Fields[f].Source())
	}
	width := len(from)
	if spec.SourceColumn != "" {
		width++
	}
	values := make([]string, width)
	p.read(func(r reader) {
		r.view.Scan(records, nil, func(_, _, blob []byte) bool {
			said := wordsOf(blob)
			for f, c := range from {
				values[f] = said.values[c]
			}
			if width > len(from) {
				values[len(from)] = said.dataset
			}
			return fn(values)
		})
	})
}

// Readable proves that a model reads columns that there are, before it has parameters. The error is document.Problems.
func (p *Partition) Readable(spec *identity.Model) error {
	if ps := p.unreadable(spec); len(ps) > 0 {
		return ps
	}
	return nil
}
