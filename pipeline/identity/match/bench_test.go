package match_test

import (
	"testing"

	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/schemas/identity"
)

// BenchmarkScore weighs pairs as a county's blocks give them, by the shipped model for persons: as it is, and when it knows
// how reliable the sources are.
func BenchmarkScore(b *testing.B) {
	spec, err := identity.Shipped("person")
	if err != nil {
		b.Fatal(err)
	}
	reliable := *spec
	parameters := *spec.Parameters
	parameters.Reliability = map[string]map[string]float64{}
	for _, c := range spec.Comparisons {
		parameters.Reliability[c.Name] = map[string]float64{"police": .99, "hospital": .95, "hall": .9, "school": .8}
	}
	reliable.Parameters = &parameters
	for name, s := range map[string]*identity.Model{"as shipped": spec, "by source": &reliable} {
		b.Run(name, func(b *testing.B) {
			m, err := match.Compile(s)
			if err != nil {
				b.Fatal(err)
			}
			var records []match.Record
			for _, values := range [][]string{
				{"陈静雯", "110105194912310038", "女", "1949-12-31", "13812345678", "澄溪县石塘镇上湾村3组12号", "police"},
				{"陈静雯", "", "女", "1949-12-31", "13812345678", "澄溪县石塘镇上湾村3组", "school"},
				{"陈静文", "110105194912310038", "女", "19491231", "", "澄溪县白沙镇下湾村1组2号", "hospital"},
				{"陈建国", "", "男", "1950-01-31", "13812345678", "澄溪县石塘镇上湾村3组12号", "hall"},
			} {
				records = append(records, m.Prepare(values))
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				m.Score(records[i&3], records[(i>>2)&3])
			}
		})
	}
}
