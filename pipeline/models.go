package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/identity/review"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/document"
	schema "github.com/shirecounty/shire/schemas/identity"
)

var modelColumns = []string{"party", "model", "text", "chosen_by", "chosen_at"}

// mostModel is how many characters the document of a model may have; the contract of the models takes no more.
const mostModel = 1_000_000

// PublishModel makes a model the one by which records are matched from here on in the stream. It returns the sequence
// behind which it is in force. Whether the model can be used was proven before (partition.Compile).
func PublishModel(ctx context.Context, b *bus.Bus, m *schema.Model, by string, at time.Time) (uint64, error) {
	if by = strings.TrimSpace(by); by == "" || utf8.RuneCountInString(by) > review.MostReviewer {
		return 0, fmt.Errorf("whoever chooses a model gives a name of at most %d characters", review.MostReviewer)
	}
	if utf8.RuneCount(m.Source()) > mostModel {
		return 0, document.Problems{m.At("$.parameters", fmt.Sprintf("the model's document is longer than %d characters", mostModel), "keep fewer values under frequencies")}
	}
	w, err := modelWriter(ctx, b)
	if err != nil {
		return 0, err
	}
	for {
		sequence, err := publishOwn(ctx, w, contract.Models, modelColumns, modelChange(m, by, at))
		if !errors.Is(err, bus.ErrFenced) {
			return sequence, err
		}
		// Somebody else chose a model meanwhile: the later choice counts.
		if err := w.Reload(ctx); err != nil {
			return 0, err
		}
	}
}

// PublishFirstModels says in the stream by which models records are matched, when it does not say so yet: those that are
// in use already, else the shipped ones. It returns 0 when the stream had said so. It is called before any source runs.
func PublishFirstModels(ctx context.Context, b *bus.Bus, used func(about string) *schema.Model, at time.Time) (uint64, error) {
	w, err := modelWriter(ctx, b)
	if err != nil {
		return 0, err
	}
	if last, _ := w.Last(); last > 0 {
		return 0, nil
	}
	var changes []change.Change
	for _, about := range parties {
		m := used(about)
		if m == nil {
			if m, err = schema.Shipped(about); err != nil {
				return 0, err
			}
		}
		changes = append(changes, modelChange(m, contract.OwnDepartment, at))
	}
	sequence, err := publishOwn(ctx, w, contract.Models, modelColumns, changes...)
	if errors.Is(err, bus.ErrFenced) {
		return 0, nil // another process said it first
	}
	return sequence, err
}

func modelWriter(ctx context.Context, b *bus.Bus) (*bus.Writer, error) {
	return b.ChangesWriter(ctx, b.ChangesSubject(contract.OwnDepartment, contract.Models))
}

func modelChange(m *schema.Model, by string, at time.Time) change.Change {
	name := fmt.Sprintf("%s/%d", m.Name, m.Version)
	return change.Change{
		Op: change.Update, Key: m.About + change.KeySeparator + name, Row: 1, Time: at,
		Values: []string{m.About, name, string(m.Source()), by, at.UTC().Format(time.RFC3339)},
	}
}
