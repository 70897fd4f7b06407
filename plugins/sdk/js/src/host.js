// The functions of the host. In a component `connect` lends the real ones; until then, as in unit
// tests, stand-ins keep state in this process and print log lines.

/** The host's limits on one state entry, in bytes of UTF-8. */
const KEY_BYTES = 128;
const VALUE_BYTES = 4096;

const bytes = (text) => new TextEncoder().encode(text).length;

const memory = new Map();

const standIn = {
  state: {
    get: (key) => memory.get(key) ?? null,
    set(key, value) {
      if (bytes(key) > KEY_BYTES) throw `the key has more than ${KEY_BYTES} bytes`;
      if (bytes(value) > VALUE_BYTES) throw `the value has more than ${VALUE_BYTES} bytes`;
      memory.set(key, value);
    },
    remove: (key) => void memory.delete(key),
  },
  log: { write: (level, text) => console.error(`${level}: ${text}`) },
  message: { get: () => null, raw: () => null },
};

let host = standIn;

/** Lends the functions of the component's imports. */
export function connect(imports) {
  host = imports;
}

/** Empties the stand-in of the state and lends the messages at hand: for the test runner. */
export function standInFor(messages) {
  memory.clear();
  host = { ...standIn, message: messages ?? standIn.message };
}

export const state = Object.freeze({
  get: (key) => host.state.get(key),
  set(key, value) {
    try {
      host.state.set(key, value);
    } catch (reason) {
      throw new Error(`state: ${reason?.message ?? reason}`);
    }
  },
  remove: (key) => host.state.remove(key),
});

export const log = Object.freeze({ write: (level, text) => host.log.write(level, text) });

/** Reads beyond the declared fields. */
export const message = {
  get: (row, path) => host.message.get(row, path),
  raw: (row) => host.message.raw(row),
};
