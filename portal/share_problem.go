package portal

import (
	"context"
	"errors"
	"net/http"

	"github.com/invopop/jsonschema"

	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/portal/callers"
	"github.com/shirecounty/shire/schemas/sharing"
)

// Codes of the sharing interface, beside those of policy (schemas/sharing) and of credentials (portal/callers).
const (
	codeMalformed   = "malformed_request"
	codeMediaType   = "unknown_media_type"
	codeTooLarge    = "too_large"
	codeTooSlow     = "too_slow"
	codeKeyInURL    = "key_in_url"
	codeEnumeration = "enumeration_stopped"
	codeUnusable    = "unusable_input"
	codeWarehouse   = "warehouse_away"
)

// denials say what policy refuses, and what to do. They quote nothing (I7).
var denials = map[sharing.Code]sentence{
	sharing.NoClerk:   {"The call names no acting clerk. Send Shire-Clerk.", "未注明经办人，请发送 Shire-Clerk。"},
	sharing.NoPurpose: {"The call names no purpose. Send Shire-Purpose with one of the county's purposes.", "未注明用途，请在 Shire-Purpose 中填写本县规定的用途之一。"},
	sharing.NoCase: {"Your department has no case of this number. Send the number of a case that is open with you in Shire-Case.",
		"贵部门没有该编号的办件。请在 Shire-Case 中填写贵部门正在办理的办件编号。"},
	sharing.OtherItem:   {"The case is of another service item than Shire-Item says. Send the item of the case.", "该办件所属事项与 Shire-Item 不符，请填写办件对应的事项编码。"},
	sharing.CaseNotOpen: {"The case is not open. Data is shared for open cases alone.", "该办件不在办理中。数据只为在办办件共享。"},
	sharing.NotOfCase: {"The case is not about this person, or there is nothing of it that could be shown. Check the case number and what the applicant showed.",
		"该办件与所查询的人无关，或没有可以提供的内容。请核对办件编号和申请人出示的信息。"},
	sharing.NoGrant:          {"Your department has no grant for this dataset. Ask its owner for one (see the catalogue).", "贵部门没有该数据集的授权，请通过目录向数源部门申请。"},
	sharing.GrantNotLive:     {"The grant for this dataset is not in force: it has ended, is suspended, was revoked or has not begun. Ask its owner.", "该数据集的授权未生效或已失效（到期、暂停、撤销或尚未开始），请联系数源部门。"},
	sharing.OtherPurpose:     {"The grant is for another purpose. Send that purpose if it is yours, or ask for a grant.", "授权用途与本次用途不符。如用途有误请更正，否则请另行申请授权。"},
	sharing.ItemNotGranted:   {"The grant does not cover this service item. Ask the owner to extend it.", "授权未包含该事项，请向数源部门申请扩展。"},
	sharing.RowsNotGranted:   {"The grant does not cover this record: it is of another region or case than the grant names.", "授权未包含该记录（区域或办件超出授权范围）。"},
	disclosure.NotMet:        {"The material is not met any more: what it was met with has changed. Ask for a new prefill.", "该材料已不再满足（原依据已变化），请重新预填。"},
	sharing.FieldsNotGranted: {"The grant covers none of the fields that were asked for. Ask for those that it names.", "授权未包含所请求的字段，请改为请求已授权的字段。"},
}

// missed are the refusals of a read that hit nobody whom the client has to do with: what somebody gets who tries numbers.
var missed = map[sharing.Code]bool{sharing.NoCase: true, sharing.OtherDepartmentsCase: true, sharing.NotOfCase: true}

// mistakes tell in Chinese in what part of a request a mistake is.
var mistakes = map[string]string{
	"attributes": "身份信息有误：请填写有效的公民身份号码，或同时填写姓名和出生日期。", "key": "记录主键有误：请按数据合同的主键字段填写。", "fields": "字段有误：请填写数据合同中的字段名。",
	"materials": "材料编码有误。", "prefill": "预填编号有误：请使用最近一次预填返回的编号。", "material": "材料编码有误：请使用预填结果中的材料编码。", "reason": "理由有误：请使用规定的理由代码（见 /openapi.json）。",
	"dataset": "目录中该部门没有此数据集。", "client": "客户端名称过长。", "department": "部门编码过长。", "clerk": "经办人过长（至多 100 字节）。", "purpose": "用途过长（至多 100 字节）。",
	"item": "事项编码过长（至多 100 字节）。", "case": "办件编号过长（至多 100 字节）。",
}

// problem is what a call failed with, in the words of the interface.
func (s *share) problem(r *http.Request, err error) *Problem {
	var (
		p       *Problem
		denied  *disclosure.Denied
		mistake *disclosure.Mistake
		away    *disclosure.Unavailable
		wait    *waitError
	)
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &wait):
		return problem(wait.status, wait.code, wait.en).zh(wait.zh)
	case errors.As(err, &denied):
		code := denied.Code
		if code == sharing.OtherDepartmentsCase {
			code = sharing.NoCase // who may not read a case learns nothing of whether there is one
		}
		text, ok := denials[code]
		if !ok {
			text = sentence{"The read is refused. Ask the county's data bureau.", "读取被拒绝，请联系县数据局。"}
		}
		status := http.StatusForbidden
		if code == disclosure.NotMet {
			status = http.StatusConflict
		}
		return problem(status, string(code), text.en).zh(text.zh)
	case errors.As(err, &mistake):
		zh := mistakes[mistake.Field]
		if zh == "" {
			zh = "请求内容有误。"
		}
		return problem(http.StatusUnprocessableEntity, codeUnusable, sentenceOf(mistake.Text, "")).zh(zh)
	case errors.As(err, &away):
		if away.What == disclosure.TheWarehouse { // the node says so once, and not with each read
			return problem(http.StatusServiceUnavailable, codeWarehouse, "Nothing is shown while the warehouse (ClickHouse) does not answer: residents and supervisors could not see who looked. Try again shortly; /readyz says what is missing.").
				zh("仓库（ClickHouse）无应答期间不提供任何数据：居民和监督人员届时无法看到谁查看过。请稍后重试；/readyz 说明缺少什么。")
		}
		s.log.Error("a read could not be answered", "route", routeOf(r), "error", err, "cause", away.Err)
		return problem(http.StatusServiceUnavailable, codeUnavailable, sentenceOf(away.Error(), "")+": nothing was shown. Try again shortly; /readyz says what is missing.").
			zh("服务暂不可用，未提供任何数据。请稍后重试；/readyz 说明缺少什么。")
	case errors.Is(err, context.Canceled):
		return problem(http.StatusServiceUnavailable, codeUnavailable, "The caller went away.").zh("调用方已断开。")
	}
	s.log.Error("a read could not be answered", "route", routeOf(r), "error", err)
	return problem(http.StatusServiceUnavailable, codeUnavailable, "The read cannot be answered at the moment, and nothing was shown. Try again shortly; /readyz says what is missing.").
		zh("暂时无法答复，未提供任何数据。请稍后重试；/readyz 说明缺少什么。")
}

// JSONSchemaExtend adds the codes of the sharing interface to those of the rest of the portal.
func (Problem) JSONSchemaExtend(schema *jsonschema.Schema) {
	code, ok := schema.Properties.Get("code")
	if !ok {
		return
	}
	add := func(c string) {
		for _, known := range code.Enum {
			if known == c {
				return
			}
		}
		code.Enum = append(code.Enum, c)
	}
	for _, c := range []string{codeMalformed, codeMediaType, codeTooLarge, codeTooSlow, codeKeyInURL, codeEnumeration, codeUnusable, codeWarehouse,
		callers.NoCredentials, callers.BadCredentials, callers.UsedToken, callers.PlainConnection} {
		add(c)
	}
	for _, c := range []sharing.Code{sharing.NoClerk, sharing.NoPurpose, sharing.NoCase, sharing.OtherItem, sharing.CaseNotOpen, sharing.NotOfCase, sharing.NoGrant, sharing.GrantNotLive,
		sharing.OtherPurpose, sharing.ItemNotGranted, sharing.RowsNotGranted, sharing.FieldsNotGranted, disclosure.NotMet} {
		add(string(c))
	}
}
