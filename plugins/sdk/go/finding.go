package check

import "strconv"

// Level is how bad, from "for the record" to "somebody must act".
type Level uint8

const (
	// Info is for the record.
	Info Level = iota
	// Warning is to be looked at when there is time.
	Warning
	// Error says that something is wrong.
	Error
	// Critical says that somebody must act now.
	Critical
)

// String is the level's name in plugin.toml.
func (l Level) String() string {
	return [...]string{"info", "warning", "error", "critical"}[l&3]
}

// Attr is a name of [attrs] in plugin.toml with its value.
type Attr struct{ Name, Value string }

// Finding is one conclusion. Only what plugin.toml declares may go into it: no patient data can get out.
type Finding struct {
	// Row is the index of the message; HasRow is false for a finding about the feed. Set by the kit.
	Row    uint32
	HasRow bool
	// Code is one of [codes] in plugin.toml; its words stand there.
	Code string
	// Level is lowered to the one that plugin.toml gives to the code.
	Level Level
	// Place is an HL7 path; empty = the whole message.
	Place string
	Attrs []Attr
	// Words pass only under the grant free-text.
	Words string
}

// NewFinding is a finding about the whole message:
//
//	out.Push(check.NewFinding("late", check.Error).At("OBX[2]-11").AttrInt("minutes", 90))
func NewFinding(code string, level Level) Finding { return Finding{Code: code, Level: level} }

// At says where, as `OBX[2]-11`. The segment is one of which a field is declared.
func (f Finding) At(path string) Finding {
	f.Place = path
	return f
}

// Attr adds an attribute with a value that [attrs] lists.
func (f Finding) Attr(name, value string) Finding {
	f.Attrs = append(f.Attrs, Attr{name, value})
	return f
}

// AttrInt adds an attribute that is a whole number in the range of [attrs].
func (f Finding) AttrInt(name string, value int64) Finding {
	return f.Attr(name, strconv.FormatInt(value, 10))
}

// Text adds free words, which pass only under the grant free-text. Keep patients out of them.
func (f Finding) Text(words string) Finding {
	f.Words = words
	return f
}

// Findings takes findings.
type Findings struct {
	// All is what was found so far.
	All    []Finding
	row    uint32
	hasRow bool
}

// Push adds a finding about the row at hand, or in a tick about the feed.
func (o *Findings) Push(finding Finding) {
	finding.Row, finding.HasRow = o.row, o.hasRow
	o.All = append(o.All, finding)
}
