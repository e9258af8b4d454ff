package connectors

import (
	"fmt"
	"strings"

	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
)

// Keyer makes the keys of a dataset's records from rows with certain columns.
type Keyer struct {
	fields []string // of the key
	at     []int    // their columns
	parts  []string
}

// NewKeyer finds the columns of the dataset's key. The error says which field has none; it does not say what to do.
func NewKeyer(d *contract.Dataset, columns []string) (*Keyer, error) {
	byField, unclaimed := d.Resolve(columns)
	k := &Keyer{fields: d.Key, parts: make([]string, len(d.Key))}
	for _, name := range d.Key {
		i, _ := d.Field(name)
		if byField[i] < 0 {
			return nil, fmt.Errorf("no column is called %s (the key field %s); %d of the %d columns are known to the contract",
				strings.Join(d.Fields[i].SourceNames(), " or "), name, len(columns)-len(unclaimed), len(columns))
		}
		k.at = append(k.at, byField[i])
	}
	return k, nil
}

// Columns are the places of the key's columns.
func (k *Keyer) Columns() []int { return k.at }

// Key joins the trimmed values of the key's columns, or says why a row has no key.
func (k *Keyer) Key(values []string) (key, problem string) {
	for i, at := range k.at {
		part := strings.TrimSpace(values[at])
		if part == "" {
			return "", "no key: the field " + k.fields[i] + " is empty"
		}
		k.parts[i] = part
	}
	if len(k.parts) == 1 {
		return k.parts[0], ""
	}
	for i, part := range k.parts {
		if strings.Contains(part, change.KeySeparator) {
			return "", "the key field " + k.fields[i] + " holds a control character"
		}
	}
	return strings.Join(k.parts, change.KeySeparator), ""
}
