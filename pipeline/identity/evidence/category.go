package evidence

func init() {
	fold := map[string]string{
		"男": "male", "男性": "male", "m": "male", "1": "male", "male": "male",
		"女": "female", "女性": "female", "f": "female", "2": "female", "female": "female",
		"0": "", "9": "", "未说明": "", "未知": "",
	}
	prepare := func(s string) (Value, bool) {
		if to, ok := fold[s]; ok {
			s = to
		}
		if absent(s) {
			return Value{}, false
		}
		return Value{Text: s, Hash: hash(s)}, true
	}
	common := map[string]Value{} // nearly all values are one of these
	for s := range fold {
		if v, ok := prepare(s); ok {
			common[s] = v
		}
	}
	register(&Kind{
		Name: "category",
		Doc:  "one of few words, such as a sex; 男, M, 1 and male are one",
		Prepare: func(raw string) (Value, bool) {
			if v, ok := common[raw]; ok {
				return v, true
			}
			return prepare(evened(raw))
		},
	})
}
