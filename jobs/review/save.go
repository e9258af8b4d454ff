package review

import (
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/shirecounty/shire/schemas/metrics"
)

// Saved is a review in its folder.
type Saved struct {
	Name  string   `json:"name"` // such as review-2026-06-2026-08
	Files []string `json:"files"`
}

var shape = regexp.MustCompile(`^(review-\d{4}-\d{2}-\d{4}-\d{2})\.(zh|en)\.(md|html)$`)

// List lists the reviews of a folder, the newest first.
func List(folder string) ([]Saved, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the folder of reviews cannot be read: %w", err)
	}
	files := map[string][]string{}
	var names []string
	for _, e := range entries {
		if m := shape.FindStringSubmatch(e.Name()); m != nil {
			if files[m[1]] == nil {
				names = append(names, m[1])
			}
			files[m[1]] = append(files[m[1]], e.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(b[len(b)-7:]+b, a[len(a)-7:]+a) })
	saved := make([]Saved, 0, len(names))
	for _, name := range names {
		saved = append(saved, Saved{name, files[name]})
	}
	return saved, nil
}

// save writes the review as Markdown and HTML in both languages, and the list of all reviews.
func (r *Review) save(f *findings, d document) (files []string, err error) {
	folder := r.Settings.Folder
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("the folder of reviews cannot be made: %w", err)
	}
	put := func(name, content string) error {
		if err := replace(filepath.Join(folder, name), content); err != nil {
			return fmt.Errorf("the review cannot be written: %w", err)
		}
		files = append(files, filepath.Join(folder, name))
		return nil
	}
	base := fmt.Sprintf("review-%s-%s", f.from, f.to)
	for _, language := range []string{"zh", "en"} {
		in := func(t metrics.Text) string {
			if language == "zh" {
				return t.Zh
			}
			return t.En
		}
		page, err := asHTML(d, language, in)
		if err != nil {
			return nil, err
		}
		if err := errors.Join(put(base+"."+language+".md", asMarkdown(d, in)), put(base+"."+language+".html", page)); err != nil {
			return nil, err
		}
	}
	saved, err := List(folder)
	if err != nil {
		return nil, err
	}
	var list strings.Builder
	if err := index.Execute(&list, saved); err != nil {
		return nil, err
	}
	return files, put("index.html", list.String())
}

// replace writes a file whole or not at all.
func replace(file, content string) error {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // when it was not renamed
	_, err = f.WriteString(content)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

// Letters that Markdown or the HTML in it would take for its own: what a department or dataset is called is for people to write.
var plain = strings.NewReplacer("\\", `\\`, "|", `\|`, "<", "&lt;", ">", "&gt;", "&", "&amp;", "*", `\*`, "_", `\_`, "`", "\\`", "[", `\[`, "]", `\]`, "\n", " ", "\r", " ")

func asMarkdown(d document, in func(metrics.Text) string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", plain.Replace(in(d.title)))
	for _, s := range d.sections {
		fmt.Fprintf(&b, "\n## %s\n", plain.Replace(in(s.heading)))
		for _, line := range s.lines {
			fmt.Fprintf(&b, "\n%s\n", plain.Replace(in(line)))
		}
		if len(s.items) > 0 {
			b.WriteByte('\n')
		}
		for i, it := range s.items {
			fmt.Fprintf(&b, "%d. **%s** %s\n", i+1, plain.Replace(in(it.what)), plain.Replace(in(it.because)))
		}
		if len(s.table.rows) == 0 {
			continue
		}
		b.WriteByte('\n')
		row := func(cells []metrics.Text) {
			for _, c := range cells {
				fmt.Fprintf(&b, "| %s ", plain.Replace(in(c)))
			}
			b.WriteString("|\n")
		}
		row(s.table.head)
		b.WriteString(strings.Repeat("|---", len(s.table.head)) + "|\n")
		for _, cells := range s.table.rows {
			row(cells)
		}
	}
	return b.String()
}

const style = `<style>
:root{color-scheme:light dark}body{font:16px/1.6 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #8884}th{font-weight:600}
</style>`

// page is one review. What is put in is escaped by the library.
type page struct {
	Language, Title string
	Sections        []pageSection
}

type pageSection struct {
	Heading string
	Lines   []string
	Items   [][2]string
	Head    []string
	Rows    [][]string
}

var review = template.Must(template.New("review").Parse(`<!doctype html>
<html lang="{{.Language}}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{.Title}}</title>` + style + `</head><body>
<h1>{{.Title}}</h1>
{{range .Sections}}<section><h2>{{.Heading}}</h2>
{{range .Lines}}<p>{{.}}</p>
{{end}}{{if .Items}}<ol>{{range .Items}}<li><strong>{{index . 0}}</strong> {{index . 1}}</li>
{{end}}</ol>
{{end}}{{if .Rows}}<table><thead><tr>{{range .Head}}<th scope="col">{{.}}</th>{{end}}</tr></thead><tbody>
{{range .Rows}}<tr>{{range .}}<td>{{.}}</td>{{end}}</tr>
{{end}}</tbody></table>
{{end}}</section>
{{end}}</body></html>
`))

var index = template.Must(template.New("index").Parse(`<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>定期复盘 / Reviews</title>` + style + `</head><body>
<h1>定期复盘 / Reviews</h1>
<ul>{{range .}}<li>{{.Name}}: {{range .Files}}<a href="{{.}}">{{.}}</a> {{end}}</li>
{{end}}</ul></body></html>
`))

func asHTML(d document, language string, in func(metrics.Text) string) (string, error) {
	p := page{Language: map[string]string{"zh": "zh-CN", "en": "en"}[language], Title: in(d.title)}
	all := func(texts []metrics.Text) []string {
		var out []string
		for _, t := range texts {
			out = append(out, in(t))
		}
		return out
	}
	for _, s := range d.sections {
		section := pageSection{Heading: in(s.heading), Lines: all(s.lines), Head: all(s.table.head)}
		for _, it := range s.items {
			section.Items = append(section.Items, [2]string{in(it.what), in(it.because)})
		}
		for _, cells := range s.table.rows {
			section.Rows = append(section.Rows, all(cells))
		}
		p.Sections = append(p.Sections, section)
	}
	var b strings.Builder
	err := review.Execute(&b, p)
	return b.String(), err
}
