package check

// functions of the host.
type functions interface {
	stateGet(key string) (string, bool)
	stateSet(key, value string) error
	stateRemove(key string)
	logWrite(level Level, text string)
	messageGet(row uint32, path string) (string, bool)
	messageRaw(row uint32) (string, bool)
}

type state struct{}

// State of this check for this feed, kept by the host; it outlives panics and new instances. Changes count
// when the call that made them succeeds. When it is full, what was written longest ago makes room, so write
// again what must stay.
//
//	count, _ := check.State.Get("count")
//	err := check.State.Set("count", count+"i")
var State state

// Get is what was stored under the key.
func (state) Get(key string) (string, bool) { return host.stateGet(key) }

// Set stores a value. The error says that key (128 bytes) or value (4096) are too long.
func (state) Set(key, value string) error { return host.stateSet(key, value) }

// Remove forgets the key.
func (state) Remove(key string) { host.stateRemove(key) }

// Log writes one line for the operator, who sees its text only under the grant free-text.
func Log(level Level, text string) { host.logWrite(level, text) }
