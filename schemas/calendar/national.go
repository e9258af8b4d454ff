package calendar

import (
	"embed"
	"io/fs"
	"maps"
	"slices"
)

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
		if f, err := layer.Open(name); err == nil {
			return f, nil
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
		if err != nil {
			continue
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
