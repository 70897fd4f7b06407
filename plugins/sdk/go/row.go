package check

import (
	"strconv"
	"strings"
)

const (
	rowSeparator        = "\x1e"
	fieldSeparator      = "\x1f"
	repetitionSeparator = "\x1d"
	occurrenceSeparator = "\x1c"
)

// Row is one message: the fields that plugin.toml declares.
type Row struct {
	declared *declared
	feed     string
	nowMs    uint64
	index    uint32
	text     string
	texts    []string
}

// Feed is the name of the feed, as configured.
func (r *Row) Feed() string { return r.feed }

// NowMs is the host's wall clock, milliseconds since 1970.
func (r *Row) NowMs() uint64 { return r.nowMs }

// Index is the place in the batch.
func (r *Row) Index() uint32 { return r.index }

// Texts are all declared fields in order, good until the next row: the cheapest way.
func (r *Row) Texts() []string {
	if len(r.texts) > 0 {
		return r.texts
	}
	for rest, more := r.text, true; more; {
		var one string
		one, rest, more = strings.Cut(rest, fieldSeparator)
		r.texts = append(r.texts, one)
	}
	return r.texts
}

// Field is a declared field by its number from 0; empty when the message does not value it.
func (r *Row) Field(n int) Field {
	if texts := r.Texts(); n >= 0 && n < len(texts) {
		return Field{texts[n]}
	}
	return Field{}
}

// At is what a path names. A path may go deeper than the declared field: with OBX-5 declared,
// OBX[2]-5[1].1 is there too. A path without [n] names all occurrences and repetitions; a component is that
// of the first. Panics for a path that no declared field holds.
//
//	len(row.At("PID-3").Repetitions())  // how many identifiers
//	row.At("OBX[2]-5.1").Text()
//	row.At("ZPV-2").IsEmpty()           // Z segments are like any other
func (r *Row) At(path string) Field {
	found := r.declared.find(path)
	field := r.Field(found.index)
	if found.exact {
		return field
	}
	if found.occurrence > 0 {
		field = field.Occurrence(found.occurrence)
	}
	if found.repetition > 0 {
		field = field.Repetition(found.repetition)
	}
	if found.component > 0 {
		field = field.Component(found.component)
	}
	if found.subcomponent > 0 {
		field = field.Subcomponent(found.subcomponent)
	}
	return field
}

// Value is the text of the first occurrence and repetition: row.Value("PID-3.4").
func (r *Row) Value(path string) string { return r.At(path).First().Text() }

// Get is any field of the message by path, as the host joins it; false without the grant get.
func (r *Row) Get(path string) (string, bool) { return host.messageGet(r.index, path) }

// Raw is the whole message; false without the grant raw.
func (r *Row) Raw() (string, bool) { return host.messageRaw(r.index) }

// String never shows a value: rows hold patient data.
func (r *Row) String() string { return "Row(" + strconv.Itoa(int(r.index)) + ")" }

// GoString never shows a value.
func (r *Row) GoString() string { return r.String() }

// Field is the text of a field, with its occurrences, repetitions and parts. Numbers count from 1, as in
// HL7.
type Field struct{ text string }

// FieldOf makes a field of a text.
func FieldOf(text string) Field { return Field{text} }

// Text is the field as handed over, separators included where there are any. Escape sequences of a text
// without parts are resolved.
func (f Field) Text() string { return f.text }

// IsEmpty says whether nothing is valued. HL7 does not tell absent from empty.
func (f Field) IsEmpty() bool {
	return strings.Trim(f.text, occurrenceSeparator+repetitionSeparator) == ""
}

// IsNull says whether it is HL7's explicit null "": the sender deletes what the receiver has.
func (f Field) IsNull() bool { return f.text == `""` }

// Occurrences are one per occurrence of the segment. Those of fields of one segment belong together:
//
//	statuses := row.At("OBX-11").Occurrences()
//	for n, code := range row.At("OBX-3.1").Occurrences() {
//		look(code.Text(), statuses[n].Text())
//	}
func (f Field) Occurrences() []Field { return split(f.text, occurrenceSeparator) }

// Occurrence is the n-th occurrence of the segment, empty where there are fewer.
func (f Field) Occurrence(n int) Field { return nth(f.text, occurrenceSeparator, n) }

// Repetitions are one per repetition.
func (f Field) Repetitions() []Field { return split(f.text, repetitionSeparator) }

// Repetition is the n-th repetition, empty where there are fewer.
func (f Field) Repetition(n int) Field { return nth(f.text, repetitionSeparator, n) }

// Values are every single value, of each repetition in each occurrence, at least one.
func (f Field) Values() []Field {
	return split(strings.ReplaceAll(f.text, repetitionSeparator, occurrenceSeparator), occurrenceSeparator)
}

// First is the first repetition of the first occurrence.
func (f Field) First() Field { return f.Occurrence(1).Repetition(1) }

// Components are those of [Field.First], at least one.
func (f Field) Components() []Field {
	text := f.First().text
	parts := split(text, "^")
	if len(parts) == 1 {
		return parts
	}
	for n := range parts {
		if !strings.Contains(parts[n].text, "&") {
			parts[n].text = Unescape(parts[n].text)
		}
	}
	return parts
}

// Component is the n-th one: row.At("PID-5").Component(1).Text() is the family name.
func (f Field) Component(n int) Field { return pick(f.Components(), n) }

// Subcomponents are those of the first component, at least one.
func (f Field) Subcomponents() []Field {
	parts := split(f.Component(1).text, "&")
	if len(parts) == 1 {
		return parts
	}
	for n := range parts {
		parts[n].text = Unescape(parts[n].text)
	}
	return parts
}

// Subcomponent is the n-th one: row.At("PID-3").Component(4).Subcomponent(2).
func (f Field) Subcomponent(n int) Field { return pick(f.Subcomponents(), n) }

// Number is the value as a number; false when it is none.
func (f Field) Number() (float64, bool) {
	text := strings.TrimSpace(f.First().text)
	if strings.Trim(text, "+-.0123456789") != "" {
		return 0, false
	}
	value, err := strconv.ParseFloat(text, 64)
	return value, err == nil
}

// Timestamp is the value as a time stamp; false when it is none.
func (f Field) Timestamp() (Timestamp, bool) { return ParseTimestamp(f.First().text) }

// String never shows the value: fields hold patient data.
func (f Field) String() string { return "Field(" + strconv.Itoa(len(f.text)) + ")" }

// GoString never shows the value.
func (f Field) GoString() string { return f.String() }

func split(text, separator string) []Field {
	texts := strings.Split(text, separator)
	out := make([]Field, len(texts))
	for n, one := range texts {
		out[n].text = one
	}
	return out
}

func pick(parts []Field, n int) Field {
	if n < 1 || n > len(parts) {
		return Field{}
	}
	return parts[n-1]
}

// nth is the n-th part from 1, empty where there are fewer.
func nth(text, separator string, n int) Field {
	for more := n > 0; more; n-- {
		var one string
		one, text, more = strings.Cut(text, separator)
		if n == 1 {
			return Field{one}
		}
	}
	return Field{}
}
