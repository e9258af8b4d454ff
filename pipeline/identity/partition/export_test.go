package partition

import "github.com/shirecounty/shire/pipeline/identity/store"

// Over-full blocks are in memory in part: with this little to spare, the rest has to be fetched again and again.
func init() { spare = 1 }

// KeepAsAnother keeps the state as another version of the program left it: its keys and edges are not what this one would
// make of the same words, and it says so.
func (p *Partition) KeepAsAnother() error {
	view, batch := p.state.View(), store.NewBatch(tables)
	defer view.Release()
	for _, table := range []int{postings, edges, opens} {
		view.Scan(table, nil, func(key, _, _ []byte) bool {
			batch.Delete(table, key)
			return true
		})
	}
	m, err := p.state.meta()
	if err != nil {
		return err
	}
	m.Evidence = EvidenceVersion - 1
	return p.state.Commit(batch, p.Position(), m.encode())
}

// SetFew makes ranges of more changes than this be looked up in one pass. It gives what undoes it.
func SetFew(n int) (undo func()) {
	was := few
	few = n
	return func() { few = was }
}
