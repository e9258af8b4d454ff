package semantic

import "strings"

func init() {
	register(Definition{
		Name: "boolean", Kind: Boolean,
		Doc: Doc{
			Zh: "是否：默认认识 是/否、1/0、true/false、Y/N、yes/no，不分大小写和全半角。",
			En: "Yes or no (是否): by default 是/否, 1/0, true/false, Y/N, yes/no in any case and width.",
		},
		Params: []Param{
			{Name: "true", Type: "array", Doc: Doc{Zh: "表示“是”的词，取代默认。", En: "The words for yes, instead of the default."}},
			{Name: "false", Type: "array", Doc: Doc{Zh: "表示“否”的词，取代默认。", En: "The words for no, instead of the default."}},
		},
		build: func(a *arguments) Type {
			t := boolean{named{"boolean", Boolean}, map[string]bool{}}
			for _, w := range a.words("true", "是", "1", "true", "y", "yes") {
				t.words[plain(w)] = true
			}
			for _, w := range a.words("false", "否", "0", "false", "n", "no") {
				if t.words[plain(w)] {
					a.fail("false", "the word %q stands for true and false at once", w)
				}
				t.words[plain(w)] = false
			}
			return t
		},
	})
}

var booleanFormat = &Problem{CodeUnknownCode, "the text is none of the words for yes and no; list the source's words in the parameters true and false"}

type boolean struct {
	named
	words map[string]bool
}

// ParseBoolean returns what the word stands for.
func (t boolean) ParseBoolean(s string) (bool, *Problem) {
	v, ok := t.words[s]
	if !ok {
		if v, ok = t.words[plain(s)]; !ok {
			return false, refusal(s, booleanFormat)
		}
	}
	return v, nil
}

// plain is the form in which words and codes are compared: trimmed, narrow, lower case.
func plain(s string) string { return strings.ToLower(trim(fold(s))) }
