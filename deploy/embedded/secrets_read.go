//go:build unix

package embedded

import "path/filepath"

// ReadSecrets are all secrets of a data directory by their names; none when it has no file of them. It makes nothing.
func ReadSecrets(dir string) (map[string]string, error) {
	return readSecrets(filepath.Join(dir, SecretsFile))
}
