package checktest

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"feedpulse/check"
)

// called makes a check of functions.
type called struct {
	check func(*check.Row, *check.Findings) error
	tick  func(string, uint64, *check.Findings) error
}

func (c called) Check(row *check.Row, out *check.Findings) error { return c.check(row, out) }

func (c called) Tick(feed string, nowMs uint64, out *check.Findings) error {
	return c.tick(feed, nowMs, out)
}

func making(f func(*check.Row, *check.Findings) error) check.New {
	return func(settings string) (check.Checker, error) { return called{check: f}, check.NoSettings(settings) }
}

func manifest(t *testing.T) *Manifest {
	t.Helper()
	m, err := parseManifest(`
name = "t"   # a comment
fields = ["PID-3", "PID-5.1", "MSH-10",   # over lines
  "@received-ms", 'OBX-5']
grants = ["get"]
[codes.seen]
title = "with \"quotes\" and # no comment"
level = "warning"
[attrs.n]
min = -1
max = 9_000
[attrs."kind"]
values = ["a,b", "]"]
`, "plugin.toml")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTheManifestIsRead(t *testing.T) {
	want := &Manifest{
		Fields: []string{"PID-3", "PID-5.1", "MSH-10", "@received-ms", "OBX-5"},
		Grants: []string{"get"},
		Codes:  map[string]string{"seen": "warning"},
		Attrs:  map[string]Attr{"n": {Min: -1, Max: 9000}, "kind": {Values: []string{"a,b", "]"}}},
	}
	if got := manifest(t); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if _, err := parseManifest("name = \"t\"\nfields = yes", "plugin.toml"); err == nil || !strings.Contains(err.Error(), "plugin.toml:2: this line is not understood") {
		t.Error(err)
	}
}

func TestMessagesAreJoinedTheWayTheHostJoinsThem(t *testing.T) {
	var rows [][]string
	first := NewMessage("ADT^A01").Set("PID-3.1", "1").Set("PID-3.4.2", "1.2").Set("PID-3[2]", `2\T\2`).Set("PID-5", `O\T\B^X`)
	second := NewMessage("ORU^R01").Set("OBX[2]-5", "a\x1fb").Set("MSH-10", "C1")
	Run(t, making(func(row *check.Row, _ *check.Findings) error {
		rows = append(rows, append([]string(nil), row.Texts()...))
		return nil
	}), Given{Manifest: manifest(t), Messages: []*Message{first, second}})
	if !reflect.DeepEqual(rows[0][:2], []string{"1^^^&1.2\x1d2&2", "O&B"}) {
		t.Errorf("%q", rows[0])
	}
	if !reflect.DeepEqual(rows[1], []string{"", "", "C1", fmt.Sprint(NowMs), "\x1ca\ufffdb"}) {
		t.Errorf("%q", rows[1])
	}
}

func found(t *testing.T, finding check.Finding, m *Manifest) ([]Found, error) {
	return Try(making(func(_ *check.Row, out *check.Findings) error {
		out.Push(finding)
		return nil
	}), Given{Manifest: m, Messages: []*Message{NewMessage("ADT^A01")}})
}

func TestAFindingIsPassedOnAsTheHostDoesIt(t *testing.T) {
	got, err := found(t, check.NewFinding("seen", check.Critical).At("PID-3[2].1").AttrInt("n", 7).Text("dropped"), manifest(t))
	want := []Found{{Row: 0, Code: "seen", Level: "warning", At: "PID-3[2].1", Attrs: map[string]string{"n": "7"}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %v", got, err)
	}
}

func TestWhatTheHostWouldRefuseIsAnErrorHere(t *testing.T) {
	seen := check.NewFinding("seen", check.Info)
	for said, finding := range map[string]check.Finding{
		"`other` is not among": check.NewFinding("other", check.Info),
		"`who` is not among":   seen.Attr("who", "x"),
		"may not be `9001`":    seen.AttrInt("n", 9001),
		"may not be `007`":     seen.Attr("n", "007"),
		"may not be `c`":       seen.Attr("kind", "c"),
		"twice":                seen.AttrInt("n", 1).AttrInt("n", 1),
		"is no path":           seen.At("DOE^JANE"),
	} {
		if _, err := found(t, finding, manifest(t)); err == nil || !strings.Contains(err.Error(), said) {
			t.Errorf("%s: %v", said, err)
		}
	}
	without := manifest(t)
	without.Grants = nil
	if _, err := found(t, seen.At("NK1-2"), without); err == nil || !strings.Contains(err.Error(), "no field of NK1") {
		t.Error(err)
	}
}

func TestGrantedReadsSeeTheMessage(t *testing.T) {
	Run(t, making(func(row *check.Row, _ *check.Findings) error {
		trigger, ok := row.Get("MSH-9.2")
		if _, raw := row.Raw(); trigger != "A08" || !ok || raw {
			return errors.New("read " + trigger)
		}
		return nil
	}), Given{Manifest: manifest(t), Messages: []*Message{NewMessage("ADT^A08")}})
}

func TestSettingsAreChecked(t *testing.T) {
	settings := struct {
		N int `json:"n"`
	}{1}
	makes := func(text string) (check.Checker, error) {
		return called{}, check.Settings(text, &settings)
	}
	if _, err := Try(makes, Given{Manifest: manifest(t), Settings: `{"n": 2}`}); err != nil || settings.N != 2 {
		t.Error(err)
	}
	for _, wrong := range []string{`{"m": 2}`, `{"n": "2"}`} {
		if _, err := Try(makes, Given{Manifest: manifest(t), Settings: wrong}); err == nil {
			t.Error(wrong)
		}
	}
	if _, err := Try(making(nil), Given{Manifest: manifest(t), Settings: `{"a": 1}`}); err == nil {
		t.Error("settings of a check that has none")
	}
}

func TestStateIsKeptFromMessageToMessageAndStartsEmpty(t *testing.T) {
	makes := func(string) (check.Checker, error) {
		return called{
			check: func(*check.Row, *check.Findings) error {
				n, _ := check.State.Get("n")
				return check.State.Set("n", n+"i")
			},
			tick: func(_ string, _ uint64, out *check.Findings) error {
				if n, _ := check.State.Get("n"); n == "ii" {
					out.Push(check.NewFinding("seen", check.Info))
				}
				return nil
			},
		}, nil
	}
	given := Given{Manifest: manifest(t), Messages: []*Message{NewMessage("ADT^A01"), NewMessage("ADT^A01")}}
	Run(t, makes, given)
	given.KeepState = true
	if got := RunTick(t, makes, given); len(got) != 1 || got[0].Row != -1 {
		t.Errorf("%+v", got)
	}
	given.KeepState = false
	if got := RunTick(t, makes, given); got != nil {
		t.Errorf("%+v", got)
	}
	if err := check.State.Set(strings.Repeat("k", 129), ""); err == nil {
		t.Error("a long key")
	}
	if err := check.State.Set("k", strings.Repeat("v", 4097)); err == nil {
		t.Error("a long value")
	}
}

func TestAnErrorOfTheCheckComesOut(t *testing.T) {
	_, err := Try(making(func(*check.Row, *check.Findings) error { return errors.New("mine") }),
		Given{Manifest: manifest(t), Messages: []*Message{NewMessage("ADT^A01")}})
	if err == nil || err.Error() != "mine" {
		t.Error(err)
	}
}

func TestRowsCanBeGivenByTheNamesOfTheirFields(t *testing.T) {
	m := manifest(t)
	m.Fields = []string{"@about", "@outcome", "@tries"}
	makes := making(func(row *check.Row, out *check.Findings) error {
		if row.At("@outcome").Outcome() == check.Errored {
			out.Push(check.NewFinding("seen", check.Info))
		}
		return nil
	})
	told := []map[string]string{{"@about": "outcome", "@outcome": "accepted"}, {"@about": "outcome", "@outcome": "errored", "@tries": "3"}}
	if got := Run(t, makes, Given{Manifest: m, Told: told}); len(got) != 1 || got[0].Row != 1 {
		t.Errorf("%+v", got)
	}
	if _, err := Try(makes, Given{Manifest: m, Told: []map[string]string{{"@event": "reset"}}}); err == nil || !strings.Contains(err.Error(), "@event is not among") {
		t.Error(err)
	}
}
