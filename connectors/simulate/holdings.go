package simulate

import (
	"path/filepath"
	"sync"

	"github.com/shirecounty/shire/schemas/contract"
)

// holding is what a register says of a paper of a person, as it stands at the end of the simulated time.
type holding struct {
	dataset string
	since   int32
	until   int32 // last day; 0: no end
}

type held struct {
	person   int32
	material string
}

// shelf is what the registers hold of whom.
type shelf struct {
	mu       sync.Mutex
	holdings map[held][]holding
}

// holds notes in the truth that a record holds a paper of a person. role is that of the holding among those of its record, personRole that of
// the person there.
func (s *dataset) holds(key, role, personRole string, i int32, material string, since, until int32) error {
	if s.live {
		return nil
	}
	s.shelf.mu.Lock()
	of := held{i, material}
	s.shelf.holdings[of] = append(s.shelf.holdings[of], holding{s.name, since, until})
	s.shelf.mu.Unlock()
	return s.held.row(s.name, key, role, personRole, personID(i), material, formatDate(since, "2006-01-02"), formatDate(until, "2006-01-02"))
}

// avoidable tells whether a paper of a person need not have been asked for on a day, since a register that is shared held it: how that register is
// shared, and its dataset; the one that is shared most freely, of equals the first by name.
func (s *shelf) avoidable(sharing map[string]string, i int32, material string, day int32) (how, dataset string) {
	for _, h := range s.holdings[held{i, material}] {
		kind := sharing[h.dataset]
		if h.since > day || h.until != 0 && h.until < day || kind == "none" {
			continue
		}
		// unconditional comes after conditional in the alphabet
		if kind > how || kind == how && h.dataset < dataset {
			how, dataset = kind, h.dataset
		}
	}
	return how, dataset
}

// sharingTypes are how each dataset of the county is shared, by its contract.
func sharingTypes(root string) (map[string]string, error) {
	set, err := contract.LoadDir(filepath.Join(root, "contracts"), "Asia/Shanghai")
	if err != nil {
		return nil, err
	}
	types := map[string]string{}
	for name, d := range set {
		types[name] = d.Sharing.Type
	}
	return types, nil
}
