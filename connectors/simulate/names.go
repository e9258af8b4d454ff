package simulate

import (
	"strings"
)

// The name tables below were written for this simulator; they are no copy of a published list. The shares of the
// first surnames follow what is commonly known about their frequency, the rest fall off smoothly.

// surnames in order of frequency; the first hundred are borne by 86% of the people.
var surnames = strings.Fields(`
王 李 张 刘 陈 杨 赵 黄 周 吴 徐 孙 胡 朱 高 林 何 郭 马 罗
梁 宋 郑 谢 韩 唐 冯 于 董 萧 程 曹 袁 邓 许 傅 沈 曾 彭 吕
苏 卢 蒋 蔡 贾 丁 魏 薛 叶 阎 余 潘 杜 戴 夏 钟 汪 田 任 姜
范 方 石 姚 谭 廖 邹 熊 金 陆 郝 孔 白 崔 康 毛 邱 秦 江 史
顾 侯 邵 孟 龙 万 段 雷 钱 汤 尹 黎 易 常 武 乔 贺 赖 龚 文
庞 樊 兰 殷 施 陶 洪 翟 安 颜 倪 严 牛 温 芦 季 俞 章 鲁 葛
伍 韦 申 尤 毕 聂 丛 焦 向 柳 邢 路 岳 齐 沿 梅 莫 庄 辛 管
祝 左 涂 谷 祁 时 舒 耿 牟 卜 詹 关 苗 凌 费 纪 靳 盛 童 欧
欧阳 上官 诸葛 司徒 皇甫 慕容 尉迟 纥骨`)

// surnameShare is the share of each surname in percent.
var surnameShare = func() []float64 {
	first := []float64{7.2, 7.1, 6.8, 5.4, 4.5, 3.1, 2.3, 2.2, 2.1, 2.0, 1.7, 1.5, 1.3, 1.3, 1.2, 1.2, 1.1, 1.1, 1.1, 1.0}
	share := make([]float64, len(surnames))
	copy(share, first)
	sum := 0.0
	for _, s := range first {
		sum += s
	}
	fall := func(from, to int, total float64) {
		weight := 0.0
		for i := from; i < to; i++ {
			share[i] = 1 / float64(i-from+30)
			weight += share[i]
		}
		for i := from; i < to; i++ {
			share[i] *= total / weight
		}
	}
	fall(len(first), 100, 86-sum)
	fall(100, len(share), 14)
	return share
}()

// surnameAt finds a surname by a number in [0,1).
var surnameAt = func() func(u float64) string {
	ends, sum := make([]float64, len(surnames)), 0.0
	for i, s := range surnameShare {
		sum += s
		ends[i] = sum
	}
	return func(u float64) string {
		u *= sum
		low, high := 0, len(ends)-1
		for low < high {
			if m := (low + high) / 2; ends[m] > u {
				high = m
			} else {
				low = m + 1
			}
		}
		return surnames[low]
	}
}()

// A fashion in given names: the characters in order of frequency, and the share of given names of one character.
type fashion struct {
	until  int // last year of birth
	male   []rune
	female []rune
	single float64
}

var fashions = []fashion{
	{1959, []rune("德明国富根贵福生荣昌金水树林文良清万永发全保成有长庆忠寿祥"), []rune("秀英兰珍桂花玉凤梅香莲素云金月翠菊仙芬银巧彩妹招凤娥珠爱春"), .12},
	{1979, []rune("建国军明华强伟平志勇卫东民文海新春红永胜跃斌兵刚峰林根树来"), []rune("丽芳红敏秀英华玲霞萍燕梅云艳娟琴美春兰珍凤菊莉爱琼慧群小玉"), .28},
	{1999, []rune("伟杰磊超鹏涛俊波浩斌飞宇强健辉凯鑫亮旭勇龙晓海峰翔佳志成文"), []rune("静婷雪丹娜倩莉敏燕丽晓佳琳颖洁莹慧欣媛蕾薇玲琼晶璐茜怡萌雯"), .38},
	{2100, []rune("宇轩浩子泽梓睿奕辰博文俊铭涵逸晨皓天一嘉煜昊航霖沐景瑞安乐"), []rune("梓涵欣怡诗雨萱可馨子琪梦语瑶若彤依诺婉晴芷沐思悦佳伊妍一朵"), .10},
}

// rare are characters beyond the basic block (plane 2, four bytes in GB18030 and UTF-8) that old systems lose.
var rare = []rune{0x20BB7, 0x23C98, 0x24F5C, 0x25A54, 0x2A6A5, 0x2B5AF, 0x2CB73}

// Parts of names of the minorities of the west, with the separator U+00B7.
var (
	minorityGiven  = strings.Fields(`阿依古丽 古丽娜尔 买合木提 艾尼瓦尔 努尔兰 帕提古丽 吐尔逊 热依汗 卓玛拉姆 扎西顿珠 迪丽拜尔 叶尔波力`)
	minorityFather = strings.Fields(`买买提 艾力 吐拉克 阿不都拉 居马 玉素甫 哈力克 巴图 赛买提 托合提`)
)

// givenName draws a given name of the fashion of the year of birth.
func givenName(d *dice, year int, male bool) string {
	f := fashions[0]
	for _, g := range fashions {
		if f = g; year <= g.until {
			break
		}
	}
	letters := f.female
	if male {
		letters = f.male
	}
	n := 2
	if d.chance(f.single) {
		n = 1
	}
	name := make([]rune, n)
	for i := range name {
		name[i] = letters[d.skewed(len(letters))]
	}
	if d.chance(.008) {
		name[n-1] = rare[d.IntN(len(rare))]
	}
	return string(name)
}

// fullName joins surname and given name, and avoids names that are words of the county's own open texts: those would
// make every search for a leaked name find an item of the catalogue.
func fullName(d *dice, surname string, year int, male bool) string {
	for {
		name := surname + givenName(d, year, male)
		if !strings.Contains(openTexts, name) {
			return name
		}
	}
}

func minorityName(d *dice) string {
	return minorityGiven[d.IntN(len(minorityGiven))] + "·" + minorityFather[d.IntN(len(minorityFather))]
}
