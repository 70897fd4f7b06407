// What a check concludes.

export const Level = Object.freeze({
  INFO: "info",
  WARNING: "warning",
  ERROR: "error",
  CRITICAL: "critical",
});

export class Finding {
  #place = "";
  #attrs = [];
  #words = "";

  constructor(code, level) {
    this.code = code;
    this.level = level;
  }

  at(path) {
    this.#place = path;
    return this;
  }

  attr(name, value) {
    this.#attrs.push([name, String(value)]);
    return this;
  }

  text(words) {
    this.#words = words;
    return this;
  }

  /** The record of the interface; `row` is null for a finding of a tick. */
  record(row) {
    const { code, level } = this;
    return { row, code, level, at: this.#place, attrs: this.#attrs, text: this.#words };
  }
}

export class Findings {
  /** Index of the row at hand, null in a tick; set by the kit. */
  row = null;
  records = [];

  push(finding) {
    this.records.push(finding.record(this.row));
  }
}
