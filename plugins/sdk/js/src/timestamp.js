// HL7 time stamps (HL7 v2.5.1 §2.A.22 DTM): YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ].

const FORM = /^(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,4}))?)?)?)?)?)?([+-]\d{4})?$/;
const PRECISIONS = ["year", "month", "day", "hour", "minute", "second"];

/** Days from 1970-01-01 in the proleptic Gregorian calendar. */
function days(year, month, day) {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const ofEra = y - era * 400;
  const ofYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  return era * 146097 + ofEra * 365 + Math.floor(ofEra / 4) - Math.floor(ofEra / 100) + ofYear - 719468;
}

function daysIn(year, month) {
  if (month !== 2) return [4, 6, 9, 11].includes(month) ? 30 : 31;
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
}

/** Minutes of `+HHMM`, null when it is none. The widest zones are -12:00 and +14:00. */
function offset(zone) {
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(3));
  if (Number(zone.slice(3)) > 59 || minutes > 14 * 60) return null;
  return zone.startsWith("-") ? -minutes : minutes;
}

export class Timestamp {
  /** @returns {Timestamp | null} */
  static parse(text) {
    const found = FORM.exec(text.split("^", 1)[0].trimEnd());
    if (!found) return null;
    const numbers = found.slice(1, 7).map((part) => (part === undefined ? undefined : Number(part)));
    const [year, month = 1, day = 1, hour = 0, minute = 0, second = 0] = numbers;
    const inRange = month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month) &&
      hour <= 23 && minute <= 59 && second <= 60;
    const zone = found[8] === undefined ? null : offset(found[8]);
    if (!inRange || (found[8] !== undefined && zone === null)) return null;
    const given = numbers.filter((number) => number !== undefined).length;
    const fraction = Number((found[7] ?? "").padEnd(3, "0").slice(0, 3));
    const local = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60000 + second * 1000 + fraction;
    return new Timestamp(PRECISIONS[given - 1], zone, local);
  }

  constructor(precision, offsetMinutes, localMs) {
    this.precision = precision;
    this.offsetMinutes = offsetMinutes;
    this.localMs = localMs;
  }

  utcMs(assumedOffsetMinutes = 0) {
    return this.localMs - (this.offsetMinutes ?? assumedOffsetMinutes) * 60000;
  }
}
