package simulate

import "fmt"

// The county does not exist. GB/T 2260 never had a prefecture 99 in any province, so no citizen number that begins with
// one of these regions was ever issued to a living person, and yet all of them pass every check a real one passes.
// A county that was abolished would not do: its people keep their numbers.
const (
	division = "339921"
	nameZh   = "澄溪县"
	nameEn   = "Chengxi County"
)

// elsewhere are the regions that issued the numbers of people who moved here.
var elsewhere = []string{"339922", "339923", "349921", "359925", "369922", "419921", "439927", "519923", "529924"}

// mobile prefixes that, as far as is known, were never given to subscribers; nobody can be rung up by mistake.
var mobilePrefixes = []string{"142", "143", "154", "160", "161", "163", "164", "168", "169"}

// areaCode is one that no place has.
const areaCode = "0590"

type village struct {
	township int
	code     string // 12 digits, GB/T 10114
	name     string
	phone    string // the village office's telephone, which stands in for many people's
}

type township struct {
	code string // 9 digits
	name string
}

var townships = []township{
	{division + "001", "澄江街道"}, {division + "002", "溪南街道"}, {division + "003", "桥东街道"},
	{division + "100", "石塘镇"}, {division + "101", "枫林镇"}, {division + "102", "白沙镇"}, {division + "103", "云岭镇"},
	{division + "104", "清源镇"}, {division + "105", "双溪镇"}, {division + "200", "竹坑乡"}, {division + "201", "大坪乡"}, {division + "202", "梅岭乡"},
}

var villages = func() []village {
	fronts := []string{"上", "下", "东", "西", "新", "老", "大", "小"}
	backs := []string{"湾", "塘", "坪", "岙", "垄", "店", "桥", "埠", "源", "畈", "坞", "渡"}
	var all []village
	for t, ts := range townships {
		kind, first := "村", 201
		if t < 3 {
			kind, first = "社区", 1
		}
		for i, front := range fronts {
			all = append(all, village{
				township: t,
				code:     fmt.Sprintf("%s%03d", ts.code, first+i),
				name:     front + backs[(t*5+i*7)%len(backs)] + kind,
				phone:    fmt.Sprintf("%s%07d", areaCode, 6_100_000+t*1000+i),
			})
		}
	}
	return all
}()

// address writes where a household lives; house makes it differ between the households of a village.
func address(v int, house uint64) string {
	vi := &villages[v]
	ts := &townships[vi.township]
	if vi.township < 3 {
		return fmt.Sprintf("%s%s%s%d幢%d单元%d室", nameZh, ts.name, vi.name, house%40+1, house/40%4+1, (house/160%6+1)*100+house/960%4+1)
	}
	return fmt.Sprintf("%s%s%s%d组%d号", nameZh, ts.name, vi.name, house%12+1, house/12%90+1)
}
