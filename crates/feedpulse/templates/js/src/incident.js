// __summary__

/**
 * Looks at one message. What plugin.toml declares can be read here: __paths__.
 * @type {import("feedpulse-check").CheckModule["check"]}
 */
export function check(row, _out) {
  const _value = row.value("__path__");
  // To do: find it. When the message is wrong, say so and return:
  //
  //   import { Finding, Level } from "feedpulse-check";
  //   _out.push(new Finding("__code__", Level.WARNING).at("__at__"));
  throw new Error("to do: src/check.js does not say yet when a message is wrong");
}
