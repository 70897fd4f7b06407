// Between the functions of the interface and an author's module.

import { Findings } from "./finding.js";
import { Declared } from "./path.js";
import { ROW, Row } from "./row.js";

/** The functions of an author's module for the declared fields, as the interface has them. */
export function runtime(author, names) {
  if (typeof author.check !== "function") {
    throw new TypeError("a check's module exports a function `check(row, out)`");
  }
  const declared = new Declared(names);
  const { check } = author;
  return {
    init(config) {
      if (author.init) author.init(config.trim() === "" ? {} : JSON.parse(config));
      else if (config.trim() !== "" && config.trim() !== "{}") {
        throw new Error("this check has no settings; leave them out");
      }
    },
    check(batch) {
      const out = new Findings();
      const row = new Row(declared, batch.feed, batch.nowMs);
      const rows = batch.rows.split(ROW);
      for (let index = 0; index < rows.length; index++) {
        row.index = out.row = index;
        row.text = rows[index];
        check(row, out);
      }
      return out.records;
    },
    tick(feed, nowMs) {
      const out = new Findings();
      author.tick(feed, nowMs, out);
      return out.records;
    },
  };
}
