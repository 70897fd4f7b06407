// Reads plugin.toml for the test runner: tables, texts, numbers and lists of texts, which is all that a
// manifest holds. The host reads it with a whole TOML parser when the check is built.

import { readFileSync } from "node:fs";

const NAME = String.raw`[A-Za-z0-9_-]+|"[^"]*"`;
const TABLE = new RegExp(String.raw`^\[\s*((?:${NAME})(?:\s*\.\s*(?:${NAME}))*)\s*\]\s*(?:#.*)?$`);
const ENTRY = new RegExp(String.raw`^(${NAME})\s*=\s*`);

export function readManifest(path = "plugin.toml") {
  let text;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new Error(`${path}: ${error.message}; run the tests in the folder of the check, or name its manifest`);
  }
  return parse(text, path);
}

export function parse(text, path = "plugin.toml") {
  const root = {};
  let table = root;
  const lines = text.split(/\r?\n/);
  for (let n = 0; n < lines.length; n++) {
    const line = lines[n].trim();
    if (line === "" || line.startsWith("#")) continue;
    const header = TABLE.exec(line);
    if (header) {
      table = header[1].split(".").map(bare).reduce((at, name) => (at[name] ??= {}), root);
      continue;
    }
    const entry = ENTRY.exec(line);
    const at = n + 1;
    let rest = entry ? line.slice(entry[0].length) : "";
    // a list may go over several lines
    while (rest.startsWith("[") && !closes(rest) && n + 1 < lines.length) rest += `\n${lines[++n]}`;
    const read = entry && value(rest);
    if (!read) throw new Error(`${path}:${at}: this line is not understood: ${line}`);
    table[bare(entry[1])] = read[0];
  }
  return root;
}

const bare = (name) => name.trim().replace(/^"(.*)"$/, "$1");

/** A list that ends: strings and comments are no brackets. */
const closes = (text) => text.replace(STRING, "").replace(/#[^\n]*/g, "").includes("]");

const STRING = /"(?:[^"\\\n]|\\.)*"|'[^'\n]*'/g;

/** The value at the start of a text, in a list of one; null when there is none. */
function value(text) {
  if (text.startsWith("[")) {
    const inner = text.replace(STRING, (string) => encodeURIComponent(string).replaceAll("'", "%27"));
    const [items, rest] = splitAt(inner.slice(1).replace(/#[^\n]*/g, ""), "]");
    if (rest.trim() !== "") return null;
    const parts = items.split(",").map((item) => item.trim()).filter((item) => item !== "");
    const values = parts.map((item) => value(decodeURIComponent(item)));
    return values.includes(null) ? null : [values.map(([one]) => one)];
  }
  const found = /^("(?:[^"\\]|\\.)*"|'[^']*'|[+-]?\d[\d_]*|true|false)\s*(?:#.*)?$/.exec(text);
  if (!found) return null;
  const [, word] = found;
  if (word.startsWith("'")) return [word.slice(1, -1)];
  return [JSON.parse(word.startsWith('"') ? word : word.replace(/[_+]/g, ""))];
}

function splitAt(text, mark) {
  const at = text.indexOf(mark);
  return at < 0 ? [text, "?"] : [text.slice(0, at), text.slice(at + 1)];
}
