// Five fields must be valued: the check by which languages are compared.
package main

import "feedpulse/check"

var names = [...]string{"MSH-9", "MSH-10", "PID-3", "PID-5", "PV1-2"}

type fiveFields struct{}

func (fiveFields) Check(row *check.Row, out *check.Findings) error {
	texts := row.Texts()
	for n, name := range names {
		if texts[n] == "" {
			out.Push(check.NewFinding("missing-field", check.Error).At(name))
		}
	}
	return nil
}

func init() {
	check.Export(func(settings string) (check.Checker, error) {
		return fiveFields{}, check.NoSettings(settings)
	})
}

func main() {}
