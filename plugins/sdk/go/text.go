package check

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

var escaping = strings.NewReplacer("|", `\F\`, "^", `\S\`, "&", `\T\`, "~", `\R\`, `\`, `\E\`, "\r\n", `\.br\`, "\r", `\.br\`, "\n", `\.br\`)

// Escape makes a text fit to be put into a message (HL7 v2.5.1 §2.7): Escape("a^b") is `a\S\b`.
func Escape(text string) string { return escaping.Replace(text) }

// Unescape is the other way round; what is no escape sequence stays. The delimiters are the standard
// ones: the host hands over values that have them, whatever the message used.
func Unescape(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var out strings.Builder
	for {
		plain, after, more := strings.Cut(text, `\`)
		out.WriteString(plain)
		if !more {
			return out.String()
		}
		name, rest, closed := strings.Cut(after, `\`)
		if means, ok := sequence(name); closed && ok {
			out.WriteString(means)
			text = rest
		} else {
			out.WriteByte('\\')
			text = after
		}
	}
}

// sequence is what one stands for; false when it is none.
func sequence(text string) (string, bool) {
	switch text {
	case "F":
		return "|", true
	case "S":
		return "^", true
	case "T":
		return "&", true
	case "R":
		return "~", true
	case "E":
		return `\`, true
	case "P":
		return "#", true
	case "H", "N":
		return "", true
	case ".br", ".sp":
		return "\n", true
	}
	digits, isHex := strings.CutPrefix(text, "X")
	raw, err := hex.DecodeString(digits)
	if !isHex || err != nil || len(raw) == 0 {
		return "", false
	}
	if utf8.Valid(raw) {
		return string(raw), true
	}
	latin := make([]rune, len(raw))
	for n, b := range raw {
		latin[n] = rune(b)
	}
	return string(latin), true
}
