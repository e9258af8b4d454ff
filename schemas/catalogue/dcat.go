package catalogue

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/shirecounty/shire/schemas/contract"
)

// Publisher is whose catalogue it is.
type Publisher struct {
	Division string // six digits, GB/T 2260
	Name     contract.Text
}

// The authority tables of the European Union, which DCAT-AP takes the values from and which most readers of DCAT know.
const authority = "http://publications.europa.eu/resource/authority/"

var frequencies = map[string]string{
	"realtime": "UPDATE_CONT", "daily": "DAILY", "weekly": "WEEKLY", "monthly": "MONTHLY", "yearly": "ANNUAL", "irregular": "IRREG",
}

// accessRights by sharing type. What is shared unconditionally is shared with departments, and so is not public.
var accessRights = map[string]string{"unconditional": "RESTRICTED", "conditional": "RESTRICTED", "none": "NON_PUBLIC"}

var sharingNames = map[string]contract.Text{
	"unconditional": {Zh: "无条件共享", En: "shared between departments without conditions"},
	"conditional":   {Zh: "有条件共享", En: "shared between departments on conditions"},
	"none":          {Zh: "不予共享", En: "not shared"},
}

var context = map[string]any{
	"dcat": "http://www.w3.org/ns/dcat#", "dct": "http://purl.org/dc/terms/", "foaf": "http://xmlns.com/foaf/0.1/",
	"xsd": "http://www.w3.org/2001/XMLSchema#", "csvw": "http://www.w3.org/ns/csvw#", "vcard": "http://www.w3.org/2006/vcard/ns#",
}

// WriteDCAT writes the catalogue as JSON-LD in the vocabulary DCAT 3 (https://www.w3.org/TR/vocab-dcat-3/), with the properties
// that DCAT-AP demands. Fields are described in the vocabulary of CSV on the Web.
func (c Catalogue) WriteDCAT(to io.Writer, by Publisher) error {
	base := "urn:shire:" + by.Division
	publisher := map[string]any{"@id": base, "@type": "foaf:Agent", "foaf:name": languages(by.Name)}
	datasets := make([]any, len(c.Items))
	for k := range c.Items {
		datasets[k] = c.Items[k].dcat(base)
	}
	document := map[string]any{
		"@context": context, "@id": base + ":catalogue", "@type": "dcat:Catalog",
		"dct:title":       languages(contract.Text{Zh: by.Name.Zh + "政务信息资源目录", En: "Catalogue of government information resources of " + by.Name.En}),
		"dct:description": languages(contract.Text{Zh: "各部门可供共享的数据、负责人及共享条件，由数据契约生成。", En: "What the departments hold, who answers for it and on what conditions it is shared; made of the data contracts."}),
		"dct:publisher":   publisher, "dct:identifier": c.Hash, "dct:language": []string{"zh", "en"}, "dcat:dataset": datasets,
	}
	if c.Number > 0 {
		document["dcat:version"] = fmt.Sprint(c.Number)
	}
	if c.Since != nil {
		document["dct:modified"] = moment(*c.Since)
	}
	e := json.NewEncoder(to)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(document)
}

func (i *Item) dcat(base string) map[string]any {
	sharing := sharingNames[i.Sharing]
	columns := make([]any, len(i.Fields))
	for k, f := range i.Fields {
		column := map[string]any{"@type": "csvw:Column", "csvw:name": f.Name, "csvw:datatype": f.Type, "csvw:required": f.Required}
		if f.Title != (contract.Text{}) {
			column["csvw:title"] = languages(f.Title)
		}
		columns[k] = column
	}
	owner := map[string]any{"@id": base + ":department:" + i.Department, "@type": "foaf:Agent", "foaf:name": languages(i.Owner)}
	d := map[string]any{
		"@id": base + ":dataset:" + i.Dataset, "@type": "dcat:Dataset", "dct:identifier": i.Dataset,
		"dct:title": languages(i.Title),
		"dct:description": languages(contract.Text{
			Zh: fmt.Sprintf("%s的“%s”，含 %d 个信息项，%s。", i.Owner.Zh, i.Title.Zh, len(i.Fields), sharing.Zh),
			En: fmt.Sprintf("%s of %s: %d fields, %s.", i.Title.En, i.Owner.En, len(i.Fields), sharing.En),
		}),
		"dct:publisher": owner, "dct:creator": owner,
		"dcat:contactPoint":      map[string]any{"@type": "vcard:Organization", "vcard:fn": languages(i.Owner)},
		"dct:accrualPeriodicity": map[string]any{"@id": authority + "frequency/" + frequencies[i.UpdateCycle]},
		"dct:accessRights":       map[string]any{"@id": authority + "access-right/" + accessRights[i.Sharing], "@type": "dct:RightsStatement"},
		"dcat:version":           fmt.Sprint(i.Contract),
		"dct:conformsTo":         map[string]any{"@type": "csvw:Schema", "csvw:column": map[string]any{"@list": columns}},
	}
	if i.Ground != "" {
		d["dct:rights"] = map[string]any{"@type": "dct:RightsStatement", "dct:description": map[string]any{"@language": "zh", "@value": i.Ground}}
	}
	if i.Measured != nil && i.Measured.LastLoad != nil {
		d["dct:modified"] = moment(*i.Measured.LastLoad)
	}
	return d
}

func languages(t contract.Text) []any {
	list := []any{map[string]any{"@language": "zh", "@value": t.Zh}}
	if t.En != "" {
		list = append(list, map[string]any{"@language": "en", "@value": t.En})
	}
	return list
}

func moment(t time.Time) map[string]any {
	return map[string]any{"@type": "xsd:dateTime", "@value": t.UTC().Format(time.RFC3339)}
}
