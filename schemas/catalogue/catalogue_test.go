package catalogue_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"
	"pgregory.net/rapid"

	"github.com/shirecounty/shire/schemas/catalogue"
	"github.com/shirecounty/shire/schemas/contract"
)

func contracts() contract.Set {
	return contract.Set{
		"residents": {Name: "residents", Department: "police", Owner: contract.Owner{Zh: "公安局", En: "Police"}, Title: contract.Text{Zh: "人口", En: "Residents"}, Version: 3, UpdateCycle: "daily",
			Key: []string{"number"}, Sharing: contract.Sharing{Type: "conditional"},
			Fields: []contract.Field{
				{Name: "number", Type: "citizen_id", Required: true, Sensitivity: contract.Personal},
				{Name: "crime", Type: "text", Sensitivity: contract.Sensitive, Sharing: "none"},
			}},
		"parks": {Name: "parks", Department: "city", Owner: contract.Owner{Zh: "城管局", En: "City"}, Title: contract.Text{Zh: "=公园", En: "+Parks"}, Version: 1,
			Sharing: contract.Sharing{Type: "none", Ground: "第九条"}, Fields: []contract.Field{{Name: "name", Type: "text", Sensitivity: contract.Open, Title: contract.Text{Zh: "名称", En: "Name"}}}},
	}
}

func TestOf(t *testing.T) {
	c := catalogue.Of(contracts())
	if c.Count != 2 || c.Items[0].Dataset != "parks" || c.Items[0].UpdateCycle != "irregular" || c.Items[0].Sensitivity != "open" {
		t.Fatalf("%+v", c)
	}
	r := c.Items[1]
	if r.Sensitivity != "sensitive" || r.Fields[0].Sharing != "conditional" || r.Fields[1].Sharing != "none" || !r.Fields[0].Key || r.Fields[1].Key {
		t.Fatalf("%+v", r)
	}
}

// Whatever in a contract the catalogue tells of gives another version; what was measured gives none.
func TestVersions(t *testing.T) {
	was := catalogue.Of(contracts()).Hash
	for name, change := range map[string]func(contract.Set){
		"title":       func(s contract.Set) { s["parks"].Title.En = "Gardens" },
		"owner":       func(s contract.Set) { s["parks"].Owner.Zh = "园林局" },
		"field":       func(s contract.Set) { s["parks"].Fields[0].Name = "title" },
		"sensitivity": func(s contract.Set) { s["residents"].Fields[0].Sensitivity = contract.Sensitive },
		"sharing":     func(s contract.Set) { s["residents"].Fields[1].Sharing = "conditional" },
		"ground":      func(s contract.Set) { s["parks"].Sharing.Ground = "第十条" },
		"cycle":       func(s contract.Set) { s["parks"].UpdateCycle = "weekly" },
		"version":     func(s contract.Set) { s["parks"].Version++ },
		"less":        func(s contract.Set) { delete(s, "parks") },
	} {
		set := contracts()
		change(set)
		if catalogue.Of(set).Hash == was {
			t.Errorf("%s: the same version", name)
		}
	}
	c := catalogue.Of(contracts())
	c.Measure(map[string]catalogue.Measured{"parks": {Rows: 3, Quarantined: 1}})
	text, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := catalogue.Decode(c.Version, text)
	if err != nil || !reflect.DeepEqual(back, c) {
		t.Fatalf("%v %+v", err, back)
	}
	if _, err := catalogue.Decode(c.Version, bytes.Replace(text, []byte("conditional"), []byte("unconditional"), 1)); err == nil {
		t.Fatal("a version that was changed was taken")
	}
	if m := c.Items[0].Measured; m.Share == nil || *m.Share != .25 || c.Items[1].Measured.Share != nil {
		t.Fatalf("%+v", m)
	}
}

// A file has every item, and no cell that a spreadsheet would run.
func TestTables(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set := contracts()
		words := rapid.StringMatching(`[ =+@＝＋－＠\t",\n一a-]{0,6}`)
		set["parks"].Title.Zh, set["parks"].Owner.En, set["parks"].Sharing.Ground = words.Draw(t, "title"), words.Draw(t, "owner"), words.Draw(t, "ground")
		c := catalogue.Of(set)
		c.Measure(nil)
		var out bytes.Buffer
		if err := c.WriteCSV(&out); err != nil {
			t.Fatal(err)
		}
		text, marked := strings.CutPrefix(out.String(), "\ufeff")
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil || !marked || len(rows) != 3 {
			t.Fatalf("%v %q", err, rows)
		}
		for _, cell := range slices.Concat(rows...) {
			if first := strings.TrimLeft(cell, " "); first != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", []rune(first)[0]) {
				t.Fatalf("a spreadsheet would run %q", cell)
			}
		}
	})
	c := catalogue.Of(contracts())
	c.Measure(map[string]catalogue.Measured{"parks": {Rows: 3, Quarantined: 1}})
	var out bytes.Buffer
	if err := c.WriteXLSX(&out); err != nil {
		t.Fatal(err)
	}
	book, err := excelize.OpenReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	sheets := book.GetSheetList()
	if len(sheets) != 2 {
		t.Fatal(sheets)
	}
	items, err := book.GetRows(sheets[0])
	if err != nil || len(items) != 3 || items[1][1] != "=公园" || items[1][13] != "3" || items[1][15] != "0.25" || items[2][0] != "residents" {
		t.Fatalf("%v %q", err, items)
	}
	fields, err := book.GetRows(sheets[1])
	if err != nil || len(fields) != 4 || fields[2][1] != "number" || fields[2][5] != "1" {
		t.Fatalf("%v %q", err, fields)
	}
	for _, sheet := range sheets {
		for r := range 4 {
			for col := range 16 {
				name, _ := excelize.CoordinatesToCellName(col+1, r+1)
				if formula, err := book.GetCellFormula(sheet, name); err != nil || formula != "" {
					t.Fatalf("%s of %s is the formula %q (%v)", name, sheet, formula, err)
				}
			}
		}
	}
}

// DCAT-AP's mandatory properties: of a catalogue title, description, publisher and datasets; of a dataset title and description;
// of an agent a name. References are IRIs, and literals say their language.
func TestDCAT(t *testing.T) {
	c := catalogue.Of(contracts())
	at := time.Date(2026, 3, 2, 4, 5, 6, 0, time.UTC)
	c.Number, c.Since = 7, &at
	c.Measure(map[string]catalogue.Measured{"parks": {Rows: 3, LastLoad: &at}})
	var out bytes.Buffer
	if err := c.WriteDCAT(&out, catalogue.Publisher{Division: "339921", Name: contract.Text{Zh: "澄溪县", En: "Chengxi County"}}); err != nil {
		t.Fatal(err)
	}
	var d map[string]any
	if err := json.Unmarshal(out.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	need := map[string][]string{
		"dcat:Catalog": {"@id", "dct:title", "dct:description", "dct:publisher", "dcat:dataset"},
		"dcat:Dataset": {"@id", "dct:title", "dct:description", "dct:accessRights", "dct:accrualPeriodicity", "dct:publisher"},
		"foaf:Agent":   {"@id", "foaf:name"}, "dct:RightsStatement": nil, "csvw:Schema": {"csvw:column"}, "csvw:Column": {"csvw:name"}, "vcard:Organization": {"vcard:fn"},
		"xsd:dateTime": {"@value"},
	}
	prefixes, _ := d["@context"].(map[string]any)
	delete(d, "@context")
	seen := map[string]int{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case []any:
			if len(v) == 0 {
				t.Errorf("%s is empty", path)
			}
			for _, e := range v {
				walk(path, e)
			}
		case map[string]any:
			if kind, ok := v["@type"].(string); ok {
				seen[kind]++
				properties, known := need[kind]
				if !known {
					t.Errorf("%s: class %s", path, kind)
				}
				for _, p := range properties {
					if v[p] == nil {
						t.Errorf("%s: a %s without %s", path, kind, p)
					}
				}
			}
			if _, literal := v["@language"]; literal && v["@value"] == "" {
				t.Errorf("%s: an empty literal", path)
			}
			for name, e := range v {
				if prefix, _, ok := strings.Cut(name, ":"); !strings.HasPrefix(name, "@") && (!ok || prefixes[prefix] == nil) {
					t.Errorf("%s: %s is of no vocabulary", path, name)
				}
				if id, ok := e.(string); name == "@id" && (!ok || !strings.HasPrefix(id, "urn:shire:339921") && !strings.HasPrefix(id, "http://publications.europa.eu/resource/authority/") || strings.HasSuffix(id, "/")) {
					t.Errorf("%s: %v is no IRI of ours", path, e)
				}
				walk(path+"/"+name, e)
			}
		}
	}
	walk("", d)
	if seen["dcat:Catalog"] != 1 || seen["dcat:Dataset"] != 2 || seen["csvw:Column"] != 3 || d["dcat:version"] != "7" {
		t.Fatal(seen)
	}
}
