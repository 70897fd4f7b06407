// __summary__
package main

import "feedpulse/check"

// finder has no settings; what must be remembered between messages belongs into check.State.
type finder struct{}

// Check is called for each message.
func (finder) Check(row *check.Row, out *check.Findings) error {
	// by the paths of `fields` in plugin.toml
	if row.Value("PV1-2") == "E" && row.At("PV2-3").IsEmpty() {
		out.Push(check.NewFinding("reason-missing", check.Warning).At("PV2-3"))
	}
	return nil
}

func newCheck(settings string) (check.Checker, error) { return finder{}, check.NoSettings(settings) }

func init() { check.Export(newCheck) }

func main() {}
