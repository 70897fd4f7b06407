package checktest

import (
	"fmt"
	"strings"

	"feedpulse/check"
)

// Message is put together piece by piece.
type Message struct{ segments []string }

var count int

// NewMessage is a message with an MSH segment of the given type, ready to be filled:
//
//	checktest.NewMessage("ADT^A01").Set("PID-3.1", "1001").Set("PID-3.4", "HOSP").Set("OBX[2]-5", "7").Add("ZPV|1|X")
func NewMessage(kind string) *Message {
	count++
	return &Message{[]string{fmt.Sprintf(`MSH|^~\&|APP|HOSPITAL|PORTAL|HOSPITAL|20231114221320||%s|T%d|P|2.5.1`, kind, count)}}
}

// Parse makes a message of a text that starts with `MSH|^~\&`.
func Parse(text string) (*Message, error) {
	m := &Message{segments(text)}
	if len(m.segments) == 0 || !strings.HasPrefix(m.segments[0], `MSH|^~\&`) {
		return nil, fmt.Errorf(`a message of a test starts with MSH|^~\&`)
	}
	return m, nil
}

// Set sets what a path names, as it is sent: [check.Escape] a text that may hold delimiters. Segments,
// fields and parts that are missing are added. Panics for what is no path.
func (m *Message) Set(path, value string) *Message {
	at, err := check.ParsePath(path)
	if err != nil {
		panic(err)
	}
	if at.Segment == "MSH" && at.Field <= 2 {
		panic("MSH-1 and MSH-2 stay as they are")
	}
	n := m.need(at.Segment, max(at.Occurrence, 1))
	levels := []struct {
		separator string
		n         int
	}{{"|", column(at)}, {"~", at.Repetition}, {"^", at.Component}, {"&", at.Subcomponent}}
	if at.Component > 0 && at.Repetition == 0 {
		levels[1].n = 1
	}
	var put func(text string, level int) string
	put = func(text string, level int) string {
		if level == len(levels) || levels[level].n == 0 {
			return value
		}
		parts := strings.Split(text, levels[level].separator)
		for len(parts) < levels[level].n {
			parts = append(parts, "")
		}
		parts[levels[level].n-1] = put(parts[levels[level].n-1], level+1)
		return strings.Join(parts, levels[level].separator)
	}
	m.segments[n] = put(m.segments[n], 0)
	return m
}

// Add adds a segment at the end.
func (m *Message) Add(segment string) *Message {
	m.segments = append(m.segments, segment)
	return m
}

// String is the message as sent, segments ended by carriage returns.
func (m *Message) String() string { return strings.Join(m.segments, "\r") + "\r" }

// need says where the n-th segment of a name is; missing ones are added at the end.
func (m *Message) need(name string, n int) int {
	for i, segment := range m.segments {
		if id, _, _ := strings.Cut(segment, "|"); id == name {
			if n--; n == 0 {
				return i
			}
		}
	}
	for ; n > 0; n-- {
		m.segments = append(m.segments, name)
	}
	return len(m.segments) - 1
}

func segments(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == '\r' || c == '\n' })
}

// join gives the declared fields of a message as the host joins them.
func join(text string, names []string, receivedMs uint64, key string) string {
	lines := segments(text)
	out := make([]string, len(names))
	for n, name := range names {
		switch {
		case name == "@received-ms":
			out[n] = fmt.Sprint(receivedMs)
		case name == "@key":
			out[n] = key
		case name == "@type" && len(lines) > 0:
			out[n] = nth(lines[0], "|", 9)
		case name == "@urgency":
			out[n] = "routine"
		default:
			if path, err := check.ParsePath(name); err == nil {
				out[n] = declared(lines, path)
			}
		}
	}
	return strings.Join(out, "\x1f")
}

func declared(lines []string, path check.Path) string {
	var out []string
	for _, line := range lines {
		if id, _, _ := strings.Cut(line, "|"); id == path.Segment {
			out = append(out, occurrence(line, path))
		}
	}
	return strings.Join(out, "\x1c")
}

func occurrence(line string, path check.Path) string {
	if path.Segment == "MSH" && path.Field <= 2 {
		return []string{"|", nth(line, "|", 2)}[path.Field-1]
	}
	parts := strings.Split(nth(line, "|", column(path)), "~")
	for n, part := range parts {
		if path.Component > 0 {
			part = nth(part, "^", path.Component)
		}
		if path.Subcomponent > 0 {
			part = nth(part, "&", path.Subcomponent)
		}
		// escape sequences are resolved in what has no parts
		if !strings.ContainsAny(part, "^&") {
			part = check.Unescape(part)
		}
		parts[n] = strings.Map(func(c rune) rune {
			if c >= 0x1c && c <= 0x1f {
				return '\ufffd'
			}
			return c
		}, part)
	}
	return strings.Join(parts, "\x1d")
}

// column counts from one less in MSH, whose first field is the separator itself.
func column(path check.Path) int {
	if path.Segment == "MSH" {
		return path.Field
	}
	return path.Field + 1
}

func nth(text, separator string, n int) string {
	if parts := strings.Split(text, separator); n <= len(parts) {
		return parts[n-1]
	}
	return ""
}
