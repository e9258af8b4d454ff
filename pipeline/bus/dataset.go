package bus

import "context"

// ReadDataset is Read for one dataset: its changes, and those that come back from quarantine.
func (b *Bus) ReadDataset(ctx context.Context, department, dataset string, from uint64) (*Reader, error) {
	return b.read(ctx, b.changes, from, b.ChangesSubject(department, dataset), b.RetrySubject(department, dataset))
}
