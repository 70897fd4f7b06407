package check

import (
	"errors"
	"slices"
	"strings"
)

// Path is a place in a message; 0 = not named.
type Path struct {
	Segment                                                string
	Occurrence, Field, Repetition, Component, Subcomponent int
}

// ParsePath reads `OBX[2]-5[1].1.2`; all behind the field may lack.
func ParsePath(text string) (Path, error) {
	wrong := errors.New("`" + text + "` is no path; a path is like PID-3, PID-3.1 or OBX[2]-5[1].1.2, counted from 1")
	if len(text) < 5 || text[0] < 'A' || text[0] > 'Z' {
		return Path{}, wrong
	}
	p, rest := Path{Segment: text[:3]}, text[3:]
	ok := !strings.ContainsFunc(p.Segment, func(c rune) bool { return (c < 'A' || c > 'Z') && (c < '0' || c > '9') })
	index := func(into *int) {
		if strings.HasPrefix(rest, "[") {
			*into, rest = number(rest[1:])
			ok = ok && *into > 0 && strings.HasPrefix(rest, "]")
			rest = strings.TrimPrefix(rest, "]")
		}
	}
	part := func(into *int) {
		if strings.HasPrefix(rest, ".") {
			*into, rest = number(rest[1:])
			ok = ok && *into > 0
		}
	}
	index(&p.Occurrence)
	if !strings.HasPrefix(rest, "-") {
		return Path{}, wrong
	}
	p.Field, rest = number(rest[1:])
	index(&p.Repetition)
	part(&p.Component)
	part(&p.Subcomponent)
	if !ok || p.Field == 0 || rest != "" {
		return Path{}, wrong
	}
	return p, nil
}

// number reads up to four digits; 0 when there is none.
func number(text string) (n int, rest string) {
	for len(text) > 0 && text[0] >= '0' && text[0] <= '9' && n < 1000 {
		n, text = n*10+int(text[0]-'0'), text[1:]
	}
	return n, text
}

// found is the index of a declared field, and what of it is still to be taken; 0 = all of it.
type found struct {
	index                                           int
	exact                                           bool
	occurrence, repetition, component, subcomponent int
}

// declared are the declared fields of a check, in order, and the paths that were looked up before.
type declared struct {
	names []string
	known map[string]found
}

func newDeclared(names []string) *declared {
	return &declared{names: names, known: map[string]found{}}
}

// find says where a path's value is; the most exact declared field serves: PID-3.1, else PID-3.
func (d *declared) find(path string) found {
	place, ok := d.known[path]
	if !ok {
		place = d.search(path)
		// authors write paths down, but a made-up one per message must not fill the memory
		if len(d.known) < 256 {
			d.known[path] = place
		}
	}
	return place
}

func (d *declared) search(path string) found {
	if n := slices.Index(d.names, path); n >= 0 {
		return found{index: n, exact: true}
	}
	if !strings.HasPrefix(path, "@") {
		p, err := ParsePath(path)
		if err != nil {
			panic(err)
		}
		for n, name := range d.names {
			if own, err := ParsePath(name); err == nil && holds(own, p) && !d.closer(own, p) {
				place := found{index: n, occurrence: p.Occurrence, repetition: p.Repetition}
				if own.Component == 0 {
					place.component, place.subcomponent = p.Component, p.Subcomponent
				} else if own.Subcomponent == 0 {
					place.subcomponent = p.Subcomponent
				}
				return place
			}
		}
	}
	panic(errors.New(path + " is not among the fields of plugin.toml; there are: " + strings.Join(d.names, ", ")))
}

// holds says whether a declared field has what a path names.
func holds(own, p Path) bool {
	return own.Segment == p.Segment && own.Field == p.Field &&
		(own.Component == 0 || own.Component == p.Component) &&
		(own.Subcomponent == 0 || own.Subcomponent == p.Subcomponent)
}

// closer says whether another declared field is more exact than this one.
func (d *declared) closer(own, p Path) bool {
	return slices.ContainsFunc(d.names, func(name string) bool {
		other, err := ParsePath(name)
		return err == nil && holds(other, p) && depth(other) > depth(own)
	})
}

func depth(p Path) int { return min(p.Component, 1) + min(p.Subcomponent, 1) }
