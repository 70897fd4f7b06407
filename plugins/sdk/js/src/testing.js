// Runs a check in Node.js, so that unit tests need no WebAssembly. What it means stands in
// ../testing.d.ts. Time and memory limits are the host's: `feedpulse check test` runs the component.

import { standInFor } from "./host.js";
import { readManifest } from "./manifest.js";
import { join } from "./message.js";
import { parse } from "./path.js";
import { runtime } from "./runtime.js";
import { ROW } from "./row.js";

export { Message, message } from "./message.js";
export { readManifest } from "./manifest.js";

export const NOW_MS = 1_700_000_000_000;

const LEVELS = ["info", "warning", "error", "critical"];

export function run(author, given = {}) {
  const { messages, rows, settings = {}, feed = "test", nowMs = NOW_MS } = given;
  const manifest = given.manifest ?? readManifest();
  standInFor(readable(manifest, messages));
  const { init, check } = runtime(author, manifest.fields);
  init(JSON.stringify(settings));
  const joined = rows
    ? rows.map((values) => (Array.isArray(values) ? padded(values, manifest.fields.length) : named(values, manifest.fields)).join("\u001f"))
    : (messages ?? []).map((text, n) => join(text, manifest.fields, nowMs, `key-${n}`));
  if (joined.length === 0) return [];
  const batch = { feed, nowMs, count: joined.length, rows: joined.join(ROW) };
  return passed(check(batch), manifest);
}

export function runTick(author, given = {}) {
  const { settings = {}, feed = "test", nowMs = NOW_MS } = given;
  const manifest = given.manifest ?? readManifest();
  if (given.keepState !== true) standInFor();
  const { init, tick } = runtime(author, manifest.fields);
  init(JSON.stringify(settings));
  return passed(tick(feed, nowMs), manifest);
}

function padded(values, length) {
  if (values.length > length) throw new Error(`a row has ${values.length} values, plugin.toml has ${length} fields`);
  return [...values, ...Array(length - values.length).fill("")];
}

/** Values by the names of their fields; a list is the repetitions of one. */
function named(values, fields) {
  for (const name of Object.keys(values)) {
    if (!fields.includes(name)) throw new Error(`${name} is not among the fields of plugin.toml; there are: ${fields.join(", ")}`);
  }
  return fields.map((name) => [values[name] ?? ""].flat().join("\u001d"));
}

/** What `row.get` and `row.raw` read, as far as the manifest asks for it. */
function readable(manifest, messages) {
  const granted = (grant) => (manifest.grants ?? []).includes(grant);
  return {
    get: (row, path) => (granted("get") && messages?.[row] !== undefined ? join(messages[row], [path], 0, "") || null : null),
    raw: (row) => (granted("raw") && messages?.[row] !== undefined ? String(messages[row]) : null),
  };
}

/** The findings as the host passes them on, or an error where it would refuse one. */
function passed(records, manifest) {
  return records.map(({ row, code, level, at, attrs, text }) => {
    const known = manifest.codes?.[code];
    if (!known) throw new Error(`the finding's code \`${code}\` is not among [codes] of plugin.toml`);
    if (!LEVELS.includes(level)) throw new Error(`\`${level}\` is no level; there are: ${LEVELS.join(", ")}`);
    if (at !== "") inDeclaredSegment(at, manifest);
    if (attrs.length > 16) throw new Error("a finding has at most 16 attributes");
    for (const [name, value] of attrs) allowed(name, value, manifest);
    if (new Set(attrs.map(([name]) => name)).size < attrs.length) throw new Error("an attribute is there twice");
    const lowered = LEVELS[Math.min(LEVELS.indexOf(level), LEVELS.indexOf(known.level))];
    const found = { row, code, level: lowered, at, attrs: Object.fromEntries(attrs) };
    return (manifest.grants ?? []).includes("free-text") && text !== "" ? { ...found, text } : found;
  });
}

function inDeclaredSegment(at, manifest) {
  const segment = /^[A-Z][A-Z0-9]{2}(\[\d+\])?$/.test(at) ? at.slice(0, 3) : parse(at).segment;
  const reads = (manifest.grants ?? []).some((grant) => grant === "get" || grant === "raw");
  if (!reads && !manifest.fields.some((name) => name.startsWith(`${segment}-`))) {
    throw new Error(`the finding is at ${at}, but plugin.toml declares no field of ${segment}`);
  }
}

function allowed(name, value, manifest) {
  const attr = manifest.attrs?.[name];
  if (!attr) throw new Error(`the attribute \`${name}\` is not among [attrs] of plugin.toml`);
  const fits = attr.values
    ? attr.values.includes(value)
    : /^(0|-?[1-9]\d{0,17})$/.test(value) && Number(value) >= attr.min && Number(value) <= attr.max;
  if (!fits) throw new Error(`the attribute \`${name}\` may not be \`${value}\`; see [attrs.${name}] in plugin.toml`);
}
