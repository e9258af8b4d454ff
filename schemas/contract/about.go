package contract

import "github.com/shirecounty/shire/schemas/canonical"

// AboutSomebody tells whether records of the dataset are about persons or organisations: one of its rows becomes a mention of
// them, or one of its fields is personal.
func (d *Dataset) AboutSomebody() bool {
	for i := range d.Fields {
		if d.Fields[i].IsPersonal() {
			return true
		}
	}
	for _, e := range d.Emits {
		if t, ok := canonical.Lookup(e.Table); ok && (t.Mention == canonical.PersonMention || t.Mention == canonical.OrganisationMention) {
			return true
		}
	}
	return false
}

// Applicants are the roles of those whose case a row of the dataset is; empty when its rows are no cases.
func (d *Dataset) Applicants() (person, organisation string) {
	for _, e := range d.Emits {
		if e.Table == "cases" {
			return e.Person, e.Organisation
		}
	}
	return "", ""
}
