package signon

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/shirecounty/shire/schemas/county"
)

// Refusal says why somebody is not signed in. Its sentences are for that person; Err is for the log.
type Refusal struct {
	Status int
	Code   string // stable
	En, Zh string
	Err    error
}

func (r *Refusal) Error() string {
	if r.Err != nil {
		return r.Code + ": " + r.Err.Error()
	}
	return r.Code
}

func (r *Refusal) Unwrap() error { return r.Err }

// Codes of a [Refusal].
const (
	ProviderAway   = "provider_away"   // 503
	RefusedThere   = "refused_there"   // 403: the provider's own refusal
	Unbelievable   = "unbelievable"    // 403: the provider's answer cannot be proven; which part is for the log
	NoName         = "no_name"         // 403
	NoRight        = "no_right"        // 403
	TwoDepartments = "two_departments" // 403
	StartedNowhere = "started_nowhere" // 400: of the portal: the answer is of no sign-in that this browser began
	TooLong        = "too_long"        // 400: of the portal: the sign-in began too long ago
)

// Codes are all of them.
var Codes = []string{ProviderAway, RefusedThere, Unbelievable, NoName, NoRight, TwoDepartments, StartedNowhere, TooLong}

var rightWords = map[string][2]string{
	county.MayReview:    {"review identities", "核对身份"},
	county.MayOperate:   {"operate jobs", "操作作业"},
	county.MayRequest:   {"act for a department about requests for data", "代表部门经办共享申请"},
	county.MayServe:     {"see at the window what applicants need not hand in", "在窗口查看申请人免交的材料"},
	county.MaySupervise: {"search the log of accesses", "查询访问日志"},
}

// May tells whether a person has a right, and for which department if it is for one. nil says yes.
func (p *Provider) May(who Person, right string) (department string, refusal *Refusal) {
	may := false
	departments := map[string]bool{}
	for _, name := range who.Groups {
		if g, there := p.c.Groups[name]; there && slices.Contains(g.Rights, right) {
			may = true
			if county.ForDepartment(right) {
				departments[g.Department] = true
			}
		}
	}
	words := rightWords[right]
	switch {
	case !may:
		return "", p.lacks(who, right, words)
	case len(departments) > 1:
		list := slices.Sorted(maps.Keys(departments))
		return "", &Refusal{Status: http.StatusForbidden, Code: TwoDepartments,
			En: fmt.Sprintf("Your groups make you act for several departments (%s), and one person acts for one. Ask the administrators of the provider to leave you in the groups of one department.", strings.Join(list, ", ")),
			Zh: fmt.Sprintf("您所在的组分属多个部门（%s），而一人只能代表一个部门。请联系统一身份认证管理员，只保留一个部门的组。", strings.Join(list, "、"))}
	}
	for d := range departments {
		department = d
	}
	return department, nil
}

func (p *Provider) lacks(who Person, right string, words [2]string) *Refusal {
	var groups []string
	for _, name := range slices.Sorted(maps.Keys(p.c.Groups)) {
		if slices.Contains(p.c.Groups[name].Rights, right) {
			groups = append(groups, name)
		}
	}
	r := &Refusal{Status: http.StatusForbidden, Code: NoRight,
		En: fmt.Sprintf("The provider says who you are, but none of your groups may %s here.", words[0]),
		Zh: fmt.Sprintf("统一身份认证已确认您的身份，但您所在的组没有“%s”的权限。", words[1])}
	if !who.told {
		r.En += fmt.Sprintf(" It told no groups at all: its administrators have to put the claim %s into its tokens.", p.c.GroupsClaim)
		r.Zh += fmt.Sprintf("认证方没有给出任何组：请其管理员在令牌中加入声明 %s。", p.c.GroupsClaim)
	}
	if len(groups) == 0 {
		r.En += " No group in county.yaml has this right (portal.oidc.groups); the county's data bureau can add one."
		r.Zh += "county.yaml 的 portal.oidc.groups 中没有任何组有此权限，可请县数据局添加。"
		return r
	}
	r.En += " What is missing is one of these groups: " + strings.Join(groups, ", ") + "."
	r.Zh += "缺少以下任意一个组：" + strings.Join(groups, "、") + "。"
	return r
}

func away(err error) *Refusal {
	return &Refusal{Status: http.StatusServiceUnavailable, Code: ProviderAway, Err: err,
		En: "Single sign-on cannot be used at the moment: the county's sign-on provider does not answer as it should. Local accounts still work; the log of the node says more.",
		Zh: "统一身份认证暂时无法使用：认证方没有正常应答。本地账户仍可登录；详见节点日志。"}
}

func unbelievable(format string, args ...any) *Refusal {
	return &Refusal{Status: http.StatusForbidden, Code: Unbelievable, Err: fmt.Errorf(format, args...),
		En: "What came back from the provider could not be proven, so nobody was signed in. Start again; if it happens again, the log of the node says which part is wrong.",
		Zh: "认证方返回的内容未能通过校验，因此未登录。请重新登录；若再次出现，节点日志中有具体原因。"}
}

// refusedThere repeats the provider's error code where it is one of the specification's: anything may stand in an address.
func refusedThere(code string) *Refusal {
	if !slices.Contains([]string{"access_denied", "login_required", "interaction_required", "account_selection_required", "consent_required",
		"server_error", "temporarily_unavailable", "invalid_scope", "invalid_request", "unauthorized_client", "unsupported_response_type"}, code) {
		code = "error"
	}
	return &Refusal{Status: http.StatusForbidden, Code: RefusedThere, Err: fmt.Errorf("the provider says %s", code),
		En: "The provider did not sign you in (" + code + "). Try again, or ask its administrators.",
		Zh: "认证方未让您登录（" + code + "）。请重试，或联系认证方管理员。"}
}

func nameless(claim string) *Refusal {
	return &Refusal{Status: http.StatusForbidden, Code: NoName, Err: fmt.Errorf("the claim %s is no name", claim),
		En: "The provider gives no name that you could act under here: the claim " + claim + " is missing, or holds other characters than letters, digits, spaces and . _ @ - ' ·. Ask its administrators.",
		Zh: "认证方没有给出可用的姓名：声明 " + claim + " 缺失，或含有字母、数字、空格和 . _ @ - ' · 以外的字符。请联系认证方管理员。"}
}
