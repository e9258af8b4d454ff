package canonical

// sealed are the columns of each restricted table that name somebody, or say where somebody can be found.
var sealed = map[string][]string{
	"person_records":       {"name", "id_number", "phone", "address", "household"},
	"organisation_records": {"name", "organisation_code", "phone", "address"},
	"verdicts":             {"reviewer", "reason"},
}

// Sealed are the columns of which the warehouse keeps no value in the clear, in the order in which they are sealed together:
// all of type Text. A new one is appended, since what lies sealed is told apart by its place.
func (t *Table) Sealed() []string { return sealed[t.Name] }
