package sharing

import (
	"fmt"
	"os"
	"slices"

	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/document"
)

// Item is a service item (事项), and what is asked for in a case of it.
type Item struct {
	Code       string        `yaml:"code"` // 实施编码
	Name       contract.Text `yaml:"name"`
	Department string        `yaml:"department"`
	Materials  []string      `yaml:"materials"` // codes of what every case needs (材料编码)
	Sometimes  []string      `yaml:"sometimes"` // and of what only some do
}

// Items are the county's service items by their codes.
type Items map[string]Item

// Known tells whether there is an item.
func (items Items) Known(code string) bool { _, ok := items[code]; return ok }

// Materials are the names of materials by their codes (材料编码); of some or of all.
type Materials map[string]contract.Text

// LoadItems reads a file of service items, and of the names of materials where it has them. The error is document.Problems when it is
// the file's own.
func LoadItems(file string) (Items, Materials, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("read the service items: %w", err)
	}
	var list struct {
		Materials Materials `yaml:"materials"`
		Items     []Item    `yaml:"items"`
	}
	doc, err := document.Parse(file, data, &list)
	if err != nil {
		return nil, nil, err
	}
	items := Items{}
	var problems document.Problems
	for i, item := range list.Items {
		path := fmt.Sprintf("$.items[%d]", i)
		all := slices.Concat(item.Materials, item.Sometimes)
		slices.Sort(all)
		switch {
		case item.Code == "" || item.Department == "":
			problems = append(problems, doc.At(path, "a service item needs its code and its department", "write code: and department:"))
		case items.Known(item.Code):
			problems = append(problems, doc.At(path+".code", fmt.Sprintf("the service item %s stands twice", item.Code), "keep one of them"))
		case slices.Contains(all, "") || len(slices.Compact(slices.Clone(all))) < len(all):
			problems = append(problems, doc.At(path+".materials", "a material stands twice, or has no code", "name each material once, under materials: or under sometimes:"))
		}
		items[item.Code] = item
	}
	for code, name := range list.Materials {
		if code == "" || name.Zh == "" {
			problems = append(problems, doc.At("$.materials", "a material has no name", "write code: {zh: …, en: …}"))
		}
	}
	return items, list.Materials, problems.OrNil()
}
