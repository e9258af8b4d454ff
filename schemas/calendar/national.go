package calendar

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
)

// The folders of a county's calendars. What stands beside them are the county's own files.
const (
	nationalFolder   = "national"
	provincialFolder = "province"
)

// LoadCounty reads the calendar of a county from the folder of its calendars, which has three layers: the folder national with the
// State Council's notices of years that were published after the program was built, the folder province with what the
// province (and the prefecture) sets otherwise, and the county's own files at the top. Each may be absent; nil is none at all.
func LoadCounty(folder fs.FS) (*Calendar, error) {
	if folder == nil {
		return Load(National())
	}
	if _, err := fs.ReadDir(folder, "."); err != nil {
		return nil, fmt.Errorf("the folder of the county's calendars cannot be read: %w", err)
	}
	national, err := fs.Sub(folder, nationalFolder)
	if err != nil {
		return nil, fmt.Errorf("open the folder %s of the county's calendars: %w", nationalFolder, err)
	}
	province, err := fs.Sub(folder, provincialFolder)
	if err != nil {
		return nil, fmt.Errorf("open the folder %s of the county's calendars: %w", provincialFolder, err)
	}
	return Load(named{National(national), nationalFolder}, named{province, provincialFolder}, folder)
}

// named is a layer whose files are called by the folder they stand in, since each layer has a 2026.yaml.
type named struct {
	fs.FS
	folder string
}

// ReadDir lists what the layer lists, which Open of a union does not.
func (n named) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(n.FS, name) }

//go:embed cn/*.yaml
var embedded embed.FS

// National returns the layer of the State Council's notices, one file per year: those that came with the program and,
// from further folders, years that were published since. A file of the same name in a further folder takes the place of
// the program's.
func National(further ...fs.FS) fs.FS {
	layer, err := fs.Sub(embedded, "cn")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return append(union{layer}, further...)
}

// union is several folders as one; a later one hides the files of an earlier one.
type union []fs.FS

var _ fs.ReadDirFS = union(nil)

func (u union) Open(name string) (fs.File, error) {
	for _, layer := range slices.Backward(u[1:]) {
		if f, err := layer.Open(name); !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return u[0].Open(name)
}

// ReadDir lists the files of all folders; one that does not exist has none.
func (u union) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(u[0], name)
	if err != nil {
		return nil, err
	}
	all := map[string]fs.DirEntry{}
	for _, e := range entries {
		all[e.Name()] = e
	}
	for _, layer := range u[1:] {
		entries, err := fs.ReadDir(layer, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			all[e.Name()] = e
		}
	}
	var out []fs.DirEntry
	for _, key := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[key])
	}
	return out, nil
}
