//! Places in a message, and where the declared fields hold them.

use crate::row::Field;

/// `SEG[occurrence]-field[repetition].component.subcomponent`; numbers from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Path<'a> {
    pub(crate) segment: &'a str,
    pub(crate) occurrence: Option<usize>,
    pub(crate) field: usize,
    pub(crate) repetition: Option<usize>,
    pub(crate) component: Option<usize>,
    pub(crate) subcomponent: Option<usize>,
}

impl<'a> Path<'a> {
    /// Reads a path.
    ///
    /// # Errors
    /// A sentence with the path and what is expected.
    pub(crate) fn parse(text: &'a str) -> Result<Self, String> {
        Self::read(text).ok_or_else(|| {
            format!(
                "`{text}` is no path: write it as PID-3, PID-3.1, OBX[2]-5 or OBX[2]-5[1].1.2, \
                 with numbers from 1"
            )
        })
    }

    fn read(text: &'a str) -> Option<Self> {
        let (segment, field) = text.split_once('-')?;
        let (segment, occurrence) = bracket(segment)?;
        let name = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
        if segment.len() != 3 || !segment.bytes().all(name) {
            return None;
        }
        let mut parts = field.split('.');
        let (field, repetition) = bracket(parts.next()?)?;
        let component = parts.next().map(number);
        let subcomponent = parts.next().map(number);
        if parts.next().is_some() || component == Some(None) || subcomponent == Some(None) {
            return None;
        }
        Some(Self {
            segment,
            occurrence,
            field: number(field)?,
            repetition,
            component: component.flatten(),
            subcomponent: subcomponent.flatten(),
        })
    }
}

/// `NAME[n]` as name and number.
fn bracket(text: &str) -> Option<(&str, Option<usize>)> {
    match text.split_once('[') {
        None => Some((text, None)),
        Some((name, rest)) => Some((name, Some(number(rest.strip_suffix(']')?)?))),
    }
}

fn number(text: &str) -> Option<usize> {
    text.parse().ok().filter(|n| *n > 0)
}

/// The fields that `plugin.toml` declares, in its order.
#[derive(Debug, Default)]
pub(crate) struct Declared(Vec<String>);

impl Declared {
    /// From the text of `plugin.toml`: the strings of its array `fields`.
    pub(crate) fn of(manifest: &str) -> Self {
        let mut array = String::new();
        let mut inside = false;
        for line in manifest.lines() {
            let line = line.trim_start();
            let start = line.strip_prefix("fields").map(str::trim_start);
            let start = start.and_then(|rest| rest.strip_prefix('=')).map(str::trim_start);
            match start.and_then(|rest| rest.strip_prefix('[')) {
                Some(rest) if !inside => {
                    inside = true;
                    array.push_str(rest);
                }
                _ if inside && !line.starts_with('#') => array.push_str(line),
                _ => {}
            }
            if inside && array.contains(']') {
                break;
            }
        }
        let array = array.split(']').next().unwrap_or_default();
        let quoted = array.split(['"', '\'']).skip(1).step_by(2);
        Self(quoted.map(str::to_owned).collect())
    }

    /// The declared names.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn names(&self) -> &[String] {
        &self.0
    }

    /// Finds what holds a path: which declared field, and the part of it.
    ///
    /// # Errors
    /// A sentence that says what is declared, and what to add.
    pub(crate) fn find(&self, text: &str) -> Result<(usize, Field<'static>), String> {
        if let Some(n) = self.0.iter().position(|declared| declared == text) {
            return Ok((n, Field::all("")));
        }
        let asked = Path::parse(text)?;
        let mut found: Option<(usize, usize, Path<'_>)> = None;
        for (n, declared) in self.0.iter().enumerate() {
            let Ok(declared) = Path::parse(declared) else { continue };
            let same = declared.segment == asked.segment && declared.field == asked.field;
            let holds = |outer: Option<usize>, inner| outer.is_none() || outer == inner;
            if same
                && holds(declared.component, asked.component)
                && holds(declared.subcomponent, asked.subcomponent)
            {
                // the most exact one
                let depth = usize::from(declared.component.is_some())
                    + usize::from(declared.subcomponent.is_some());
                if found.is_none_or(|(best, ..)| depth > best) {
                    found = Some((depth, n, declared));
                }
            }
        }
        let Some((_, n, declared)) = found else {
            return Err(format!(
                "`{text}` is not declared: add \"{}-{}\" to `fields` in plugin.toml, which has {}",
                asked.segment,
                asked.field,
                self.0.join(", ")
            ));
        };
        let part = Field {
            component: asked.component.filter(|_| declared.component.is_none()),
            subcomponent: asked.subcomponent.filter(|_| declared.subcomponent.is_none()),
            occurrence: asked.occurrence,
            repetition: asked.repetition,
            text: "",
        };
        Ok((n, part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read() {
        let path = Path::parse("OBX[2]-5[3].1.4").unwrap();
        assert_eq!(
            (path.segment, path.occurrence, path.field, path.repetition),
            ("OBX", Some(2), 5, Some(3))
        );
        assert_eq!((path.component, path.subcomponent), (Some(1), Some(4)));
        for bad in
            ["OBX", "obx-1", "OBX-0", "OBX-", "OBX[x]-1", "OBX-1.2.3.4", "OBX-1.x", "OBX[2-1"]
        {
            let said = Path::parse(bad).unwrap_err();
            assert!(said.contains(bad) && said.contains("PID-3.1"), "{said}");
        }
    }

    #[test]
    fn the_manifest_says_which_field_is_where() {
        let one =
            Declared::of("name = \"x\"\nfields = [\"PID-3\", 'OBX-5.1', \"@key\"]\n[codes]\n");
        assert_eq!(one.0, ["PID-3", "OBX-5.1", "@key"]);
        let many = Declared::of("fields = [\n  \"A01-1\",\n  # \"B01-1\",\n  \"C01-1\",\n]\n");
        assert_eq!(many.0, ["A01-1", "C01-1"]);
        assert_eq!(one.find("@key").unwrap().0, 2);
        assert_eq!(one.find("PID[1]-3[2].4").unwrap().0, 0);
        assert_eq!(one.find("OBX[2]-5.1").unwrap().0, 1);
        for bad in ["OBX-5", "OBX-5.2", "PID-4"] {
            let said = one.find(bad).unwrap_err();
            assert!(said.contains(bad) && said.contains("plugin.toml"), "{said}");
        }
    }
}
