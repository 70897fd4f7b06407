//go:build wasip1

package tick

import (
	"unsafe"

	"feedpulse/check"
)

//go:wasmexport feedpulse:check/ticker@0.1.0#tick
func export(feedAt, feedLength uint32, nowMs uint64) unsafe.Pointer {
	return check.ExportTick(feedAt, feedLength, nowMs)
}
