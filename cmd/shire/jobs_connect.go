package main

import (
	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/county"
)

// jobsAddress is the way to the warehouse of jobs with SQL that writes. An external server needs it only for those, so
// that its password may be absent: then the address has none, and the server refuses such a job.
func jobsAddress(c *county.Config, secrets map[string]string, at *embedded.ClickHouse) (warehouse.Address, error) {
	settings := c.Engines.ClickHouse
	if settings.Address == "" {
		return warehouse.Address{Native: at.Native, User: clickhouse.Jobs, Password: secrets[clickhouse.Jobs]}, nil
	}
	password, err := settings.JobsPassword.Reveal()
	if err != nil {
		return warehouse.Address{}, inputf("engines.clickhouse.jobs_password cannot be read: %v", err)
	}
	config, err := tlsConfig(c, settings.TLS, "engines.clickhouse.tls")
	if err != nil {
		return warehouse.Address{}, err
	}
	user := settings.JobsUser
	if user == "" {
		user = clickhouse.Jobs
	}
	return warehouse.Address{Native: settings.Address, User: user, Password: password, TLS: config}, nil
}
