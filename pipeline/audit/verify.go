package audit

import (
	"context"
	"errors"
	"io"
	"maps"
)

// verifySource reads a log to its end. Elsewhere are statements that somebody else has kept.
func verifySource(ctx context.Context, v *verifier, from source, elsewhere []Statement) (*Report, error) {
	if err := from.statements(ctx, func(text []byte) error { v.statement(text); return nil }); err != nil {
		return nil, err
	}
	for _, s := range elsewhere {
		v.take(s)
	}
	err := from.records(ctx, func(r record) error { v.record(r); return nil })
	if errors.Is(err, errNoEntry) {
		v.unreadable()
	} else if err != nil {
		return nil, err
	}
	return v.end(), nil
}

// VerifyFile proves an export, offline. Without keys that are trusted, those in the file itself are used: that finds every
// change but that of a forger who signed it all anew. ownKeys tells that it was so.
func VerifyFile(ctx context.Context, r io.Reader, trusted Keys, elsewhere []Statement) (report *Report, ownKeys bool, err error) {
	f, err := openFile(r)
	if err != nil {
		return nil, false, err
	}
	keys := maps.Clone(trusted)
	if ownKeys = len(keys) == 0; ownKeys {
		keys = Keys{}
		if err := keys.Add([]byte(f.header.Keys)); err != nil {
			return nil, true, fileError(err)
		}
	}
	report, err = verifySource(ctx, newVerifier(keys, true), f, elsewhere)
	return report, ownKeys, err
}
