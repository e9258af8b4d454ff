package identity

import "errors"

// Compact rids the files of the state of what is no longer in it, such as the values of deleted records. The flow goes on
// beside it.
func (m *Matching) Compact() error {
	return errors.Join(m.Partition(Person).Compact(), m.Partition(Organisation).Compact())
}
