// Makes an author's module a component. Imported only by the entry that the builder writes; the
// modules `feedpulse:check/…` exist in a component alone.

import hostLog from "feedpulse:check/log@0.1.0";
import hostMessage from "feedpulse:check/message@0.1.0";
import hostState from "feedpulse:check/state@0.1.0";
import { connect } from "./host.js";
import { runtime } from "./runtime.js";

/** `{ checker, ticker }` for an author's module and the fields of plugin.toml. */
export function component(author, names) {
  connect({ state: hostState, log: hostLog, message: hostMessage });
  withoutClock();
  const { init, check, tick } = runtime(author, names);
  return {
    checker: {
      init(config) {
        try {
          init(config);
        } catch (error) {
          // the operator reads this one: settings are all that it can quote
          throw String(error?.message ?? error);
        }
      },
      check: (batch) => guarded(check, batch),
    },
    ticker: { tick: (feed, nowMs) => guarded(tick, feed, nowMs) },
  };
}

/** Errors instead of the traps that the missing imports would be. */
function withoutClock() {
  const noClock = () => {
    throw new Error("a check has no clock: use row.nowMs");
  };
  const RealDate = Date;
  globalThis.Date = class extends RealDate {
    constructor(...given) {
      if (given.length === 0) noClock();
      super(...given);
    }
    static now = noClock;
  };
  Math.random = () => {
    throw new Error("a check has no randomness: the same rows give the same findings");
  };
}

/** An exception is an error of the interface, not a trap: the instance lives on. */
function guarded(call, ...given) {
  try {
    return call(...given);
  } catch (error) {
    // shown to an author on her own machine only
    throw `${error?.name ?? "thrown"}: ${error?.message ?? error}${places(error?.stack)}`;
  }
}

/** The innermost places of a stack, as `(check bundle.js:12:3)`; the kit's own are among them, and left out where they are told. */
function places(stack) {
  const frames = String(stack ?? "").matchAll(/at (\S+) \((?:[^()\s]*\/)?([^()/\s]+:\d+:\d+)\)/g);
  const told = [...frames].slice(0, 10).map(([, name, place]) => `${name} ${place}`);
  return told.length > 0 ? ` (${told.join(", ")})` : "";
}
