package simulate_test

import (
	"bytes"
	"encoding/csv"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/shirecounty/shire/connectors/simulate"
)

func personsFile(t *testing.T, o simulate.PersonsOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := simulate.WritePersons(&b, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPersonsFileIsDeterministic(t *testing.T) {
	o := simulate.PersonsOptions{Records: 2000, Seed: 3, Defects: simulate.DefaultPersonDefects()}
	one := personsFile(t, o)
	if !bytes.Equal(one, personsFile(t, o)) {
		t.Error("the same options give another file")
	}
	o.Seed = 4
	if bytes.Equal(one, personsFile(t, o)) {
		t.Error("another seed gives the same file")
	}
	if err := simulate.WritePersons(&bytes.Buffer{}, simulate.PersonsOptions{Records: 99}); err == nil {
		t.Error("a file of 99 records is written")
	}
}

func TestPersonsFileKeepsItsPromises(t *testing.T) {
	const records = 60_000
	rows, err := csv.NewReader(bytes.NewReader(personsFile(t, simulate.PersonsOptions{Records: records, Defects: simulate.DefaultPersonDefects()}))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Split("rid,source,name,sex,birth_date,id_number,phone,address,ent", ","); !slices.Equal(rows[0], want) {
		t.Fatalf("the columns are %v, and should be %v", rows[0], want)
	}
	rows = rows[1:]
	if len(rows) != records {
		t.Fatalf("the file has %d records, and %d were asked for", len(rows), records)
	}
	count := map[string]float64{}
	ids, people, sources := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, r := range rows {
		ids[r[0]], people[r[8]], sources[r[1]] = true, true, true
		if r[5] == "" {
			count["no number"]++
		} else if strings.Trim(r[5], "01无不详待补") == "" {
			count["a placeholder"]++
		}
		for what, column := range map[string]int{"no name": 2, "no sex": 3, "no birth date": 4, "no telephone": 6, "no address": 7} {
			if r[column] == "" {
				count[what]++
			}
		}
		if !strings.Contains(r[7], "澄溪县") {
			count["a short address"]++
		}
	}
	if len(ids) != records || len(sources) != 6 {
		t.Errorf("the file has %d different record numbers and %d sources", len(ids), len(sources))
	}
	if perPerson := float64(records) / float64(len(people)); perPerson < 2.7 || perPerson > 3.2 {
		t.Errorf("a person has %.2f records", perPerson)
	}
	d := simulate.DefaultPersonDefects()
	for what, rate := range map[string]float64{
		"no number": d.NumberAbsent, "a placeholder": d.NumberPlaceholder * (1 - d.NumberAbsent), "no birth date": d.BirthMissing, "a short address": d.ShortAddress,
		"no name": 0, "no sex": 0, "no address": 0, "no telephone": d.PhoneMissing,
	} {
		got := count[what] / records
		if rate == 0 && got != 0 || math.Abs(got-rate) > .15*rate+.002 {
			t.Errorf("a share of %.4f of the records has %s; it should be %.4f", got, what, rate)
		}
	}
}
