// The kit of a check author. What everything means stands in ../index.d.ts, which editors show.

export { About, AckCode, Event, Outcome, Reason, isWell } from "./about.js";
export { Finding, Findings, Level } from "./finding.js";
export { log, state } from "./host.js";
export { Field, Row } from "./row.js";
export { withDefaults } from "./settings.js";
export { escape, unescape } from "./text.js";
export { Timestamp } from "./timestamp.js";
