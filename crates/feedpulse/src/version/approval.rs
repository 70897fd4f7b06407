//! What an operator approved of a check, and what a version asks for beyond it.
//!
//! A check sees the fields that it declares, so a new version could declare more. The operator's
//! configuration lists what each check may see (`fields`) and do (`grants`); a version that asks for
//! more is not run, and the lines to add are printed. A check that comes with Feedpulse is approved
//! with the release that carries it: its fields need no list, its grants do.

use super::field_text;
use crate::config::resolve::Check;
use feedpulse_wasm::{Field, Grant, Manifest, Path};
use std::fmt::Write as _;

/// What approves every field.
pub(crate) const ANY: &str = "*";

/// What a check may see and do.
#[derive(Clone, Debug)]
pub(crate) struct Approval {
    /// None = no list is stated; [`ANY`] in it = every field.
    fields: Option<Vec<String>>,
    grants: Vec<Grant>,
}

/// What a version asks for beyond the approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Excess {
    fields: Vec<String>,
    grants: Vec<&'static str>,
    /// Whether the configuration has a list of fields at all.
    stated: bool,
    version: String,
}

impl Approval {
    /// Of a configured check.
    pub(crate) fn of(check: &Check) -> Self {
        let builtin = check.plugin.starts_with("builtin:");
        let by_release = || builtin.then(|| vec![ANY.to_owned()]);
        Self {
            fields: check.fields.clone().or_else(by_release),
            grants: check.grants.iter().filter_map(|name| Grant::from_name(name)).collect(),
        }
    }

    /// What a version asks for beyond it; none when it may run.
    pub(crate) fn excess(&self, manifest: &Manifest) -> Option<Excess> {
        let listed = self.fields.as_deref().unwrap_or_default();
        let beyond = |field: &&Field| !listed.iter().any(|approved| covers(approved, field));
        let fields: Vec<String> = manifest.fields.iter().filter(beyond).map(field_text).collect();
        let asked = manifest.grants.iter().filter(|grant| !self.grants.contains(grant));
        let grants: Vec<_> = asked.map(|grant| grant.name()).collect();
        if fields.is_empty() && grants.is_empty() {
            return None;
        }
        let (stated, version) = (self.fields.is_some(), manifest.version.clone());
        Some(Excess { fields, grants, stated, version })
    }
}

impl Excess {
    /// What it is and the change of the configuration that approves it, as a unified diff.
    pub(crate) fn told(&self, check: &Check) -> String {
        let grants: Vec<String> = self.grants.iter().map(|grant| (*grant).to_owned()).collect();
        let all = [&self.fields[..], &grants[..]].concat().join(", ");
        let mut text = format!(
            "version {} asks for more than is approved: {all}. To approve it, change its entry in the \
             configuration:\n@@ checks: {} @@\n   - name: {1}\n",
            self.version, check.name
        );
        let mut list = |key: &str, stated: bool, before: &[String], more: &[String]| {
            if more.is_empty() {
                return;
            }
            let sign = if stated { ' ' } else { '+' };
            let _ = writeln!(text, "{sign}    {key}:");
            for one in before {
                let _ = writeln!(text, "       - {}", quoted(one));
            }
            for one in more {
                let _ = writeln!(text, "+      - {}", quoted(one));
            }
        };
        let before = check.fields.as_deref().unwrap_or_default();
        list("fields", self.stated, before, &self.fields);
        list("grants", !check.grants.is_empty(), &check.grants, &grants);
        text.trim_end().to_owned()
    }
}

/// Whether an approved field covers one that is asked for: itself, or a part of it.
fn covers(approved: &str, asked: &Field) -> bool {
    let within = |whole: Option<u16>, part: Option<u16>| whole.is_none() || whole == part;
    match (approved, asked) {
        (ANY, _) => true,
        (_, Field::Path(asked)) => Path::parse(approved).is_ok_and(|whole| {
            whole.segment == asked.segment
                && whole.field == asked.field
                && within(whole.component, asked.component)
                && within(whole.subcomponent, asked.subcomponent)
        }),
        (_, pseudo) => field_text(pseudo) == approved,
    }
}

/// The YAML of a check's entry that approves a version: to be pasted into a configuration.
pub(crate) fn entry(manifest: &Manifest, plugin: &str) -> String {
    let mut text =
        format!("checks:\n  - name: {}\n    plugin: {}\n", manifest.name, quoted(plugin));
    let mut list = |key: &str, all: Vec<String>| {
        if !all.is_empty() {
            let _ = writeln!(text, "    {key}:");
        }
        for one in all {
            let _ = writeln!(text, "      - {}", quoted(&one));
        }
    };
    list("fields", manifest.fields.iter().map(field_text).collect());
    list("grants", manifest.grants.iter().map(|grant| grant.name().to_owned()).collect());
    text
}

/// A YAML scalar: in quotes where its first character means something else.
fn quoted(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
        && !text.contains(": ")
        && !text.contains(" #");
    if plain { text.to_owned() } else { format!("{text:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(fields: &str, grants: &str) -> Manifest {
        let json = format!(
            r#"{{"name": "room", "version": "1.1.0", "wit": "feedpulse:check@0.1.0", "fields": [{fields}],
                "grants": [{grants}],
                "codes": {{"a": {{"title": "t", "explanation": "e", "remedy": "r", "level": "info"}}}}}}"#
        );
        Manifest::parse(json.as_bytes()).unwrap()
    }

    fn check(fields: Option<&[&str]>, grants: &[&str]) -> Check {
        let own = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        Check {
            name: "room-present".into(),
            plugin: "/checks/room.wasm".into(),
            fields: fields.map(own),
            grants: own(grants),
            ..Check::default()
        }
    }

    #[test]
    fn what_is_listed_may_run() {
        let asks = manifest(r#""PV1-3.1", "PID-3", "@key""#, r#""get""#);
        for fields in
            [&["PV1-3", "PID-3", "@key"][..], &["*"], &["@key", "PV1-3.1", "PID-3", "OBX-5"]]
        {
            assert_eq!(
                Approval::of(&check(Some(fields), &["get"])).excess(&asks),
                None,
                "{fields:?}"
            );
        }
    }

    #[test]
    fn what_is_not_listed_is_printed_as_a_diff() {
        let asks = manifest(r#""PV1-3", "PID-3", "@key""#, r#""get", "raw""#);
        let check = check(Some(&["PV1-3.1", "PID-3"]), &["get"]);
        let told = Approval::of(&check).excess(&asks).unwrap().told(&check);
        let wanted = "version 1.1.0 asks for more than is approved: PV1-3, @key, raw. To approve it, \
                      change its entry in the configuration:\n\
                      @@ checks: room-present @@\n   - name: room-present\n     fields:\n       \
                      - PV1-3.1\n       - PID-3\n+      - PV1-3\n+      - \"@key\"\n     grants:\n       \
                      - get\n+      - raw";
        assert_eq!(told, wanted);
    }

    #[test]
    fn without_a_list_everything_is_asked_for() {
        let asks = manifest(r#""PV1-3""#, "");
        let none = check(None, &[]);
        let told = Approval::of(&none).excess(&asks).unwrap().told(&none);
        assert!(told.ends_with("+    fields:\n+      - PV1-3"), "{told}");
        let builtin = Check { plugin: "builtin:room".into(), ..check(None, &[]) };
        assert_eq!(Approval::of(&builtin).excess(&asks), None);
        let more = manifest(r#""PV1-3""#, r#""free-text""#);
        assert!(Approval::of(&builtin).excess(&more).is_some(), "a grant is never given silently");
    }

    #[test]
    fn the_entry_to_paste_approves_what_it_is_made_of() {
        let asks = manifest(r#""PV1-3", "@received-ms""#, r#""get""#);
        let text = format!("waypoints: [{{name: in}}]\n{}", entry(&asks, "/checks/room.wasm"));
        let value = crate::config::document::Document::parse(&text).unwrap().value;
        let list = |key: &str| {
            let all = value["checks"][0][key].as_array().unwrap().iter();
            all.map(|v| v.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let (fields, grants) = (list("fields"), list("grants"));
        let pasted = Check { fields: Some(fields), grants, ..check(None, &[]) };
        assert_eq!(Approval::of(&pasted).excess(&asks), None, "{text}");
    }
}
