package checktest

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// Manifest is what plugin.toml says, as far as tests need it.
type Manifest struct {
	Fields, Grants []string
	// Codes have their level.
	Codes map[string]string
	Attrs map[string]Attr
}

// Attr is what an attribute may be: one of the values, or a whole number in the range.
type Attr struct {
	Values   []string
	Min, Max int64
}

var (
	header = regexp.MustCompile(`^\[\s*([A-Za-z0-9_."-]+)\s*\]\s*(?:#.*)?$`)
	entry  = regexp.MustCompile(`^([A-Za-z0-9_-]+)\s*=\s*`)
	token  = regexp.MustCompile(`^(?:"(?:[^"\\]|\\.)*"|'[^']*'|[+-]?[0-9][0-9_]*|true|false|[\[\],]|#[^\n]*|\s+)`)
)

// ReadManifest reads the plugin.toml at a path: tables, texts, numbers and lists of texts, which is all that
// a manifest holds. The host reads it with a whole TOML parser when the check is built.
func ReadManifest(path string) (*Manifest, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w; run the tests in the folder of the check, or name its manifest", err)
	}
	return parseManifest(string(text), path)
}

func parseManifest(text, path string) (*Manifest, error) {
	m := &Manifest{Codes: map[string]string{}, Attrs: map[string]Attr{}}
	table := ""
	lines := strings.Split(text, "\n")
	for n := 0; n < len(lines); n++ {
		at, line := n+1, strings.TrimSpace(lines[n])
		if line == "" || line[0] == '#' {
			continue
		}
		if found := header.FindStringSubmatch(line); found != nil {
			table = strings.ReplaceAll(found[1], `"`, "")
			continue
		}
		name := entry.FindString(line)
		values, ok := read(line[len(name):])
		// a list may go over several lines
		for name != "" && !ok && strings.HasPrefix(line[len(name):], "[") && n+1 < len(lines) {
			n++
			line += "\n" + lines[n]
			values, ok = read(line[len(name):])
		}
		if name == "" || !ok {
			return nil, fmt.Errorf("%s:%d: this line is not understood: %s", path, at, line)
		}
		m.take(table, strings.TrimRight(strings.TrimSpace(name), " ="), values)
	}
	return m, nil
}

// take keeps an entry that tests need.
func (m *Manifest) take(table, name string, values []string) {
	kind, item, _ := strings.Cut(table, ".")
	attr := m.Attrs[item]
	whole := func() int64 {
		n, _ := strconv.ParseInt(strings.ReplaceAll(values[0], "_", ""), 10, 64)
		return n
	}
	switch kind + "/" + name {
	case "/fields":
		m.Fields = values
	case "/grants":
		m.Grants = values
	case "codes/level":
		m.Codes[item] = values[0]
	case "attrs/values":
		attr.Values = values
	case "attrs/min":
		attr.Min = whole()
	case "attrs/max":
		attr.Max = whole()
	}
	if kind == "attrs" {
		m.Attrs[item] = attr
	}
}

// read gives the one value of a text, or those of its list; false when there is none or it does not end.
func read(text string) (values []string, ok bool) {
	isList, closed := strings.HasPrefix(text, "["), false
	for text != "" {
		word := token.FindString(text)
		if word == "" {
			return nil, false
		}
		text = text[len(word):]
		switch word[0] {
		case '[', ',', ' ', '\t', '\n', '\r', '#':
		case ']':
			closed = true
		case '"':
			value, err := strconv.Unquote(word)
			if err != nil {
				return nil, false
			}
			values = append(values, value)
		default:
			values = append(values, strings.Trim(word, "'"))
		}
	}
	return values, isList == closed && (isList || len(values) == 1)
}
