// Package checktest runs a check natively, so that unit tests need no WebAssembly:
//
//	func TestAMissingRoomIsFound(t *testing.T) {
//		found := checktest.Run(t, newCheck, checktest.Given{
//			Messages: []*checktest.Message{checktest.NewMessage("ADT^A01").Set("PV1-2", "I")},
//		})
//		want := []checktest.Found{{Row: 0, Code: "room-missing", Level: "warning", At: "PV1-3"}}
//		if !reflect.DeepEqual(found, want) {
//			t.Errorf("found %v", found)
//		}
//	}
//
// Findings are held against plugin.toml in the current folder, as the host does it: an undeclared code,
// attribute or place fails the test. Limits of time and memory are the host's; `feedpulse check test` runs
// the component under them.
package checktest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"feedpulse/check"
)

// NowMs is hour zero of the tests: 2023-11-14T22:13:20Z.
const NowMs = 1_700_000_000_000

// Given is what a check is run with. All may lack.
type Given struct {
	// Messages are joined as the host joins them.
	Messages []*Message
	// Rows are declared fields themselves, in order.
	Rows [][]string
	// Told are rows about whatever, values by the names of their declared fields:
	//
	//	{"@about": "outcome", "@outcome": "errored", "@tries": "3"}
	Told []map[string]string
	// Settings are JSON text; none = {}.
	Settings string
	// Feed is test, if none is named.
	Feed string
	// NowMs is the host's clock; 0 = [NowMs].
	NowMs uint64
	// Manifest is plugin.toml in the current folder, if none is given.
	Manifest *Manifest
	// KeepState leaves the state as the last run left it.
	KeepState bool
}

// Found is a finding as the host passes it on.
type Found struct {
	// Row is the index of the message, -1 for a finding about the feed.
	Row  int
	Code string
	// Level is lowered to the one that plugin.toml gives to the code.
	Level, At string
	// Attrs is nil when there are none.
	Attrs map[string]string
	// Text passes only under the grant free-text.
	Text string
}

// Run makes the check and hands it one batch. An error of the check fails the test; see [Try].
func Run(t testing.TB, makes check.New, given Given) []Found {
	t.Helper()
	found, err := Try(makes, given)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Try is [Run] for a check that is expected to fail: of its settings, or of a message.
func Try(makes check.New, given Given) ([]Found, error) {
	runner, err := given.start(makes)
	if err != nil {
		return nil, err
	}
	names := given.Manifest.Fields
	var rows []string
	for n, message := range given.Messages {
		rows = append(rows, join(message.String(), names, given.NowMs, fmt.Sprintf("key-%d", n)))
	}
	for _, values := range given.Rows {
		if len(values) > len(names) {
			return nil, fmt.Errorf("a row has %d values, plugin.toml has %d fields", len(values), len(names))
		}
		rows = append(rows, strings.Join(append(slices.Clone(values), make([]string, len(names)-len(values))...), "\x1f"))
	}
	for _, values := range given.Told {
		row, err := named(values, names)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	found, err := runner.Run(given.Feed, given.NowMs, strings.Join(rows, "\x1e"))
	if err != nil {
		return nil, err
	}
	return passed(found, given.Manifest)
}

// named joins values by the names of their fields.
func named(values map[string]string, names []string) (string, error) {
	told := make([]string, len(names))
	for name, value := range values {
		n := slices.Index(names, name)
		if n < 0 {
			return "", fmt.Errorf("%s is not among the fields of plugin.toml; there are: %s", name, strings.Join(names, ", "))
		}
		told[n] = value
	}
	return strings.Join(told, "\x1f"), nil
}

// RunTick calls the check's Tick once.
func RunTick(t testing.TB, makes check.New, given Given) []Found {
	t.Helper()
	runner, err := given.start(makes)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := runner.Tick(given.Feed, given.NowMs)
	if err != nil {
		t.Fatal(err)
	}
	found, err := passed(raw, given.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// start fills in what is not given, and makes the check.
func (g *Given) start(makes check.New) (*check.Runner, error) {
	if g.Manifest == nil {
		manifest, err := ReadManifest("plugin.toml")
		if err != nil {
			return nil, err
		}
		g.Manifest = manifest
	}
	if g.Settings == "" {
		g.Settings = "{}"
	}
	if g.Feed == "" {
		g.Feed = "test"
	}
	if g.NowMs == 0 {
		g.NowMs = NowMs
	}
	standIn := check.StandIn{Memory: map[string]string{}}
	if g.KeepState {
		standIn.Memory = check.Connected().Memory
	}
	if slices.Contains(g.Manifest.Grants, "get") {
		standIn.Get = func(row uint32, path string) (string, bool) {
			if int(row) >= len(g.Messages) {
				return "", false
			}
			value := join(g.Messages[row].String(), []string{path}, 0, "")
			return value, value != ""
		}
	}
	if slices.Contains(g.Manifest.Grants, "raw") {
		standIn.Raw = func(row uint32) (string, bool) {
			if int(row) >= len(g.Messages) {
				return "", false
			}
			return g.Messages[row].String(), true
		}
	}
	check.Connect(standIn)
	return check.NewRunner(makes, g.Manifest.Fields, g.Settings)
}

var (
	segment = regexp.MustCompile(`^[A-Z][A-Z0-9]{2}(\[\d+\])?$`)
	number  = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,17})$`)
	levels  = []string{"info", "warning", "error", "critical"}
)

// passed are the findings as the host passes them on, or an error where it would refuse one.
func passed(found []check.Finding, m *Manifest) ([]Found, error) {
	var out []Found
	for _, f := range found {
		most, known := m.Codes[f.Code]
		if !known {
			return nil, fmt.Errorf("the finding's code `%s` is not among [codes] of plugin.toml", f.Code)
		}
		if err := m.place(f.Place); err != nil {
			return nil, err
		}
		one := Found{Row: -1, Code: f.Code, Level: levels[min(int(f.Level), slices.Index(levels, most))], At: f.Place}
		if f.HasRow {
			one.Row = int(f.Row)
		}
		if len(f.Attrs) > 16 {
			return nil, fmt.Errorf("a finding has at most 16 attributes")
		}
		for _, a := range f.Attrs {
			if err := m.allows(a); err != nil {
				return nil, err
			}
			if one.Attrs == nil {
				one.Attrs = map[string]string{}
			}
			one.Attrs[a.Name] = a.Value
		}
		if len(one.Attrs) < len(f.Attrs) {
			return nil, fmt.Errorf("an attribute is there twice")
		}
		if slices.Contains(m.Grants, "free-text") {
			one.Text = f.Words
		}
		out = append(out, one)
	}
	return out, nil
}

// place says whether a finding may be there.
func (m *Manifest) place(at string) error {
	if at == "" {
		return nil
	}
	if !segment.MatchString(at) {
		if _, err := check.ParsePath(at); err != nil {
			return err
		}
	}
	ours := func(name string) bool { return strings.HasPrefix(name, at[:3]+"-") }
	if slices.Contains(m.Grants, "get") || slices.Contains(m.Grants, "raw") || slices.ContainsFunc(m.Fields, ours) {
		return nil
	}
	return fmt.Errorf("the finding is at %s, but plugin.toml declares no field of %s", at, at[:3])
}

// allows says whether an attribute may have its value.
func (m *Manifest) allows(a check.Attr) error {
	attr, known := m.Attrs[a.Name]
	if !known {
		return fmt.Errorf("the attribute `%s` is not among [attrs] of plugin.toml", a.Name)
	}
	n, err := strconv.ParseInt(a.Value, 10, 64)
	whole := attr.Values == nil && err == nil && number.MatchString(a.Value) && n >= attr.Min && n <= attr.Max
	if whole || slices.Contains(attr.Values, a.Value) {
		return nil
	}
	return fmt.Errorf("the attribute `%s` may not be `%s`; see [attrs.%s] in plugin.toml", a.Name, a.Value, a.Name)
}
