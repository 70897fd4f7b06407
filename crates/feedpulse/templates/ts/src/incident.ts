// __summary__

import type { Findings, Row } from "feedpulse-check";

/** Looks at one message. What plugin.toml declares can be read here: __paths__. */
export function check(row: Row, _out: Findings): void {
  const _value = row.value("__path__");
  // To do: find it. When the message is wrong, say so and return:
  //
  //   import { Finding, Level } from "feedpulse-check";
  //   _out.push(new Finding("__code__", Level.WARNING).at("__at__"));
  throw new Error("to do: src/check.ts does not say yet when a message is wrong");
}
