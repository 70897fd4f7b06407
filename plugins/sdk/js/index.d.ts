/**
 * The kit of a check author. A check is a module that exports a function:
 *
 * ```js
 * import { Finding, Level } from "feedpulse-check";
 *
 * export function check(row, out) {
 *   if (row.at("PV1-3").isEmpty) {
 *     out.push(new Finding("room-missing", Level.WARNING).at("PV1-3"));
 *   }
 * }
 * ```
 *
 * and, if it has settings or wants to notice silence, `init(settings)` and `tick(feed, nowMs, out)`;
 * see {@link CheckModule}. There is no clock, no randomness, no file and no network in a check.
 *
 * @module
 */

/** What a check's module exports. */
export interface CheckModule {
  /**
   * Once, before anything else, with the operator's settings. What it throws is shown to the operator,
   * so name the setting that is wrong. A check without it takes no settings.
   *
   * ```js
   * let limits;
   * export function init(settings) {
   *   limits = withDefaults(settings, { "max-minutes": 60 });
   * }
   * ```
   */
  init?(settings: Record<string, unknown>): void;
  /**
   * For each message. `row` is the same object each time: take out of it what must last. An exception
   * means that this message could not be checked; the host counts it and never shows its text, which may
   * quote the message.
   */
  check(row: Row, out: Findings): void;
  /**
   * About once a second per feed, also when nothing comes. Findings made here have no row.
   *
   * ```js
   * export function tick(feed, nowMs, out) {
   *   const last = Number(state.get("last-ms") ?? nowMs);
   *   if (nowMs - last > 3_600_000) out.push(new Finding("quiet", Level.ERROR));
   * }
   * ```
   */
  tick?(feed: string, nowMs: number, out: Findings): void;
}

/** How bad, from "for the record" to "somebody must act". */
export declare const Level: Readonly<{
  /** For the record. */
  INFO: "info";
  /** Look at it when there is time. */
  WARNING: "warning";
  /** Something is wrong. */
  ERROR: "error";
  /** Somebody must act now. */
  CRITICAL: "critical";
}>;
/** One of the values of {@link Level}. */
export type Level = (typeof Level)[keyof typeof Level];

/** One conclusion. Only what plugin.toml declares may go into it: no patient data can get out. */
export declare class Finding {
  /**
   * A finding about the whole message.
   *
   * ```js
   * out.push(new Finding("room-missing", Level.WARNING));
   * ```
   * @param code one of `[codes]` in plugin.toml; its words stand there
   * @param level not above the level that plugin.toml gives to the code
   */
  constructor(code: string, level: Level);
  readonly code: string;
  readonly level: Level;
  /** Says where: `new Finding(…).at("OBX[2]-11")`. The segment is one of which a field is declared. */
  at(path: string): this;
  /**
   * Adds an attribute of `[attrs]`: a value that is listed there, or a whole number in its range.
   *
   * ```js
   * new Finding("late", Level.ERROR).attr("minutes", 90)
   * ```
   */
  attr(name: string, value: string | number): this;
  /** Adds free words, which pass only under the grant `free-text`. Keep patients out of them. */
  text(words: string): this;
}

/** Takes findings. */
export declare class Findings {
  /** Adds a finding about the row at hand, or in a tick about the feed. */
  push(finding: Finding): void;
}

/** What a row is about, `@about`. */
export declare const About: Readonly<{
  /** A message that is not an ACK. */
  MESSAGE: "message";
  /** An ACK; HL7 paths are read from it. */
  ACK: "ack";
  /** What became of a message. */
  OUTCOME: "outcome";
  /** Something happened to a connection. */
  CONNECTION: "connection";
}>;
/** One of the values of {@link About}. */
export type About = (typeof About)[keyof typeof About];

/** How a message ended, `@outcome`. */
export declare const Outcome: Readonly<{
  /** AA, or the silence that its sender asked to mean success. */
  ACCEPTED: "accepted";
  /** CA and nothing more was due; or stored by a broker. */
  COMMITTED: "committed";
  /** A receipt says that the user can see it. */
  FILED: "filed";
  /** AE or CE, or a dead letter. */
  ERRORED: "errored";
  /** AR or CR. */
  REJECTED: "rejected";
  /** No ACK in time. */
  NO_ACK: "no_ack";
  /** The connection ended before the ACK. */
  CONNECTION_LOST: "connection_lost";
  /** The receiver could not be reached with it. */
  REFUSED: "refused";
  /** Nobody can say. */
  UNKNOWN: "unknown";
  /** Some ends of its route have it, others do not. */
  PARTLY_DELIVERED: "partly_delivered";
  /** It was not sent on, as stated or as learned for its type. */
  FILTERED: "filtered";
  /** Nothing more was seen of it, and its route says that it should have been. */
  EXPIRED: "expired";
}>;
/** One of the values of {@link Outcome}. */
export type Outcome = (typeof Outcome)[keyof typeof Outcome];

/** Whether nobody needs to look at a message that ended so: `isWell(row.at("@outcome").outcome())`. */
export declare function isWell(outcome: Outcome | null): boolean;

/** MSA-1, `@ack-code` (HL7 table 0008); `OTHER` is something else, or empty. */
export declare const AckCode: Readonly<{ AA: "AA"; AE: "AE"; AR: "AR"; CA: "CA"; CE: "CE"; CR: "CR"; OTHER: "other" }>;
/** One of the values of {@link AckCode}. */
export type AckCode = (typeof AckCode)[keyof typeof AckCode];

/** Why a message was refused, `@reason`. */
export declare const Reason: Readonly<{
  /** Segment sequence, required field. */
  STRUCTURE: "structure";
  /** Type, event, processing id or version. */
  UNSUPPORTED: "unsupported";
  /** Patient, visit or order not found. */
  UNKNOWN_KEY: "unknown_key";
  /** It exists already. */
  DUPLICATE_KEY: "duplicate_key";
  /** A record is locked. */
  LOCKED: "locked";
  /** Internal error, database, disk, time-out. */
  INTERNAL: "internal";
  /** The receiver says that it is not available. */
  UNAVAILABLE: "unavailable";
  /** A reason that no rule knows. */
  OTHER: "other";
}>;
/** One of the values of {@link Reason}. */
export type Reason = (typeof Reason)[keyof typeof Reason];

/** What happened to a connection, `@event`. */
export declare const Event: Readonly<{
  /** The sender connected and the receiver answered. */
  OPENED: "opened";
  /** It ended in order. */
  CLOSED: "closed";
  /** The receiver's host answered and refused. */
  REFUSED: "refused";
  /** Timed out, no route, no name. */
  UNREACHABLE: "unreachable";
  /** It ended by a reset; `@by` says whose. */
  RESET: "reset";
  /** One side takes nothing more and says nothing; `@by` says which. */
  HALF_OPEN: "half_open";
  /** Such a connection was given up; `@by` says which side was gone. */
  TIMED_OUT: "timed_out";
  /** Nothing in either direction for a while. */
  IDLE: "idle";
  /** Bytes came, but no frame was closed for a while. */
  FRAME_OPEN: "frame_open";
  /** What flows is not MLLP. */
  NOT_MLLP: "not_mllp";
}>;
/** One of the values of {@link Event}. */
export type Event = (typeof Event)[keyof typeof Event];

/** One message: the fields that plugin.toml declares. */
export declare class Row {
  /** Name of the feed, as configured. */
  readonly feed: string;
  /** The host's wall clock, milliseconds since 1970. */
  readonly nowMs: number;
  /** Index in the batch. */
  readonly index: number;
  /** The fields as they came, parted by U+001F. */
  readonly text: string;
  /** The n-th declared field, from 0. Empty when the message does not value it. */
  field(n: number): Field;
  /**
   * What a path names. A path may go deeper than the declared
   * field: with `OBX-5` declared, `OBX[2]-5[1].1` is there too. A path without `[n]` names all
   * occurrences and repetitions, a component is that of the first. Throws for a path that no declared
   * field holds.
   *
   * ```js
   * row.at("PID-3").repetitions().length     // how many identifiers
   * row.at("OBX[2]-5.1").text
   * row.at("ZPV-2").isEmpty                  // Z segments are like any other
   * ```
   */
  at(path: string): Field;
  /** The text of the first occurrence and repetition: `row.value("PID-3.4")`. Empty when not valued. */
  value(path: string): string;
  /** All declared fields in order. */
  fields(): Field[];
  /** Their texts in order: the cheapest way, `const [type, id] = row.texts()`. */
  texts(): string[];
  /** Any field of the message by path, as the host joins it. Null without the grant `get`. */
  get(path: string): string | null;
  /** The whole message. Null without the grant `raw`. */
  raw(): string | null;
}

/** The text of a field, with its occurrences, repetitions and parts. Numbers count from 1, as in HL7. */
export declare class Field {
  constructor(text: string);
  /** As handed over, separators included where there are any. Escape sequences of a text without parts are resolved. */
  readonly text: string;
  /** Whether nothing is valued. HL7 does not tell absent from empty. */
  readonly isEmpty: boolean;
  /** Whether it is HL7's explicit null `""`: the sender deletes what the receiver has. That is not empty. */
  readonly isNull: boolean;
  /**
   * One per occurrence of the segment. Those of fields of one segment belong together:
   *
   * ```js
   * const statuses = row.at("OBX-11").occurrences();
   * row.at("OBX-3.1").occurrences().forEach((code, n) => look(code.text, statuses[n].text));
   * ```
   */
  occurrences(): Field[];
  /** The n-th occurrence of the segment, empty where there are fewer. */
  occurrence(n: number): Field;
  /** One per repetition: `for (const id of row.at("PID-3").repetitions()) id.component(4).text`. */
  repetitions(): Field[];
  /** The n-th repetition, empty where there are fewer. */
  repetition(n: number): Field;
  /** Every single value, of each repetition in each occurrence, at least one: `row.at("PID-3.1").values()`. */
  values(): Field[];
  /** The first repetition of the first occurrence. */
  first(): Field;
  /** The components of {@link first}, at least one. */
  components(): Field[];
  /** Its n-th component: `row.at("PID-5").component(1).text` is the family name. */
  component(n: number): Field;
  /** The subcomponents of the first component, at least one. */
  subcomponents(): Field[];
  /** The n-th one: `row.at("PID-3").component(4).subcomponent(2).text`. */
  subcomponent(n: number): Field;
  /** The value as a number, null when it is none: `row.at("OBX[1]-5").number()`. */
  number(): number | null;
  /** The value as a time stamp, null when it is none: `row.at("OBR-7").timestamp()?.utcMs()`. */
  timestamp(): Timestamp | null;
  /**
   * `@about`: what the row is about. It and the next ones are null where rows of the kind at hand do not
   * give the field, or where the host is newer and says a word that this version does not know.
   *
   * ```js
   * // plugin.toml: about = ["ack", "outcome"], fields = ["@about", "@ack-code", "@outcome", "@tries"]
   * if (row.at("@about").about() === About.ACK && row.at("@ack-code").ackCode() === AckCode.AE) { … }
   * if (row.at("@outcome").outcome() === Outcome.NO_ACK && row.at("@tries").count() > 3) { … }
   * ```
   */
  about(): About | null;
  /** `@outcome`: how a message ended. */
  outcome(): Outcome | null;
  /** `@ack-code`: MSA-1. */
  ackCode(): AckCode | null;
  /** `@reason`: why a message was refused. */
  reason(): Reason | null;
  /** `@event`: what happened to a connection. */
  event(): Event | null;
  /** `@ack-ms`, `@elapsed-ms`, `@received-ms`, `@tries`, `@bytes`: whole numbers. */
  count(): number | null;
}

/** An HL7 time stamp (HL7 v2.5.1 §2.A.22), as precise as it was sent. */
export declare class Timestamp {
  /**
   * Reads a text; null when it is no time stamp, or no day of the calendar.
   *
   * ```js
   * Timestamp.parse("20260301120000-0500")?.offsetMinutes   // -300
   * ```
   */
  static parse(text: string): Timestamp | null;
  /** The smallest part that was sent. */
  readonly precision: "year" | "month" | "day" | "hour" | "minute" | "second";
  /** Minutes east of UTC, null when no zone was sent. */
  readonly offsetMinutes: number | null;
  /** As a clock on the sender's wall showed it, in milliseconds as if it were UTC. */
  readonly localMs: number;
  /** Milliseconds since 1970; a time without a zone is taken to be so many minutes east of UTC. */
  utcMs(assumedOffsetMinutes?: number): number;
}

/**
 * State of this check for this feed, kept by the host; it outlives exceptions and new instances.
 * Changes count when the call that made them succeeds. When it is full, what was written longest ago
 * makes room, so write again what must stay.
 */
export declare const state: Readonly<{
  /** What was stored under the key: `const count = Number(state.get("count") ?? 0);` */
  get(key: string): string | null;
  /** Stores a value: `state.set("count", String(count + 1))`. Throws when key (128 bytes) or value (4096) are too long. */
  set(key: string, value: string): void;
  /** Forgets the key: `state.remove("count")`. */
  remove(key: string): void;
}>;

/** Lines for the operator, who sees their text only under the grant `free-text`. */
export declare const log: Readonly<{
  /** Writes one line: `log.write(Level.INFO, "no authority is listed")`. */
  write(level: Level, text: string): void;
}>;

/**
 * The settings, with defaults for those that are left out. Throws for a name that has no default, and
 * for a value of another type than the default's: a typing error must not go unnoticed.
 *
 * ```js
 * const { authorities } = withDefaults(settings, { authorities: ["HOSP"] });
 * ```
 */
export declare function withDefaults<T extends Record<string, unknown>>(settings: Record<string, unknown>, defaults: T): T;

/** Resolves HL7 escape sequences (HL7 v2.5.1 §2.7): `unescape("Smith \\T\\ Sons")` is `Smith & Sons`. */
export declare function unescape(text: string): string;
/** The other way round, to put a text into a message: `escape("a^b")` is `a\S\b`. */
export declare function escape(text: string): string;
