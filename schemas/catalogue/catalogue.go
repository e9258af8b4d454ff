// Package catalogue is the catalogue of government information resources (政务信息资源目录): what the departments hold, who
// answers for it, and on what conditions it is shared. It is made of the dataset contracts and of nothing else, so that it
// cannot say something that the flow does not do; what was measured of the data stands beside it and is no part of a version.
package catalogue

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/shirecounty/shire/schemas/contract"
)

// Catalogue is what a county can share.
type Catalogue struct {
	Version
	Items []Item `json:"items"` // by name
}

// Version is which text of the catalogue it is. Contracts that say the same give the same hash at every node.
type Version struct {
	Number uint32     `json:"number" jsonschema:"description=From 1; 0 for one that the node has not written down"`
	Hash   string     `json:"hash" jsonschema:"description=SHA-256 of the items: changes with the contracts"`
	Since  *time.Time `json:"since" jsonschema:"description=When the node took it into use"`
	Count  int        `json:"count" jsonschema:"description=How many items it has"`
}

// Item is one dataset (目录项).
type Item struct {
	Dataset     string        `json:"dataset"`
	Title       contract.Text `json:"title"`
	Department  string        `json:"department" jsonschema:"description=Code of the department whose dataset it is (数源部门)"`
	Owner       contract.Text `json:"owner" jsonschema:"description=Who answers for it"`
	UpdateCycle string        `json:"update_cycle" jsonschema:"enum=realtime,enum=daily,enum=weekly,enum=monthly,enum=yearly,enum=irregular"`
	Sharing     string        `json:"sharing" jsonschema:"enum=unconditional,enum=conditional,enum=none,description=Sharing type (共享类型)"`
	Ground      string        `json:"ground,omitempty" jsonschema:"description=Legal ground where it is not shared (不予共享依据)"`
	Sensitivity string        `json:"sensitivity" jsonschema:"enum=open,enum=internal,enum=personal,enum=sensitive,description=Of its most sensitive field"`
	Contract    int           `json:"contract_version"`
	Fields      []Field       `json:"fields"`
	Measured    *Measured     `json:"measured,omitempty"`
}

// Field is one field of an item (信息项).
type Field struct {
	Name        string        `json:"name"`
	Title       contract.Text `json:"title"`
	Type        string        `json:"type" jsonschema:"description=Semantic type of the contract"`
	Key         bool          `json:"key,omitempty" jsonschema:"description=Part of what identifies a record"`
	Required    bool          `json:"required,omitempty"`
	Sensitivity string        `json:"sensitivity" jsonschema:"enum=open,enum=internal,enum=personal,enum=sensitive"`
	Sharing     string        `json:"sharing" jsonschema:"enum=unconditional,enum=conditional,enum=none"`
}

// Measured is how fresh an item is and how much of it is of use, as the node sees it.
type Measured struct {
	LastLoad    *time.Time `json:"last_load" jsonschema:"description=When something of it was loaded last; null before the first time"`
	Rows        uint64     `json:"rows" jsonschema:"description=Rows of the county's model that were loaded of it: every version of every record"`
	Quarantined uint64     `json:"quarantined" jsonschema:"description=Source rows that wait in quarantine"`
	Share       *float64   `json:"quarantined_share" jsonschema:"description=Of what arrived: quarantined / (rows + quarantined); null before anything arrived"`
}

// sensitivities, from what may be seen by everybody to what harms people.
var sensitivities = []string{contract.Open, contract.Internal, contract.Personal, contract.Sensitive}

// Of makes the catalogue of contracts. Its version has a hash and no number: that is given by whoever keeps the versions.
func Of(contracts contract.Set) Catalogue {
	c := Catalogue{Items: []Item{}}
	for _, d := range contracts {
		c.Items = append(c.Items, itemOf(d))
	}
	slices.SortFunc(c.Items, func(a, b Item) int { return strings.Compare(a.Dataset, b.Dataset) })
	c.Hash, c.Count = hash(c.Items), len(c.Items)
	return c
}

func itemOf(d *contract.Dataset) Item {
	item := Item{
		Dataset: d.Name, Title: d.Title, Department: d.Department, Owner: contract.Text{Zh: d.Owner.Zh, En: d.Owner.En},
		UpdateCycle: d.UpdateCycle, Sharing: d.Sharing.Type, Ground: d.Sharing.Ground, Sensitivity: contract.Open, Contract: d.Version,
		Fields: []Field{},
	}
	if item.UpdateCycle == "" {
		item.UpdateCycle = "irregular"
	}
	for _, f := range d.Fields {
		field := Field{
			Name: f.Name, Title: f.Title, Type: f.Type, Key: slices.Contains(d.Key, f.Name), Required: f.Required,
			Sensitivity: f.Sensitivity, Sharing: f.Sharing,
		}
		if field.Sharing == "" {
			field.Sharing = d.Sharing.Type
		}
		if slices.Index(sensitivities, f.Sensitivity) > slices.Index(sensitivities, item.Sensitivity) {
			item.Sensitivity = f.Sensitivity
		}
		item.Fields = append(item.Fields, field)
	}
	return item
}

// hash is over the items without what was measured.
func hash(items []Item) string {
	plain := slices.Clone(items)
	for i := range plain {
		plain[i].Measured = nil
	}
	text, err := json.Marshal(plain)
	if err != nil {
		panic(err) // strings, numbers and lists of them can be encoded
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Measure sets what was measured beside the items, by their names. Items of which nothing was measured have no rows.
func (c *Catalogue) Measure(measured map[string]Measured) {
	for i := range c.Items {
		m := measured[c.Items[i].Dataset]
		if all := m.Rows + m.Quarantined; all > 0 {
			share := float64(m.Quarantined) / float64(all)
			m.Share = &share
		}
		c.Items[i].Measured = &m
	}
}

// Encode is the items as a version of the catalogue keeps them; Decode reads them again.
func (c Catalogue) Encode() ([]byte, error) { return json.Marshal(c.Items) }

// Decode reads the items of a version and proves that they are those of its hash.
func Decode(v Version, items []byte) (Catalogue, error) {
	c := Catalogue{Version: v}
	if err := json.Unmarshal(items, &c.Items); err != nil {
		return Catalogue{}, err
	}
	if hash(c.Items) != v.Hash {
		return Catalogue{}, errOther
	}
	c.Count = len(c.Items)
	return c, nil
}
