//go:build wasip1

package check

import (
	"errors"
	"strings"
	"unsafe"
)

// The exports of the world, and values laid out as the canonical ABI of the component model says for
// 32-bit memory (component-model CanonicalABI.md, "Storing").

// wireText is a text or a list: address and length.
type wireText struct{ at, length uint32 }

type wireFinding struct {
	hasRow uint32
	row    uint32
	code   wireText
	level  uint32
	at     wireText
	attrs  wireText
	text   wireText
}

type wireResult struct {
	tag   uint32
	value wireText
}

// What the host may still read or write: kept until the next call.
var (
	held     [][]byte
	findings []wireFinding
	attrs    [][2]wireText
	failure  string
	result   wireResult
	nothing  byte
)

func address(text string) unsafe.Pointer {
	if text == "" {
		return unsafe.Pointer(&nothing)
	}
	return unsafe.Pointer(unsafe.StringData(text))
}

func wire(text string) wireText {
	return wireText{uint32(uintptr(address(text))), uint32(len(text))}
}

// string is the text at an address that the host wrote to, in memory that [realloc] gave it: the garbage
// collector knows it and keeps it for as long as the text is used.
func (w wireText) string() string {
	for _, block := range held {
		start := uint32(uintptr(unsafe.Pointer(unsafe.SliceData(block))))
		if w.at >= start && w.at+w.length <= start+uint32(len(block)) {
			return unsafe.String(&block[w.at-start], int(w.length))
		}
	}
	return ""
}

// release lets go of the memory that the host was given; texts in use keep theirs.
func release() {
	clear(held)
	held = held[:0]
}

//go:wasmexport cabi_realloc
func realloc(_ unsafe.Pointer, _, align, size uint32) unsafe.Pointer {
	if size == 0 {
		return unsafe.Pointer(&nothing)
	}
	// the allocator aligns blocks of 8 bytes and more to 8
	block := make([]byte, max(size, align, 8))
	held = append(held, block)
	return unsafe.Pointer(unsafe.SliceData(block))
}

func fail(err error) unsafe.Pointer {
	failure = err.Error()
	result = wireResult{1, wire(failure)}
	return unsafe.Pointer(&result)
}

//go:wasmexport feedpulse:check/checker@0.1.0#init
func exportInit(at, length uint32) (answer unsafe.Pointer) {
	defer func() {
		if why := recover(); why != nil {
			answer = fail(errors.New("panic: " + reason(why) + " (" + place() + ")"))
		}
	}()
	settings := strings.Clone(wireText{at, length}.string())
	release()
	runner, err := NewRunner(makeCheck, strings.Split(fields, ","), settings)
	if err != nil {
		return fail(err)
	}
	current, result = runner, wireResult{}
	return unsafe.Pointer(&result)
}

//go:wasmexport feedpulse:check/checker@0.1.0#check
func exportCheck(feedAt, feedLength uint32, nowMs uint64, _, rowsAt, rowsLength uint32) (answer unsafe.Pointer) {
	feed := wireText{feedAt, feedLength}.string()
	rows := wireText{rowsAt, rowsLength}.string()
	release()
	return Answer(func(r *Runner) ([]Finding, error) { return r.Run(feed, nowMs, rows) })
}

// ExportTick is what the package tick exports.
func ExportTick(at, length uint32, nowMs uint64) unsafe.Pointer {
	feed := wireText{at, length}.string()
	release()
	return Answer(func(r *Runner) ([]Finding, error) { return r.Tick(feed, nowMs) })
}

// Answer runs the check and lays out what it gives. A panic is an error of the interface, not a trap: the
// instance lives on.
func Answer(run func(*Runner) ([]Finding, error)) (answer unsafe.Pointer) {
	defer func() {
		if why := recover(); why != nil {
			// shown to an author on her own machine only
			answer = fail(errors.New("panic: " + reason(why) + " (" + place() + ")"))
		}
	}()
	if current == nil {
		return fail(errors.New("called before init"))
	}
	found, err := run(current)
	if err != nil {
		return fail(err)
	}
	lay(found)
	return unsafe.Pointer(&result)
}

// reason is what a panic says.
func reason(why any) string {
	switch why := why.(type) {
	case error:
		return why.Error()
	case string:
		return why
	}
	return "not a text"
}

func lay(found []Finding) {
	findings, attrs = findings[:0], attrs[:0]
	count := 0
	for _, f := range found {
		count += len(f.Attrs)
	}
	// in one piece, since its parts are told by their addresses
	if cap(attrs) < count {
		attrs = make([][2]wireText, 0, count)
	}
	for _, f := range found {
		start := len(attrs)
		for _, a := range f.Attrs {
			attrs = append(attrs, [2]wireText{wire(a.Name), wire(a.Value)})
		}
		hasRow := uint32(0)
		if f.HasRow {
			hasRow = 1
		}
		findings = append(findings, wireFinding{
			hasRow, f.Row, wire(f.Code), uint32(f.Level), wire(f.Place), list(attrs[start:]), wire(f.Words),
		})
	}
	result = wireResult{0, list(findings)}
}

func list[T any](items []T) wireText {
	if len(items) == 0 {
		return wireText{uint32(uintptr(unsafe.Pointer(&result))), 0}
	}
	return wireText{uint32(uintptr(unsafe.Pointer(unsafe.SliceData(items)))), uint32(len(items))}
}
