package portal

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/shirecounty/shire/schemas/catalogue"
	"github.com/shirecounty/shire/schemas/contract"
)

// Catalogue tells what the county can share.
type Catalogue interface {
	// Catalogue is the one in use, with what was measured of each item.
	Catalogue(ctx context.Context) (catalogue.Catalogue, error)
	// CatalogueAt is an earlier version. The error is ErrUnknown when there is none of this number.
	CatalogueAt(ctx context.Context, number uint32) (catalogue.Catalogue, error)
	// CatalogueVersions are the versions, the newest first.
	CatalogueVersions(ctx context.Context, most int) ([]catalogue.Version, error)
}

const (
	mostVersions   = 200
	numberPattern  = `^[1-9][0-9]{0,8}$`
	catalogueWords = "The catalogue"
)

var catalogueFormats = map[string]string{
	"json": "application/json",
	"csv":  "text/csv; charset=utf-8",
	"xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	"dcat": "application/ld+json",
}

func (p *Portal) catalogueRoutes() []route {
	return []route{
		{
			Path: "/api/v1/catalogue", ID: "catalogue", Summary: "What the county can share: items, fields, owners, conditions, freshness and quality as measured",
			Parameters: []parameter{
				{Name: "format", In: "query", Enum: []string{"json", "csv", "xlsx", "dcat"}, Description: "json when left out; dcat is JSON-LD in the vocabulary DCAT 3"},
				{Name: "version", In: "query", Pattern: numberPattern, Description: "An earlier version, which is not measured; the one in use when left out"},
			},
			Result: catalogue.Catalogue{}, MediaTypes: []string{"application/json", "text/csv", catalogueFormats["xlsx"], "application/ld+json"},
			Problems: []int{400, 404, 503}, handle: p.catalogue,
		},
		{
			Path: "/api/v1/catalogue/versions", ID: "catalogueVersions", Summary: "The versions of the catalogue, the newest first; at most 200",
			Result: []catalogue.Version{}, Problems: []int{503}, handle: p.catalogueVersions,
		},
	}
}

func (p *Portal) catalogue(w http.ResponseWriter, r *http.Request) {
	format, number := "json", uint64(0)
	for name, list := range r.URL.Query() {
		var err error
		switch {
		case len(list) != 1:
			err = errors.New("given twice")
		case name == "format" && catalogueFormats[list[0]] != "":
			format = list[0]
		case name == "version":
			if number, err = strconv.ParseUint(list[0], 10, 32); number == 0 {
				err = errors.New("no number")
			}
		default:
			err = errors.New("not known")
		}
		if err != nil {
			badParameter("format may be json, csv, xlsx or dcat, and version is a number of /api/v1/catalogue/versions; each is given once.").
				zh("format 可为 json、csv、xlsx 或 dcat，version 为 /api/v1/catalogue/versions 中的版本号，各给一次。").write(w)
			return
		}
	}
	var c catalogue.Catalogue
	var err error
	if number > 0 {
		c, err = p.o.Catalogue.CatalogueAt(r.Context(), uint32(number))
	} else {
		c, err = p.o.Catalogue.Catalogue(r.Context())
	}
	if errors.Is(err, ErrUnknown) {
		problem(http.StatusNotFound, codeNoVersion, "The catalogue has no version of this number; /api/v1/catalogue/versions lists them.").
			zh("目录没有这个版本号，/api/v1/catalogue/versions 列出全部版本。").write(w)
		return
	}
	if err != nil {
		p.unavailable(w, r, catalogueWords, err)
		return
	}
	if format == "json" {
		reply(w, r, c)
		return
	}
	var body bytes.Buffer
	switch format {
	case "csv":
		err = c.WriteCSV(&body)
	case "xlsx":
		err = c.WriteXLSX(&body)
	case "dcat":
		err = c.WriteDCAT(&body, catalogue.Publisher{Division: p.o.County.Division, Name: contract.Text{Zh: p.o.County.NameZh, En: p.o.County.NameEn}})
	}
	if err != nil {
		p.unavailable(w, r, catalogueWords, err)
		return
	}
	ending := map[string]string{"dcat": "jsonld"}[format]
	if ending == "" {
		ending = format
	}
	w.Header().Set("Content-Disposition", `attachment; filename="catalogue_`+p.o.County.Division+`_v`+strconv.FormatUint(uint64(c.Number), 10)+`.`+ending+`"`)
	send(w, r, catalogueFormats[format], body.Bytes())
}

func (p *Portal) catalogueVersions(w http.ResponseWriter, r *http.Request) {
	list, err := p.o.Catalogue.CatalogueVersions(r.Context(), mostVersions)
	if err != nil {
		p.unavailable(w, r, catalogueWords, err)
		return
	}
	reply(w, r, orEmpty(slices.Clip(list)))
}
