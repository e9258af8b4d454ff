package partition

// Compact merges the files of the state into one, without what is no longer in it. Changes go on beside it.
func (p *Partition) Compact() error {
	p.mu.RLock()
	s := p.state
	p.mu.RUnlock()
	return s.Compact()
}
