package main

import "github.com/shirecounty/shire/pipeline/disclosure"

// What codes of the sharing interface are in the tour's sentences; a code that is not here is shown as it is.

func (t *tour) word(words map[string][2]string, code string) string {
	w, ok := words[code]
	switch {
	case !ok:
		return code
	case t.lang == "zh":
		return w[0]
	}
	return w[1]
}

var tourMaterials = map[string][2]string{"ID-CARD": {"居民身份证", "identity card"}}

func (t *tour) material(code string) string { return t.word(tourMaterials, code) }

var tourReasons = map[string][2]string{
	disclosure.NotGranted:  {"没有授权可以查询", "no grant lets this department ask"},
	disclosure.OwnRegister: {"应查本部门自有数据", "the department's own register says it"},
	disclosure.NotHeld:     {"未查到持有", "none is held"},
	disclosure.NotValid:    {"所持材料今日无效", "what is held is not valid today"},
}

func (t *tour) why(reason string) string { return t.word(tourReasons, reason) }

var tourDecisions = map[string][2]string{
	disclosure.Granted:  {"已准予查看", "granted"},
	disclosure.Refused:  {"已拒绝，未查看任何内容", "refused, nothing was looked at"},
	disclosure.Used:     {"采用了共享数据", "used what is shared"},
	disclosure.Declined: {"未采用共享数据", "did not use what is shared"},
}

func (t *tour) decision(code string) string { return t.word(tourDecisions, code) }
