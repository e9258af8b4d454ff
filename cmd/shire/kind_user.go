package main

import (
	"maps"
	"slices"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/command"
	"github.com/shirecounty/shire/jobs/statement"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/document"
)

// The kinds of work that the county writes itself.
func init() {
	kinds["command"] = commandKind
	kinds["sql"] = sqlKind
}

// userSettings reads settings whatever their form, and the names of the job's parameters.
func userSettings(j *county.Job) (with any, parameters []string, err error) {
	err = j.Decode(&with)
	return with, slices.Sorted(maps.Keys(j.Parameters)), err
}

// commandKind runs a program: "command: [program, argument]", or the settings of jobs/command.
func commandKind(s *setup, j *county.Job) (work, error) {
	with, parameters, err := userSettings(j)
	if err != nil {
		return work{}, err
	}
	settings, problems := command.Read("", with, parameters, s.config.Resolve)
	return work{check: func() document.Problems { return settings.Check("") }, worker: func(n *node, _ *health) jobs.Worker {
		return command.New(settings, "")
	}}, problems.OrNil()
}

// sqlKind runs a file of SQL: "sql: FILE", or the settings of jobs/statement.
func sqlKind(s *setup, j *county.Job) (work, error) {
	with, parameters, err := userSettings(j)
	if err != nil {
		return work{}, err
	}
	settings, problems := statement.Read("", with, parameters, s.config.Resolve)
	return work{check: func() document.Problems { return settings.Check("") }, worker: func(n *node, _ *health) jobs.Worker {
		return statement.New(settings, n.engines.analyst, n.engines.jobs)
	}}, problems.OrNil()
}
