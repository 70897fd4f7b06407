//go:build wasip1

package check

import (
	"errors"
	"unsafe"
)

// The imports of the world, flattened as the canonical ABI of the component model says: a text is address
// and length, a result that is no single number is written to the address given last.

//go:wasmimport feedpulse:check/state@0.1.0 get
func importStateGet(key unsafe.Pointer, n uint32, result unsafe.Pointer)

//go:wasmimport feedpulse:check/state@0.1.0 set
func importStateSet(key unsafe.Pointer, n uint32, value unsafe.Pointer, m uint32, result unsafe.Pointer)

//go:wasmimport feedpulse:check/state@0.1.0 remove
func importStateRemove(key unsafe.Pointer, n uint32)

//go:wasmimport feedpulse:check/log@0.1.0 write
func importLogWrite(level uint32, text unsafe.Pointer, n uint32)

//go:wasmimport feedpulse:check/message@0.1.0 get
func importMessageGet(row uint32, path unsafe.Pointer, n uint32, result unsafe.Pointer)

//go:wasmimport feedpulse:check/message@0.1.0 raw
func importMessageRaw(row uint32, result unsafe.Pointer)

type imports struct{}

var host functions = imports{}

// optional is option<string>, and result<_, string>, as they are written.
type optional struct {
	tag  uint32
	text wireText
}

func (o *optional) get() (string, bool) {
	defer release()
	if o.tag&0xff == 0 {
		return "", false
	}
	return o.text.string(), true
}

func (imports) stateGet(key string) (string, bool) {
	var out optional
	importStateGet(address(key), uint32(len(key)), unsafe.Pointer(&out))
	return out.get()
}

func (imports) stateSet(key, value string) error {
	var out optional
	importStateSet(address(key), uint32(len(key)), address(value), uint32(len(value)), unsafe.Pointer(&out))
	if why, refused := out.get(); refused {
		return errors.New(why)
	}
	return nil
}

func (imports) stateRemove(key string) { importStateRemove(address(key), uint32(len(key))) }

func (imports) logWrite(level Level, text string) {
	importLogWrite(uint32(level), address(text), uint32(len(text)))
}

func (imports) messageGet(row uint32, path string) (string, bool) {
	var out optional
	importMessageGet(row, address(path), uint32(len(path)), unsafe.Pointer(&out))
	return out.get()
}

func (imports) messageRaw(row uint32) (string, bool) {
	var out optional
	importMessageRaw(row, unsafe.Pointer(&out))
	return out.get()
}
