// __summary__

import { Finding, Level } from "feedpulse-check";

/**
 * Once for each message. It has no settings; what must be remembered between messages belongs into `state`.
 * @type {import("feedpulse-check").CheckModule["check"]}
 */
export function check(row, out) {
  // by the paths of `fields` in plugin.toml
  if (row.value("PV1-2") === "E" && row.at("PV2-3").isEmpty) {
    out.push(new Finding("reason-missing", Level.WARNING).at("PV2-3"));
  }
}
