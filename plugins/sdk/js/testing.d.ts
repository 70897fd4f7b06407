/**
 * Runs a check in Node.js, so that unit tests need no WebAssembly:
 *
 * ```js
 * import assert from "node:assert/strict";
 * import test from "node:test";
 * import { message, run } from "feedpulse-check/testing";
 * import * as check from "../src/check.js";
 *
 * test("a missing room is found", () => {
 *   const messages = [message("ADT^A01").set("PV1-2", "I")];
 *   assert.deepEqual(run(check, { messages }), [
 *     { row: 0, code: "room-missing", level: "warning", at: "PV1-3", attrs: {} },
 *   ]);
 * });
 * ```
 *
 * Findings are held against plugin.toml in the current folder, as the host does it: an undeclared code,
 * attribute or place is an error. Limits of time and memory are the host's; `feedpulse check test` runs
 * the component under them.
 *
 * @module
 */
import type { CheckModule, Level } from "./index.js";

/** Hour zero of the tests: 2023-11-14T22:13:20Z. */
export declare const NOW_MS: number;

/** A finding as the host passes it on. */
export interface Found {
  /** Index of the message, null for a finding about the feed. */
  row: number | null;
  code: string;
  /** Lowered to the level that plugin.toml gives to the code. */
  level: Level;
  at: string;
  attrs: Record<string, string>;
  /** Only under the grant `free-text`. */
  text?: string;
}

/** What a check says about itself: plugin.toml as an object. */
export interface Manifest {
  fields: string[];
  grants?: string[];
  codes?: Record<string, { level: string }>;
  attrs?: Record<string, { values?: string[]; min?: number; max?: number }>;
  [key: string]: unknown;
}

/** What {@link run} may be given beside the check. */
export interface Given {
  /** The operator's settings; none = `{}`. */
  settings?: Record<string, unknown>;
  /** Name of the feed; none = `test`. */
  feed?: string;
  /** The host's clock; none = {@link NOW_MS}. */
  nowMs?: number;
  /** The manifest; none = plugin.toml in the current folder. */
  manifest?: Manifest;
}

/**
 * Initialises the check with empty state and hands it one batch.
 *
 * ```js
 * run(check, { messages: [message("ORU^R01").add("OBX|1|NM|GLU||95")], settings: { "max-minutes": 5 } });
 * run(check, { rows: [["ADT", "", "DOE^JANE"]] });   // the declared fields themselves, in order
 * run(check, { rows: [{ "@about": "outcome", "@outcome": "errored", "@tries": 3 }] });   // or by name
 * ```
 * Throws what the check threw.
 */
export declare function run(
  check: CheckModule,
  given: Given & { messages?: (Message | string)[]; rows?: (string[] | Record<string, string | number | string[]>)[] },
): Found[];

/**
 * Calls the check's `tick` once. State is empty, or as the last `run` left it with `keepState`.
 *
 * ```js
 * run(check, { messages: [message()] });
 * runTick(check, { nowMs: NOW_MS + 7_200_000, keepState: true });
 * ```
 */
export declare function runTick(check: CheckModule, given?: Given & { keepState?: boolean }): Found[];

/**
 * A message with an MSH segment of the given type, ready to be filled.
 *
 * ```js
 * message("ADT^A01").set("PID-3.1", "1001").set("PID-3.4", "HOSP").set("OBX[2]-5", "7").add("ZPV|1|X")
 * ```
 */
export declare function message(type?: string): Message;

/** A message that is put together piece by piece; any text that starts with `MSH|^~\&` can be one. */
export declare class Message {
  constructor(text: string);
  /**
   * Sets what a path names, as it is sent: `escape` a text that may hold delimiters. Segments, fields
   * and parts that are missing are added.
   */
  set(path: string, value: string): this;
  /** Adds a segment at the end. */
  add(segment: string): this;
  /** As sent, segments ended by carriage returns. */
  toString(): string;
}

/** Reads a plugin.toml. */
export declare function readManifest(path?: string): Manifest;
