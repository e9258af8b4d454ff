package push

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/shirecounty/shire/schemas/change"
)

// position is a place in an inbox: which inbox, the message's sequence, and when it came in. An inbox that lost its newest
// messages gives their sequences anew, but not their times.
//
//	0b6f1c5e-…/1207/1795400000123456789
type position struct {
	inbox    string
	sequence uint64
	stored   time.Time
}

func (p position) String() change.Position {
	return change.Position(fmt.Sprintf("%s/%d/%d", p.inbox, p.sequence, p.stored.UnixNano()))
}

func parsePosition(text change.Position) (position, bool) {
	parts := strings.Split(string(text), "/")
	if len(parts) != 3 || parts[0] == "" {
		return position{}, false
	}
	sequence, err := strconv.ParseUint(parts[1], 10, 64)
	stored, wrong := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || wrong != nil {
		return position{}, false
	}
	return position{parts[0], sequence, time.Unix(0, stored)}, true
}
