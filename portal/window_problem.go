package portal

import (
	"errors"
	"net/http"
	"strings"

	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/schemas/sharing"
)

// What is said at the window where the sharing interface speaks to programs. The codes are the same.

// windowDenials say what policy refuses, and what a clerk can do. They quote nothing (I7).
var windowDenials = map[sharing.Code]sentence{
	sharing.NoPurpose: {"The purpose for which this page looks is not one of the county's any more. Ask the county's data bureau.", "本页面的查询用途已不在本县用途之列，请联系县数据局。"},
	sharing.NoCase: {"Your department has no case of this number. Check the number; a case that was only just opened is known here a moment later.",
		"贵部门没有该编号的办件。请核对办件编号；刚刚受理的办件稍后才能查到。"},
	sharing.OtherItem:   {"The case is of another service item. Choose the item of the case.", "该办件属于其他事项，请选择办件对应的事项。"},
	sharing.CaseNotOpen: {"The case is closed, or not open yet. Data is shared for open cases alone.", "该办件已办结或尚未受理。数据只为在办办件共享。"},
	sharing.NotOfCase: {"This is not the number of the case's applicant. Check the number on the applicant's card, and the case number.",
		"该号码不是本办件申请人的公民身份号码。请核对申请人证件上的号码和办件编号。"},
	sharing.NoGrant:   {"Your department has no live grant that shows this material any more. Ask for it on paper.", "贵部门已没有可证明该材料的有效授权，请收取纸质材料。"},
	disclosure.NotMet: {"The material is not met any more: what it was met with has changed. Look again.", "该材料已不再满足（原依据已变化），请重新查询。"},
}

// windowMistakes say what of a clerk's question is wrong.
var windowMistakes = map[string]sentence{
	"attributes": {"This is no valid citizen number: 18 characters, the last of which is computed from the others. Check each digit.", "公民身份号码无效：应为 18 位，末位为校验码。请逐位核对。"},
	"materials": {"The county's list of service items does not say what this item needs, or does not know one of the materials. Ask the county's data bureau.",
		"县事项清单未列明该事项所需材料，或不含所选材料。请联系县数据局。"},
	"case": {"The case number is too long: at most 100 bytes.", "办件编号过长（至多 100 字节）。"},
}

// windowAway says what cannot be used now, by how the desk's errors begin.
var windowAway = []struct {
	what string
	sentence
}{
	{"what the departments hold", sentence{"What the departments hold has not come in here as far as it has to, so that nothing is shown. Try again in a minute; until then ask for the papers.",
		"各部门数据尚未同步到位，因此暂不提供。请一分钟后再试；在此之前请收取纸质材料。"}},
	{"the grants", sentence{"Which grants are in force cannot be read at the moment, so that nothing is shown. Try again shortly; until then ask for the papers.",
		"暂时读不到授权情况，因此不予提供。请稍后再试；在此之前请收取纸质材料。"}},
	{"the log of accesses", sentence{"Each look is written down first, and the log cannot be written at the moment. So nothing is shown. Try again shortly; until then ask for the papers.",
		"查询必须先留痕，而访问日志暂时写不进去，因此不予提供。请稍后再试；在此之前请收取纸质材料。"}},
	{disclosure.TheWarehouse, sentence{"ClickHouse, where residents and supervisors see who looked, does not answer, so that nothing is shown. Try again in a minute; until then ask for the papers.",
		"居民和监督人员查询访问记录所用的 ClickHouse 没有应答，因此暂不提供。请一分钟后再试；在此之前请收取纸质材料。"}},
	{"the records", sentence{"The records to share cannot be read at the moment. Try again shortly; until then ask for the papers.", "暂时读不到共享数据。请稍后再试；在此之前请收取纸质材料。"}},
	{"the bus", sentence{"What you decided could not be written down for good: the message bus does not answer. Look again before you decide once more.",
		"您的处理未能保存：消息总线没有应答。请重新查询后再处理。"}},
}

// problem is what a clerk's question failed with, in words for a clerk.
func (d *windowDesk) problem(r *http.Request, err error) *Problem {
	out := d.share.problem(r, err) // and what the log has to have of it
	say := func(s sentence) *Problem {
		out.Detail, out.DetailZh = s.en, s.zh
		return out
	}
	var (
		denied  *disclosure.Denied
		mistake *disclosure.Mistake
		away    *disclosure.Unavailable
		stop    *stopError
	)
	switch {
	case errors.As(err, &stop):
		wait := stop.seconds()
		return say(sentence{"You asked for more people than a window sees, or missed too often, and were stopped. Nothing is shown to you for " + wait + " s more.",
			"您查询的人数超出正常办件所需，或未命中过多，已被暂停。" + wait + " 秒内不再提供任何数据。"})
	case errors.As(err, &denied):
		if s, ok := windowDenials[sharing.Code(out.Code)]; ok {
			return say(s)
		}
	case errors.As(err, &mistake):
		if s, ok := windowMistakes[mistake.Field]; ok {
			return say(s)
		}
	case errors.As(err, &away):
		for _, a := range windowAway {
			if strings.HasPrefix(away.What, a.what) {
				return say(a.sentence)
			}
		}
	}
	return out
}
