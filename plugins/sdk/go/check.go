// Package check is the kit of a check author in Go. A check is a value with a method Check, made by a
// function that [Export] takes:
//
//	package main
//
//	import "feedpulse/check"
//
//	type roomPresent struct{}
//
//	func (roomPresent) Check(row *check.Row, out *check.Findings) error {
//		if row.At("PV1-3").IsEmpty() {
//			out.Push(check.NewFinding("room-missing", check.Warning).At("PV1-3"))
//		}
//		return nil
//	}
//
//	func init() {
//		check.Export(func(settings string) (check.Checker, error) { return roomPresent{}, check.NoSettings(settings) })
//	}
//
//	func main() {}
//
// It is compiled by the stock toolchain; `feedpulse check build` does it. There is no clock, no randomness,
// no file and no network in a check: the time that Go's runtime sees only counts how often it is read.
package check

import (
	"errors"
	"runtime"
	"strconv"
	"strings"
)

// Checker looks at messages. One value lives per feed worker; what must outlive a panic belongs into
// [State].
type Checker interface {
	// Check looks at one message. The row is the same each time: take out of it what must last. An
	// error, or a panic, means that this message could not be checked: the host counts it and never
	// shows the text.
	Check(row *Row, out *Findings) error
}

// New makes a check from the operator's settings, JSON text. The error is shown to the operator, so name
// the setting that is wrong.
type New func(settings string) (Checker, error)

// Made by the builder from plugin.toml: the declared fields, parted by commas.
var fields string

var (
	makeCheck New
	current   *Runner
)

// Export makes a [Checker] the check of this program. Call it in an init function: main does not run.
func Export(makes New) { makeCheck = makes }

// Runner is a check with the fields that it declares. It is what the component and the test runner call.
type Runner struct {
	check    Checker
	declared *declared
	row      Row
	out      Findings
}

// NewRunner makes a check ready to run.
func NewRunner(makes New, names []string, settings string) (*Runner, error) {
	if makes == nil {
		return nil, errors.New("the program exports no check: call check.Export in an init function")
	}
	made, err := makes(settings)
	if err != nil {
		return nil, err
	}
	return &Runner{check: made, declared: newDeclared(names)}, nil
}

// Run checks rows that are joined by U+001E. The findings are good until the next call.
func (r *Runner) Run(feed string, nowMs uint64, rows string) ([]Finding, error) {
	r.row.declared, r.row.feed, r.row.nowMs = r.declared, feed, nowMs
	r.out.All = r.out.All[:0]
	for index, more := uint32(0), true; more; index++ {
		r.row.text, rows, more = strings.Cut(rows, rowSeparator)
		r.row.index, r.out.row, r.out.hasRow = index, index, true
		r.row.texts = r.row.texts[:0]
		if err := r.check.Check(&r.row, &r.out); err != nil {
			return nil, err
		}
	}
	return r.out.All, nil
}

// Ticker is a [Checker] that also notices what does not come. Export it with tick.Export.
type Ticker interface {
	Checker
	// Tick is called about once a second per feed. Findings made here have no row.
	Tick(feed string, nowMs uint64, out *Findings) error
}

// Tick gives the time to a check that is a [Ticker].
func (r *Runner) Tick(feed string, nowMs uint64) ([]Finding, error) {
	ticker, ok := r.check.(Ticker)
	if !ok {
		return nil, errors.New("the check has no method Tick")
	}
	r.out.All, r.out.hasRow = r.out.All[:0], false
	if err := ticker.Tick(feed, nowMs, &r.out); err != nil {
		return nil, err
	}
	return r.out.All, nil
}

// NoSettings refuses settings, for a check that has none.
func NoSettings(settings string) error {
	if text := strings.Join(strings.Fields(settings), ""); text != "" && text != "{}" {
		return errors.New("this check has no settings; leave them out")
	}
	return nil
}

// place is where the author's code panicked, or called what did, as `file.go:12:1`: for a deferred function
// that recovers.
func place() string {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for panicked := false; ; {
		frame, more := frames.Next()
		own := !strings.HasPrefix(frame.Function, "runtime.") && !strings.HasPrefix(frame.Function, "feedpulse/check.")
		if panicked && own && frame.File != "" {
			return strings.TrimLeft(frame.File, "/") + ":" + strconv.Itoa(frame.Line) + ":1"
		}
		panicked = panicked || strings.HasPrefix(frame.Function, "runtime.gopanic") || strings.HasPrefix(frame.Function, "runtime.panic") || strings.HasPrefix(frame.Function, "runtime.goPanic") || strings.HasPrefix(frame.Function, "runtime.sigpanic")
		if !more {
			return ""
		}
	}
}
