package main

import (
	"context"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/schemas/clickhouse"
)

// departmentUsers are the departments' own users of the embedded warehouse. On an external one, an administrator makes them:
// see shire doctor --access.
func (a *app) departmentUsers(s *setup) ([]embedded.User, error) {
	if s.config.Engines.ClickHouse.Address != "" {
		return nil, nil
	}
	var users []embedded.User
	for i, u := range clickhouse.DepartmentUsers(s.config.Sharing.WarehouseDepartments()) {
		password, err := s.config.Sharing.WarehouseUsers[i].Password.Reveal()
		if err != nil {
			return nil, inputf("the password of the warehouse user of %s cannot be read: %v", s.config.Sharing.WarehouseUsers[i].Department, err)
		}
		if password == "" {
			secrets, err := embedded.LoadOrCreateSecrets(a.data, u.Name)
			if err != nil {
				return nil, err
			}
			password = secrets[u.Name]
		}
		users = append(users, embedded.User{Name: u.Name, Password: password, Readonly: u.Readonly, Settings: u.Settings, Grants: u.Grants})
	}
	return users, nil
}

// keepGranted has the departments' own users read what they are granted, and nothing else, until ctx ends. It runs where no
// department has one as well: what one could read that had one is taken away.
func (n *node) keepGranted(ctx context.Context) error {
	shared := clickhouse.Shared{Definer: n.engines.loader.User, Departments: n.config.Sharing.WarehouseDepartments(), Contracts: n.contracts}
	// It reads the bus by itself, so what an act is judged by does not matter to it.
	return pipeline.NewGranted(shared, n.warehouse.Conn(), pipeline.NewExchange(n.bus, nil), n.log).Run(ctx)
}
