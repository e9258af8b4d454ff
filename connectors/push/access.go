package push

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

// Access is what a department may do on NATS: publish events of its own datasets, and hear whether they were stored.
type Access struct {
	Department string
	User       string
	Publish    []string // subjects
	Replies    string   // prefix of the subjects that answers come to (custom inbox prefix)
}

// Subscribe are the subjects that the department may listen to.
func (a Access) Subscribe() []string { return []string{a.Replies + ".>"} }

// Of finds the access of a source of kind push; there is none where it does not have nats: true. One user of a department
// serves all its sources.
func Of(list []Access, source county.Source, contracts contract.Set) (Access, bool) {
	for _, a := range list {
		for _, name := range source.Datasets {
			if d := contracts[name]; source.Kind == Kind && natsOf(source) && d.Department == a.Department {
				return a, true
			}
		}
	}
	return Access{}, false
}

// Accesses are those of all departments that publish by themselves, in the order of their codes.
func Accesses(division string, sources []county.Source, contracts contract.Set) []Access {
	found := map[string]Access{}
	for _, s := range sources {
		if s.Kind != Kind || !natsOf(s) {
			continue
		}
		for _, name := range s.Datasets {
			department := contracts[name].Department
			a := found[department]
			a.Department, a.User, a.Replies = department, "department_"+department, "_INBOX_"+department
			a.Publish = append(a.Publish, connectors.InboxSubjects(division, department, name))
			found[department] = a
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b Access) int { return strings.Compare(a.Department, b.Department) })
}

// natsOf reads the one setting; New has proven the others.
func natsOf(s county.Source) bool {
	on, _ := strconv.ParseBool(fmt.Sprint(s.With["nats"]))
	return on
}

// ServerConfig is the part of an external NATS server's configuration that gives the accesses, and Shire an account that
// holds the streams. Passwords are taken from the server's environment.
//
// A department has an account of its own: nats-server does not ask whether a user may publish to the reply subject of its
// messages, so that within one account a PubAck could be sent to a stream.
func ServerConfig(list []Access) string {
	var b strings.Builder
	b.WriteString("# Departments that publish by themselves; printed by: shire push credentials --nats-config\n")
	b.WriteString("max_payload: 8MB\naccounts {\n  SHIRE {\n    jetstream: enabled\n")
	b.WriteString("    users: [ {user: shire, password: $SHIRE_NATS_PASSWORD} ]\n    exports: [\n")
	for _, a := range list {
		for _, subject := range a.Publish {
			fmt.Fprintf(&b, "      {service: %q, accounts: [%s]}\n", subject, a.User)
		}
	}
	b.WriteString("    ]\n  }\n")
	for _, a := range list {
		fmt.Fprintf(&b, "  %s {\n    users: [ {user: %s, password: $%s, permissions: {\n", a.User, a.User, a.PasswordVariable())
		fmt.Fprintf(&b, "      publish: {allow: [%s]}, subscribe: {allow: [%s]} }} ]\n    imports: [\n", quoted(a.Publish), quoted(a.Subscribe()))
		for _, subject := range a.Publish {
			fmt.Fprintf(&b, "      {service: {account: SHIRE, subject: %q}}\n", subject)
		}
		b.WriteString("    ]\n  }\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// PasswordVariable is the environment variable that an external server takes the user's password from.
func (a Access) PasswordVariable() string { return strings.ToUpper(a.User) + "_PASSWORD" }

func quoted(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(out, ", ")
}
