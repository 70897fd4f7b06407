package check

import (
	"fmt"
	"strings"
	"testing"
)

func row(names string, texts ...string) *Row {
	return &Row{declared: newDeclared(strings.Split(names, ",")), text: strings.Join(texts, fieldSeparator)}
}

func TestAPathNamesADeclaredFieldAndWhatIsInIt(t *testing.T) {
	r := row("OBX-5,PID-3,PID-3.4,ZPV-2", "7\x1ca^b&c\x1dd^e\\T\\f", "1^^^H&1.2&ISO~no", "H&1.2&ISO", "z")
	for path, want := range map[string]string{
		"OBX[2]-5[1].2.2": "c", "OBX[2]-5[2].2": "e&f", "OBX[1]-5.1": "7", "OBX[1]-5.2": "", "OBX[3]-5": "",
		"PID-3.4.2": "1.2", "ZPV-2": "z",
	} {
		if got := r.At(path).Text(); got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
	if r.Value("OBX-5") != "7" || r.Field(3).Text() != "z" || r.Field(9).Text() != "" {
		t.Error("by number")
	}
}

func TestAPathThatIsNotDeclaredPanicsAndSaysWhatIsThere(t *testing.T) {
	r := row("PID-3.1", "1")
	for path, said := range map[string]string{
		"PID-5": "PID-5 is not among the fields of plugin.toml; there are: PID-3.1",
		"PID-3": "not among", "PID3": "is no path", "PID-0": "counted from 1", "@key": "not among",
		"PID-1[": "is no path", "PID-1.2.3.4": "is no path", "PID-12345": "is no path",
	} {
		func() {
			defer func() {
				if why := fmt.Sprint(recover()); !strings.Contains(why, said) {
					t.Errorf("%s: %s", path, why)
				}
			}()
			r.At(path)
		}()
	}
}

func TestEmptyNullAndValuedAreThreeThings(t *testing.T) {
	null := FieldOf(`""`)
	if !FieldOf("").IsEmpty() || !FieldOf("\x1c\x1d").IsEmpty() || null.IsEmpty() || !null.IsNull() || FieldOf("").IsNull() {
		t.Error("empty and null")
	}
}

func TestPartsBelongTogetherByPosition(t *testing.T) {
	r := row("OBX-3.1,OBX-11", "GLU\x1c\x1cNA", "F\x1cP\x1cC")
	statuses, told := r.At("OBX-11").Occurrences(), ""
	for n, code := range r.At("OBX-3.1").Occurrences() {
		told += code.Text() + "=" + statuses[n].Text() + " "
	}
	if told != "GLU=F =P NA=C " {
		t.Error(told)
	}
}

func TestNumbersAreRead(t *testing.T) {
	for text, want := range map[string]float64{" 7.50 ": 7.5, "-.5": -0.5} {
		if got, ok := FieldOf(text).Number(); !ok || got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	for _, text := range []string{"", "7 mg", "1e5", "0x10", ">7", ".", "1_0", "NaN"} {
		if _, ok := FieldOf(text).Number(); ok {
			t.Error(text)
		}
	}
}

func TestEscapeSequencesAreResolvedAndMade(t *testing.T) {
	for text, want := range map[string]string{
		`a\T\b\F\c\S\d\R\e\E\f`: `a&b|c^d~e\f`, `\H\x\N\\.br\y`: "x\ny", `\XC3A9\ \XE9\`: "é é",
		`\Xz\ \Q\ c:\dir`: `\Xz\ \Q\ c:\dir`, `c:\dir\F\x`: `c:\dir|x`,
	} {
		if got := Unescape(text); got != want {
			t.Errorf("%s: %q", text, got)
		}
	}
	for _, text := range []string{"a|b^c&d~e\\f", "plain", `é\`, ""} {
		if got := Unescape(Escape(text)); got != text {
			t.Errorf("%q", got)
		}
	}
}

func TestNothingShowsAValue(t *testing.T) {
	r := row("PID-5", "DOE")
	if told := fmt.Sprintf("%v %#v %v %#v %+v", r, r, r.Field(0), r.Field(0), r.Field(0)); strings.Contains(told, "DOE") {
		t.Error(told)
	}
}

func TestTimeStamps(t *testing.T) {
	for text, want := range map[string]string{
		"2026": "year 1767225600000", "202602": "month 1769904000000", "20240229": "day 1709164800000",
		"2026030112": "hour 1772366400000", "202603011205": "minute 1772366700000",
		"20260301120506.1234": "second 1772366706123", "20260301120000-0530": "second 1772386200000",
		"19000101^D": "day -2208988800000",
	} {
		if stamp, ok := ParseTimestamp(text); !ok || fmt.Sprint(stamp.Precision, " ", stamp.UTCMs(0)) != want {
			t.Errorf("%s: %+v", text, stamp)
		}
	}
	for _, text := range []string{"", "26", "20261301", "20260230", "20230229", "2026030125", "202603011260", "20260301120000.",
		"20260301120000+1500", "20260301120000+0160", "2026-03-01", "202603011", `""`, "today"} {
		if stamp, ok := ParseTimestamp(text); ok {
			t.Errorf("%s: %+v", text, stamp)
		}
	}
	zoned, _ := ParseTimestamp("20260301120000+0100")
	bare, _ := ParseTimestamp("20260301120000")
	if zoned.OffsetMinutes != 60 || bare.HasOffset || bare.UTCMs(60) != bare.LocalMs-3_600_000 {
		t.Error("zones")
	}
}

func TestRowsAboutAcksOutcomesAndConnectionsSayWords(t *testing.T) {
	r := row("@about,@ack-code,@reason,@ack-ms,@tries,@event,@outcome", "ack", "AE", "unknown_key", "1200", "", "reset", "no_ack")
	if r.At("@about").About() != AboutAck || r.At("@ack-code").AckCode() != AE || r.At("@reason").Reason() != ReasonUnknownKey {
		t.Error("words of an ACK")
	}
	if n, ok := r.At("@ack-ms").Count(); n != 1200 || !ok {
		t.Error(n)
	}
	if _, ok := r.At("@tries").Count(); ok {
		t.Error("empty is no number")
	}
	if r.At("@event").Event() != Reset || r.At("@outcome").Outcome() != NoAck {
		t.Error("words of a connection, of an outcome")
	}
	if !Filtered.IsWell() || PartlyDelivered.IsWell() {
		t.Error("well or not")
	}
}
