package main

import (
	"reflect"
	"testing"

	"feedpulse/check/checktest"
)

// `go test` runs the check natively; `feedpulse check test` runs the component on `cases/`.
func TestOnlyAnEmergencyNeedsAReason(t *testing.T) {
	found := checktest.Run(t, newCheck, checktest.Given{Messages: []*checktest.Message{
		checktest.NewMessage("ADT^A01").Set("PV1-2", "E"),
		checktest.NewMessage("ADT^A01").Set("PV1-2", "E").Set("PV2-3.2", "Chest pain"),
		checktest.NewMessage("ADT^A01").Set("PV1-2", "I"),
	}})
	want := []checktest.Found{{Row: 0, Code: "reason-missing", Level: "warning", At: "PV2-3"}}
	if !reflect.DeepEqual(found, want) {
		t.Errorf("found %+v", found)
	}
}
