//go:build !wasip1

package check

import (
	"errors"
	"fmt"
	"os"
)

// StandIn is the host of unit tests: state in this process, log lines on standard error.
type StandIn struct {
	// Memory is the state.
	Memory map[string]string
	// Get and Raw read messages; none = nothing is granted.
	Get func(row uint32, path string) (string, bool)
	Raw func(row uint32) (string, bool)
}

var host functions = StandIn{Memory: map[string]string{}}

// Connect puts another stand-in in place: for test runners.
func Connect(standIn StandIn) { host = standIn }

// Connected is the stand-in in place.
func Connected() StandIn { return host.(StandIn) }

func (h StandIn) stateGet(key string) (string, bool) {
	value, ok := h.Memory[key]
	return value, ok
}

func (h StandIn) stateSet(key, value string) error {
	if len(key) > 128 {
		return errors.New("the key has more than 128 bytes")
	}
	if len(value) > 4096 {
		return errors.New("the value has more than 4096 bytes")
	}
	h.Memory[key] = value
	return nil
}

func (h StandIn) stateRemove(key string) { delete(h.Memory, key) }

func (h StandIn) logWrite(level Level, text string) { fmt.Fprintf(os.Stderr, "%v: %s\n", level, text) }

func (h StandIn) messageGet(row uint32, path string) (string, bool) {
	if h.Get == nil {
		return "", false
	}
	return h.Get(row, path)
}

func (h StandIn) messageRaw(row uint32) (string, bool) {
	if h.Raw == nil {
		return "", false
	}
	return h.Raw(row)
}
