package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
)

// Materials takes down what became of the materials of prefills: changes of a dataset of Shire's own, from which the county has its
// figures like any others.
type Materials struct {
	bus  *bus.Bus
	turn chan struct{} // holds one: those of this process are published one by one
}

var _ disclosure.Taken = (*Materials)(nil)

// NewMaterials makes one.
func NewMaterials(b *bus.Bus) *Materials { return &Materials{b, make(chan struct{}, 1)} }

// Take returns when the event is on the bus for good (I1).
func (m *Materials) Take(ctx context.Context, t disclosure.TakenMaterial) error {
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	w, err := m.bus.ChangesWriter(ctx, m.bus.ChangesSubject(contract.OwnDepartment, contract.Materials))
	if err != nil {
		return err
	}
	for {
		_, err := publishOwn(ctx, w, contract.Materials, materialColumns, materialChange(t))
		if !errors.Is(err, bus.ErrFenced) {
			return err
		}
		if err := w.Reload(ctx); err != nil { // another process took one down meanwhile
			return err
		}
	}
}

var materialColumns = []string{"prefill", "material_code", "act", "acted_at", "case_number", "department", "item_code", "reason",
	"shared_dataset", "issuer", "parts", "document", "edition", "valid_from", "valid_until"}

func materialChange(t disclosure.TakenMaterial) change.Change {
	act, parts, document, edition := disclosure.ActDecline, "", "", ""
	if t.Use {
		act, parts = disclosure.ActUse, "none"
		switch {
		case len(t.Document) == 1 && t.Document[0] != "":
			parts, document = "number", t.Document[0]
		case len(t.Document) == 2 && t.Document[0] != "":
			parts, document, edition = "edition", t.Document[0], t.Document[1]
		}
	}
	c := change.Change{Op: change.Update, Key: t.Prefill + change.KeySeparator + t.Material, Row: 1, Time: t.At,
		Values: []string{t.Prefill, t.Material, act, t.At.UTC().Format(time.RFC3339Nano), t.Case, t.Department, t.Item, t.Reason,
			t.Dataset, t.Issuer, parts, document, edition, t.ValidFrom, t.ValidUntil}}
	c.Null = make([]bool, len(c.Values))
	for i, v := range c.Values {
		c.Null[i] = v == ""
	}
	return c
}
