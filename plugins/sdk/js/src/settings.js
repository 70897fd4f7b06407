// Settings that are checked before they are believed.

const kind = (value) => (Array.isArray(value) ? "list" : value === null ? "null" : typeof value);

export function withDefaults(settings, defaults) {
  if (kind(settings) !== "object") throw new Error("the settings must be a table of names and values");
  for (const name of Object.keys(settings)) {
    if (!Object.hasOwn(defaults, name)) {
      throw new Error(`there is no setting \`${name}\`; there are: ${Object.keys(defaults).join(", ")}`);
    }
    const [is, wanted] = [kind(settings[name]), kind(defaults[name])];
    if (is !== wanted) throw new Error(`\`${name}\` must be a ${wanted}, and is a ${is}`);
  }
  return { ...defaults, ...settings };
}
