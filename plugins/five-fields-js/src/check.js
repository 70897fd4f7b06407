// Five fields must be valued: the check by which languages are compared.

import { Finding, Level } from "feedpulse-check";

const NAMES = ["MSH-9", "MSH-10", "PID-3", "PID-5", "PV1-2"];

export function check(row, out) {
  const texts = row.texts();
  for (let n = 0; n < NAMES.length; n++) {
    if (texts[n] === "") out.push(new Finding("missing-field", Level.ERROR).at(NAMES[n]));
  }
}
