// One message as a check sees it: the declared fields, split where somebody looks.

import { About, AckCode, Event, Outcome, Reason, known } from "./about.js";
import { message } from "./host.js";
import { unescape } from "./text.js";
import { Timestamp } from "./timestamp.js";

export const ROW = "\u001e";
export const FIELD = "\u001f";
export const REPETITION = "\u001d";
export const OCCURRENCE = "\u001c";

/** The n-th part from 1, empty where there are fewer. */
const nth = (text, separator, n) => text.split(separator)[n - 1] ?? "";

/** A part of a value that has parts: its escape sequences are still there unless it has parts too. */
const resolved = (part) => (part.includes("&") ? part : unescape(part));

export class Row {
  /** Set by the kit for each row; one object serves a whole batch. */
  constructor(declared, feed, nowMs) {
    this.declared = declared;
    this.feed = feed;
    this.nowMs = nowMs;
    this.index = 0;
    this.text = "";
  }

  texts() {
    return this.text.split(FIELD);
  }

  fields() {
    return this.text.split(FIELD).map((text) => new Field(text));
  }

  field(n) {
    return new Field(this.text.split(FIELD)[n] ?? "");
  }

  at(path) {
    const place = this.declared.find(path);
    let field = this.field(place.index);
    if (place.exact) return field;
    if (place.occurrence !== null) field = field.occurrence(place.occurrence);
    if (place.repetition !== null) field = field.repetition(place.repetition);
    if (place.component !== null) field = field.component(place.component);
    return place.subcomponent === null ? field : field.subcomponent(place.subcomponent);
  }

  value(path) {
    return this.at(path).first().text;
  }

  get(path) {
    return message.get(this.index, path);
  }

  raw() {
    return message.raw(this.index);
  }

  /** Never shows a value: rows hold patient data. */
  toJSON() {
    return { index: this.index };
  }
}

export class Field {
  constructor(text) {
    this.text = text;
  }

  get isEmpty() {
    const { text } = this;
    if (text === "") return true;
    for (let n = 0; n < text.length; n++) {
      if (text[n] !== OCCURRENCE && text[n] !== REPETITION) return false;
    }
    return true;
  }

  get isNull() {
    return this.text === '""';
  }

  occurrences() {
    return this.text.split(OCCURRENCE).map((text) => new Field(text));
  }

  occurrence(n) {
    return new Field(nth(this.text, OCCURRENCE, n));
  }

  repetitions() {
    return this.text.split(REPETITION).map((text) => new Field(text));
  }

  repetition(n) {
    return new Field(nth(this.text, REPETITION, n));
  }

  values() {
    return this.text.split(/[\u001c\u001d]/).map((text) => new Field(text));
  }

  first() {
    return this.occurrence(1).repetition(1);
  }

  components() {
    const { text } = this.first();
    if (!text.includes("^")) return [new Field(text)];
    return text.split("^").map((part) => new Field(resolved(part)));
  }

  component(n) {
    return this.components()[n - 1] ?? new Field("");
  }

  subcomponents() {
    const { text } = this.component(1);
    if (!text.includes("&")) return [new Field(text)];
    return text.split("&").map((part) => new Field(unescape(part)));
  }

  subcomponent(n) {
    return this.subcomponents()[n - 1] ?? new Field("");
  }

  number() {
    const text = this.first().text.trim();
    return /^[+-]?(\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : null;
  }

  timestamp() {
    return Timestamp.parse(this.first().text);
  }

  about() {
    return known(About, this.text);
  }

  outcome() {
    return known(Outcome, this.text);
  }

  ackCode() {
    return known(AckCode, this.text);
  }

  reason() {
    return known(Reason, this.text);
  }

  event() {
    return known(Event, this.text);
  }

  count() {
    return /^\d{1,15}$/.test(this.text) ? Number(this.text) : null;
  }

  /** Never shows the value: fields hold patient data. */
  toJSON() {
    return { length: this.text.length };
  }
}
