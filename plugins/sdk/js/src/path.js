// Paths such as OBX[2]-5[1].1.2, and where among the declared fields their value is.

const FORM = /^([A-Z][A-Z0-9]{2})(?:\[(\d{1,4})\])?-(\d{1,4})(?:\[(\d{1,4})\])?(?:\.(\d{1,4})(?:\.(\d{1,4}))?)?$/;

const number = (text) => (text === undefined ? null : Number(text));

/** The parts of a path, or an error that says what is expected. */
export function parse(path) {
  const found = FORM.exec(path);
  const numbers = found?.slice(2).map(number);
  if (!found || numbers.includes(0)) {
    throw new Error(`\`${path}\` is no path; a path is like PID-3, PID-3.1 or OBX[2]-5[1].1.2, counted from 1`);
  }
  const [occurrence, field, repetition, component, subcomponent] = numbers;
  return { segment: found[1], occurrence, field, repetition, component, subcomponent };
}

/** The declared fields of a check, in order, and the paths that were looked up before. */
export class Declared {
  #known = new Map();

  constructor(names) {
    this.names = names;
  }

  /**
   * Where a path's value is: the index of a declared field, and what of it is still to be taken.
   * The most exact declared field serves: `PID-3.1`, else `PID-3`.
   */
  find(path) {
    const before = this.#known.get(path);
    if (before !== undefined) return before;
    const place = this.#search(path);
    // authors write paths down, but a made-up one per message must not fill the memory
    if (this.#known.size < 256) this.#known.set(path, place);
    return place;
  }

  #search(path) {
    const exact = this.names.indexOf(path);
    if (exact >= 0) return { index: exact, exact: true };
    if (path.startsWith("@")) throw this.#undeclared(path);
    const parts = parse(path);
    const whole = `${parts.segment}-${parts.field}`;
    const { component, subcomponent } = parts;
    const rest = { ...parts, exact: false };
    if (subcomponent !== null) {
      const index = this.names.indexOf(`${whole}.${component}.${subcomponent}`);
      if (index >= 0) return { ...rest, index, component: null, subcomponent: null };
    }
    if (component !== null) {
      const index = this.names.indexOf(`${whole}.${component}`);
      if (index >= 0) return { ...rest, index, component: null };
    }
    const index = this.names.indexOf(whole);
    if (index < 0) throw this.#undeclared(path);
    return { ...rest, index };
  }

  #undeclared(path) {
    return new Error(`${path} is not among the fields of plugin.toml; there are: ${this.names.join(", ")}`);
  }
}
