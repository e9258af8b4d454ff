package sharing

import (
	"errors"
	"fmt"
)

// Refusal says why an act cannot be done, to who wanted to do it.
type Refusal struct {
	Code string // stable, for programs
	Text string
	Zh   string // Text in Chinese
}

func (e *Refusal) Error() string { return e.Text }

// refusal makes one of the texts in both languages, which take the same values in the same order.
func refusal(code, en, zh string, values ...any) error {
	return &Refusal{code, fmt.Sprintf(en, values...), fmt.Sprintf(zh, values...)}
}

// within is a refusal with words in front that say what it is about.
func within(err error, en, zh string) error {
	if r := (*Refusal)(nil); errors.As(err, &r) {
		return &Refusal{r.Code, en + r.Text, zh + r.Zh}
	}
	return err
}
