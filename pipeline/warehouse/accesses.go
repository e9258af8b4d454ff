package warehouse

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Accesses chooses entries of the log of accesses; what is empty chooses all.
type Accesses struct {
	Person     pseudonym.ID
	Caller     string
	Department string // that handles the case which was named
	Case       string
	Decision   string
	From       time.Time
	Until      time.Time // exclusive
	Offset     int
	Limit      int
}

// AccessEntry is an entry of audit.accesses, with the department of its case.
type AccessEntry struct {
	Sequence   uint64    `ch:"sequence"`
	At         time.Time `ch:"at"`
	Caller     string    `ch:"caller"`
	Clerk      string    `ch:"clerk"`
	Purpose    string    `ch:"purpose"`
	Item       string    `ch:"item_code"`
	Case       string    `ch:"case_number"`
	Department string    `ch:"department"`
	Person     uuid.UUID `ch:"person_id"`
	Fields     []string  `ch:"fields"`
	Decision   string    `ch:"decision"`
	Reason     string    `ch:"reason"`
}

// SearchAccesses reads the newest entries that are chosen, and one more than Limit where there are more. conn may be the
// analyst's.
func SearchAccesses(ctx context.Context, conn driver.Conn, q Accesses) ([]AccessEntry, error) {
	conditions, args := []string{"1"}, []any{}
	add := func(given bool, condition string, value any) {
		if given {
			conditions, args = append(conditions, condition), append(args, value)
		}
	}
	add(!q.Person.IsZero(), "person_id = ?", uuid.UUID(q.Person))
	add(q.Caller != "", "caller = ?", q.Caller)
	add(q.Department != "", "case_number IN (SELECT case_number FROM mart.cases WHERE department = ? AND case_number != '')", q.Department)
	add(q.Case != "", "case_number = ?", q.Case)
	add(q.Decision != "", "decision = ?", q.Decision)
	add(!q.From.IsZero(), "at >= ?", q.From.UTC())
	add(!q.Until.IsZero(), "at < ?", q.Until.UTC())
	chosen := "SELECT sequence, at, toString(caller) AS caller, clerk, toString(purpose) AS purpose, toString(item_code) AS item_code, case_number, person_id," +
		" arrayMap(f -> toString(f), fields) AS fields, toString(decision) AS decision, reason FROM audit.accesses WHERE " + strings.Join(conditions, " AND ") +
		fmt.Sprintf(" ORDER BY sequence DESC LIMIT %d OFFSET %d", q.Limit+1, q.Offset)
	var out []AccessEntry
	// Cases are looked up for the entries on the page alone.
	err := conn.Select(ctx, &out, "WITH chosen AS ("+chosen+") SELECT a.*, c.department AS department FROM chosen AS a"+
		" LEFT ANY JOIN (SELECT case_number, toString(department) AS department FROM mart.cases WHERE case_number IN (SELECT case_number FROM chosen WHERE case_number != '')) AS c"+
		" ON a.case_number = c.case_number ORDER BY sequence DESC", args...)
	if err != nil {
		return nil, fmt.Errorf("the log of accesses cannot be searched: %w", err)
	}
	return out, nil
}
