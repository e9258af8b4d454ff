package clickhouse

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
)

// Hash tells whether two programs, or two configurations, make the same views of mart: figures that were prepared from others are not to be read. The
// metrics have a hash of their own.
func (v Views) Hash() (string, error) {
	constants, err := v.constants()
	if err != nil {
		return "", err
	}
	files, err := fs.Glob(views, "views/*.sql")
	if err != nil {
		return "", fmt.Errorf("read the views: %w", err)
	}
	h := sha256.New()
	for _, file := range files {
		text, err := fs.ReadFile(views, file)
		if err != nil {
			return "", fmt.Errorf("read the views: %w", err)
		}
		h.Write([]byte(constants.Replace(string(text))))
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}
