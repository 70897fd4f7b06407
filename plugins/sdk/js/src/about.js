// The words of rows about ACKs, outcomes and connections. What each means stands in ../index.d.ts.

const words = (...all) => Object.freeze(Object.fromEntries(all.map((word) => [word.toUpperCase(), word])));

export const About = words("message", "ack", "outcome", "connection");

export const Outcome = words(
  "accepted", "committed", "filed", "errored", "rejected", "no_ack", "connection_lost", "refused", "unknown",
  "partly_delivered", "filtered", "expired",
);

export const AckCode = words("AA", "AE", "AR", "CA", "CE", "CR", "other");

export const Reason = words(
  "structure", "unsupported", "unknown_key", "duplicate_key", "locked", "internal", "unavailable", "other",
);

export const Event = words(
  "opened", "closed", "refused", "unreachable", "reset", "half_open", "timed_out", "idle", "frame_open", "not_mllp",
);

const WELL = [Outcome.ACCEPTED, Outcome.COMMITTED, Outcome.FILED, Outcome.FILTERED];

export const isWell = (outcome) => WELL.includes(outcome);

/** A word that this version of the kit knows; a host that is newer may say others. */
export const known = (all, text) => (Object.values(all).includes(text) ? text : null);
