package embedded

import (
	"sync"
	"time"
)

// State of a [Component].
type State string

const (
	Starting   State = "starting"
	Running    State = "running"    // for the disk: enough is free
	Restarting State = "restarting" // its process died; the next attempt comes by itself
	Low        State = "low"        // the disk alone: pause what fills it
	Failed     State = "failed"     // nothing more comes by itself
	Stopped    State = "stopped"
)

// Names of components.
const (
	ComponentNATS       = "nats"
	ComponentClickHouse = "clickhouse"
	ComponentDisk       = "disk"
)

// Component is the state of one engine, or of the disk that they share.
type Component struct {
	Name  string
	State State
	Since time.Time
	Err   error // why, unless Running or Stopped
}

// health keeps the components' states and tells of changes, one at a time and in order.
type health struct {
	telling  sync.Mutex // held while onChange runs
	mu       sync.Mutex // guards what follows
	list     []Component
	onChange func(Component)
}

// set records a state. Only a change of State counts as one; a new Err of the same State just replaces the old.
func (h *health) set(name string, state State, err error) {
	h.telling.Lock()
	defer h.telling.Unlock()
	h.mu.Lock()
	var changed *Component
	at := -1
	for i := range h.list {
		if h.list[i].Name == name {
			at = i
		}
	}
	if at < 0 {
		h.list = append(h.list, Component{Name: name})
		at = len(h.list) - 1
	}
	component := &h.list[at]
	component.Err = err
	if component.State != state {
		component.State, component.Since = state, time.Now()
		copied := *component
		changed = &copied
	}
	h.mu.Unlock()
	if changed != nil && h.onChange != nil {
		h.onChange(*changed)
	}
}

func (h *health) components() []Component {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Component(nil), h.list...)
}
