package change

// Drift is a way in which the source's columns differ from those that were accepted for the dataset before. The changes of
// a batch carry it when the contract does not let them through as they are; it is decided when they are published and
// travels with them, so that whoever reads them again finds the same (I3).
type Drift struct {
	Code   string `json:"code"` // NewColumn, LostColumn, ChangedType
	Column string `json:"column"`
	Was    string `json:"was,omitempty"` // types in the source's own words, with ChangedType
	Is     string `json:"is,omitempty"`
}

// Codes of a Drift. They are the reasons under which its rows wait in quarantine.
const (
	NewColumn   = "drift_new_column"
	LostColumn  = "drift_lost_column"
	ChangedType = "drift_changed_type"
)
