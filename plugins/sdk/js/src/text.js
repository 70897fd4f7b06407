// HL7 escape sequences (HL7 v2.5.1 §2.7), with the standard delimiters: the host hands over values
// that have them, whatever the message used.

const MEANS = { F: "|", S: "^", T: "&", R: "~", E: "\\", P: "#", H: "", N: "", ".br": "\n", ".sp": "\n" };
const NEEDS = { "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\", "\\": "\\E\\", "\r": "\\.br\\", "\n": "\\.br\\" };

const SEQUENCE = /\\(?:(F|S|T|R|E|P|H|N|\.br|\.sp)|X((?:[0-9A-Fa-f]{2})+))\\/g;

export function unescape(text) {
  if (!text.includes("\\")) return text;
  return text.replace(SEQUENCE, (_, name, digits) => (digits ? fromHex(digits) : MEANS[name]));
}

export function escape(text) {
  return text.replace(/\r\n|[|^&~\\\r\n]/g, (one) => NEEDS[one[0]]);
}

/** Bytes of UTF-8, or of Latin-1 where they are no UTF-8. */
function fromHex(digits) {
  const pairs = digits.match(/../g);
  try {
    return decodeURIComponent(pairs.map((pair) => `%${pair}`).join(""));
  } catch {
    return String.fromCharCode(...pairs.map((pair) => parseInt(pair, 16)));
  }
}
