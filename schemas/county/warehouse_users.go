package county

// WarehouseUser lets a department read in ClickHouse, in bulk, what it is granted and is not personal (docs/protection.md).
type WarehouseUser struct {
	Department string `yaml:"department" json:"department" jsonschema:"required,description=Code of the department"`
	Password   Secret `yaml:"password,omitempty" json:"password,omitempty" jsonschema:"description=Made in the data directory when absent"`
}

// WarehouseDepartments are the departments that have a user of the warehouse.
func (s Sharing) WarehouseDepartments() (departments []string) {
	for _, u := range s.WarehouseUsers {
		departments = append(departments, u.Department)
	}
	return departments
}

func (c *Config) proveWarehouseUsers(fail func(path, do, format string, args ...any)) {
	seen := map[string]bool{}
	for _, u := range c.Sharing.WarehouseUsers {
		switch {
		case !sourceShape.MatchString(u.Department): // the name of a user and of a database is made of it
			fail("$.sharing.warehouse_users", "write the department's code: lower-case letters, digits and _, beginning with a letter", "%q is not the code of a department that can have a user of the warehouse", u.Department)
		case seen[u.Department]:
			fail("$.sharing.warehouse_users", "keep one of them", "the department %s stands there twice", u.Department)
		}
		seen[u.Department] = true
	}
}
