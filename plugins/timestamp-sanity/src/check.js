// Finds time stamps that cannot be true. What each finding means stands in ../plugin.toml.
//
// Times without a zone are in that of MSH-7 (HL7 v2.5.1 §2.15.9.7), else in that of the setting `zone`, else
// unknown: then they are only called wrong when they would be in every zone of the earth.

import { Finding, Level, Timestamp, withDefaults } from "feedpulse-check";

/** What was measured, in the order of `fields`; PID-7 and PID-29 are days of a life, not of a message. */
const FIELDS = ["MSH-7", "EVN-2", "PID-7", "PID-29", "PV1-44", "PV1-45", "ORC-9", "OBR-7", "OBR-8", "OBR-22", "OBX-14"];
/** Nothing that is sent was done before the patient was born. */
const NOT_BEFORE_BIRTH = new Set(["EVN-2", "PV1-44", "OBR-7", "OBX-14"]);
/** Beginning and end of one thing: a receiver can rely on their order. */
const PAIRS = [["PV1-44", "PV1-45"], ["OBR-7", "OBR-8"], ["OBR-7", "OBR-22"]];
/** Days that stand for "none". The first day of 1970 is a birthday as well. */
const PLACEHOLDERS = new Set(["00010101", "18000101", "18991230", "18991231", "19000101", "99991231"]);
const MINUTE = 60_000;
const DAY = 1440 * MINUTE;
/** The earth's zones reach from -12:00 to +14:00. */
const FAR_EAST = 14 * 60;
const FAR_WEST = -12 * 60;
const YEAR_MINUTES = 525_600;

const DEFAULTS = { "future-minutes": 15, "oldest-year": 1990, "require-zone": false, zone: "" };

let settings = DEFAULTS;
/** The zone of the settings in minutes, null when there is none. */
let zone = null;

export function init(given) {
  settings = withDefaults(given, DEFAULTS);
  const { "future-minutes": minutes, "oldest-year": year } = settings;
  if (!Number.isInteger(minutes) || minutes < 0 || minutes > YEAR_MINUTES) {
    throw new Error("`future-minutes` must be a whole number from 0 to 525600");
  }
  if (!Number.isInteger(year) || year < 1800 || year > 2100) {
    throw new Error("`oldest-year` must be a year from 1800 to 2100");
  }
  const stamp = Timestamp.parse(`2000010100${settings.zone}`);
  if (settings.zone !== "" && stamp === null) throw new Error("`zone` must be like +0100 or -0500");
  zone = stamp?.offsetMinutes ?? null;
}

/** @type {import("feedpulse-check").CheckModule["check"]} */
export function check(row, out) {
  const texts = row.texts();
  const stamps = [];
  for (let n = 0; n < FIELDS.length; n++) {
    // most fields of most messages are not there
    if (texts[n] !== "") read(FIELDS[n], texts[n], stamps, out);
  }
  const first = stamps.find((stamp) => stamp.field === "MSH-7");
  const sent = first?.time.offsetMinutes ?? null;
  zones(stamps, sent, out);
  for (const stamp of stamps) {
    if (isPlaceholder(stamp)) {
      out.push(new Finding("placeholder-date", Level.WARNING).at(stamp.at).attr("field", stamp.field));
      stamp.usable = false;
    } else {
      future(stamp, sent ?? zone, row.nowMs, out);
    }
  }
  birth(stamps, out);
  for (const [begin, end] of PAIRS) order(stamps, begin, end, sent ?? zone, out);
}

/** Reads the occurrences of a field; what is no time is a finding. */
function read(field, text, stamps, out) {
  const [segment, number] = field.split("-");
  text.split("\u001c").forEach((occurrence, index) => {
    // HL7's explicit null deletes a time; it is none
    const value = occurrence.split("\u001d", 1)[0];
    if (value === "" || value === '""') return;
    const at = index === 0 ? field : `${segment}[${index + 1}]-${number}`;
    const time = Timestamp.parse(value);
    if (time) stamps.push({ field, index, at, time, day: value.slice(0, 8), usable: true });
    else out.push(new Finding("not-a-time", Level.ERROR).at(at).attr("field", field).attr("form", form(value)));
  });
}

/** What a value that is no time looks like. */
function form(value) {
  if (/^\d{4}-\d\d?-\d\d?|^\d{4}\/|^\d\d?[/.]\d\d?[/.]\d{4}|T\d\d:?\d\d/.test(value)) return "iso";
  if (/^1\d{9}(\d{3})?$/.test(value)) return "epoch";
  return /^(\d{4}|\d{6}|\d{8}|\d{10}|\d{12}|\d{14}(\.\d{1,4})?)([+-]\d{4})?$/.test(value) ? "calendar" : "other";
}

function isPlaceholder({ field, day, time }) {
  if (PLACEHOLDERS.has(day)) return true;
  const year = Number(day.slice(0, 4));
  const ofALife = field === "PID-7" || field === "PID-29";
  return time.precision !== "year" && year < (ofALife ? 1880 : settings["oldest-year"]);
}

function future({ field, at, time }, offset, nowMs, out) {
  // an unknown zone is taken to be the one in which the time is longest ago
  const ms = time.utcMs(offset ?? FAR_EAST);
  if (ms - nowMs <= settings["future-minutes"] * MINUTE) return;
  const minutes = Math.min(Math.floor((ms - nowMs) / MINUTE), YEAR_MINUTES);
  out.push(new Finding("in-the-future", Level.WARNING).at(at).attr("field", field).attr("minutes", minutes));
}

/** Whether a zone is there for each time of day. */
function zones(stamps, sent, out) {
  if (sent !== null) return;
  const timed = stamps.filter(({ time }) => time.precision !== "year" && time.precision !== "month" && time.precision !== "day");
  const bare = timed.find(({ time }) => time.offsetMinutes === null);
  const mixed = timed.some(({ time }) => time.offsetMinutes !== null);
  if (bare && (mixed || settings["require-zone"])) {
    out.push(new Finding("zone-missing", Level.INFO).at(bare.at).attr("field", bare.field));
  }
}

/** Days are compared as they are written: both are the hospital's own, whatever the zone. */
function birth(stamps, out) {
  const born = stamps.find(({ field, usable }) => field === "PID-7" && usable);
  if (!born || born.time.precision === "year" || born.time.precision === "month") return;
  for (const { field, at, time, usable } of stamps) {
    const sure = usable && NOT_BEFORE_BIRTH.has(field) && time.precision !== "year" && time.precision !== "month";
    if (sure && Math.floor(time.localMs / DAY) < Math.floor(born.time.localMs / DAY)) {
      out.push(new Finding("before-birth", Level.ERROR).at(at).attr("field", field));
    }
  }
}

function order(stamps, begin, end, offset, out) {
  for (const later of stamps) {
    if (later.field !== end || !later.usable) continue;
    const earlier = stamps.find(({ field, index, usable }) => field === begin && index === later.index && usable);
    if (!earlier || earlier.time.precision !== later.time.precision) continue;
    const [ends, begins] = compared(earlier.time, later.time, offset);
    if (ends < begins) out.push(new Finding("wrong-order", Level.WARNING).at(later.at).attr("begin", begin).attr("field", end));
  }
}

/** End and beginning in milliseconds; where one alone has a zone and nothing says the other's, as far apart as can be. */
function compared(earlier, later, offset) {
  const alike = (earlier.offsetMinutes === null) === (later.offsetMinutes === null);
  if (offset === null && !alike) return [later.utcMs(FAR_WEST), earlier.utcMs(FAR_EAST)];
  return [later.utcMs(offset ?? 0), earlier.utcMs(offset ?? 0)];
}
