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

// Access is what a department may do on NATS: publish events of its own datasets, hear whether they were stored, and read what it has
// subscribed to.
type Access struct {
	Department string
	User       string
	Publish    []string // subjects
	Replies    string   // prefix of the subjects that answers come to (custom inbox prefix)
	API        []string // requests to JetStream's interface, without their prefix; see [APIPrefix]
}

// APIPrefix is what a department's client writes before requests to JetStream's interface instead of $JS.API: that is the interface of its
// own account, which has no streams.
const APIPrefix = "shire"

// AccessOf is the access of a department that may do nothing yet.
func AccessOf(department string) Access {
	return Access{Department: department, User: "department_" + department, Replies: "_INBOX_" + department}
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
			a, ok := found[department]
			if !ok {
				a = AccessOf(department)
			}
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
	b.WriteString("# Departments that publish or read by themselves; printed by: shire push credentials --nats-config\n")
	b.WriteString("max_payload: 8MB\naccounts {\n  SHIRE {\n    jetstream: enabled\n")
	b.WriteString("    users: [ {user: shire, password: $SHIRE_NATS_PASSWORD} ]\n    exports: [\n")
	for _, a := range list {
		for _, subject := range a.Publish {
			fmt.Fprintf(&b, "      {service: %q, accounts: [%s]}\n", subject, a.User)
		}
		for _, request := range a.API { // one request for the next messages is answered with each of them
			fmt.Fprintf(&b, "      {service: %q, accounts: [%s], response_type: stream}\n", "$JS.API."+request, a.User)
		}
	}
	b.WriteString("    ]\n  }\n")
	for _, a := range list {
		fmt.Fprintf(&b, "  %s {\n    users: [ {user: %s, password: $%s, permissions: {\n", a.User, a.User, a.PasswordVariable())
		fmt.Fprintf(&b, "      publish: {allow: [%s]}, subscribe: {allow: [%s]} }} ]\n    imports: [\n", quoted(slices.Concat(a.Publish, a.requests())), quoted(a.Subscribe()))
		for _, subject := range a.Publish {
			fmt.Fprintf(&b, "      {service: {account: SHIRE, subject: %q}}\n", subject)
		}
		for i, request := range a.requests() {
			fmt.Fprintf(&b, "      {service: {account: SHIRE, subject: %q}, to: %q}\n", "$JS.API."+a.API[i], request)
		}
		b.WriteString("    ]\n  }\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// requests are the subjects to which the department sends its requests to JetStream's interface.
func (a Access) requests() []string {
	var out []string
	for _, r := range a.API {
		out = append(out, APIPrefix+"."+r)
	}
	return out
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
