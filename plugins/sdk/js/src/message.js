// Builds messages for tests, and joins their declared fields to a row the way the host does.

import { parse } from "./path.js";
import { FIELD, OCCURRENCE, REPETITION, ROW } from "./row.js";
import { unescape } from "./text.js";

const nth = (text, separator, n) => text.split(separator)[n - 1] ?? "";

/** Puts a part in place of the n-th one from 1, with empty ones up to it. */
function put(text, separator, n, change) {
  const parts = text.split(separator);
  while (parts.length < n) parts.push("");
  parts[n - 1] = change(parts[n - 1]);
  return parts.join(separator);
}

export class Message {
  #segments;

  constructor(text) {
    this.#segments = text.split(/\r\n|\r|\n/).filter((segment) => segment !== "");
    if (!this.#segments[0]?.startsWith("MSH|^~\\&")) {
      throw new Error("a message of a test starts with MSH|^~\\&");
    }
  }

  set(path, value) {
    const at = parse(path);
    const n = this.#need(at.segment, at.occurrence ?? 1);
    // MSH-1 is the separator itself, so that the parts of MSH count from one less
    const field = at.segment === "MSH" ? at.field : at.field + 1;
    if (at.segment === "MSH" && at.field <= 2) throw new Error("MSH-1 and MSH-2 stay as they are");
    this.#segments[n] = put(this.#segments[n], "|", field, (whole) => {
      if (at.repetition === null && at.component === null) return value;
      return put(whole, "~", at.repetition ?? 1, (repetition) => {
        if (at.component === null) return value;
        return put(repetition, "^", at.component, (component) =>
          at.subcomponent === null ? value : put(component, "&", at.subcomponent, () => value));
      });
    });
    return this;
  }

  add(segment) {
    this.#segments.push(segment);
    return this;
  }

  toString() {
    return this.#segments.map((segment) => `${segment}\r`).join("");
  }

  /** Where the n-th segment of a name is; missing ones are added at the end. */
  #need(name, n) {
    const found = [];
    this.#segments.forEach((segment, index) => segment.split("|", 1)[0] === name && found.push(index));
    while (found.length < n) found.push(this.#segments.push(name) - 1);
    return found[n - 1];
  }
}

let count = 0;

export function message(type = "ADT^A01") {
  count += 1;
  return new Message(`MSH|^~\\&|APP|HOSPITAL|PORTAL|HOSPITAL|20231114221320||${type}|T${count}|P|2.5.1`);
}

/** The declared fields of a message as the host joins them. */
export function join(text, names, receivedMs, key) {
  const segments = String(text).split(/\r\n|\r|\n/).filter((segment) => segment !== "");
  const one = (name) => {
    if (name === "@received-ms") return String(receivedMs);
    if (name === "@key") return key;
    if (name === "@type") return nth(segments[0] ?? "", "|", 9);
    if (name === "@urgency") return "routine";
    if (name.startsWith("@")) return "";
    return declared(segments, parse(name));
  };
  return names.map(one).join(FIELD);
}

function declared(segments, path) {
  const mine = segments.filter((segment) => segment.split("|", 1)[0] === path.segment);
  return mine.map((segment) => {
    if (path.segment === "MSH" && path.field === 1) return "|";
    const whole = nth(segment, "|", path.segment === "MSH" ? path.field : path.field + 1);
    if (path.segment === "MSH" && path.field === 2) return whole;
    return whole.split("~").map((repetition) => clean(picked(repetition, path))).join(REPETITION);
  }).join(OCCURRENCE);
}

/** One part of a repetition, with its escape sequences resolved when it has no parts itself. */
function picked(repetition, { component, subcomponent }) {
  let part = component === null ? repetition : nth(repetition, "^", component);
  if (subcomponent !== null) part = nth(part, "&", subcomponent);
  return /[\^&]/.test(part) ? part : unescape(part);
}

const SEPARATORS = new RegExp(`[${OCCURRENCE}${REPETITION}${ROW}${FIELD}]`, "g");

const clean = (value) => value.replace(SEPARATORS, "\ufffd");
