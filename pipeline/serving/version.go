package serving

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble"

	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Version is the newest version of a record that is here, also of one that is gone; 0 when there never was one.
func (s *Store) Version(id pseudonym.ID) (uint64, error) {
	value, closer, err := s.db.Get(key(versionKey, id))
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the store of records to share: %w", err)
	}
	defer closer.Close()
	if len(value) != 8 {
		return 0, errCutOff
	}
	return binary.BigEndian.Uint64(value), nil
}
