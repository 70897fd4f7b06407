//! `feedpulse check new`: a folder with a check that builds and passes its own test.

use super::incident::{self, Incident};
use super::templates::{self, COMMON, EXAMPLE_CASES, File, LANGUAGES, Language};
use crate::cli::{Failure, IO};
use anyhow::anyhow;
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};

/// What is written.
#[derive(Args, Debug)]
pub(crate) struct NewArgs {
    /// The check's name, in lower case with hyphens: visit-number-missing.
    name: String,
    /// The language.
    #[arg(long, default_value = "rust")]
    lang: String,
    /// The folder, instead of ./NAME.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Begin with recorded messages that went wrong: they lose their patients and become the first case.
    #[arg(long, value_name = "FILE")]
    from_message: Vec<PathBuf>,
    /// What was found in them: a code (FP0501), a place (OBX[2]-11), or the JSON of `check run --json`.
    #[arg(long, value_name = "FINDING", requires = "from_message")]
    finding: Vec<String>,
}

/// Words for the placeholders of the templates.
struct Words(Vec<(&'static str, String)>);

impl Words {
    /// Fills a template in.
    fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }
}

/// Runs the command.
pub(crate) fn main(args: &NewArgs) -> Result<(), Failure> {
    let usage = |text: String| Failure::new(64, anyhow!(text));
    let language = templates::by_name(&args.lang).ok_or_else(|| {
        let known: Vec<&str> = LANGUAGES.iter().map(|l| l.name).collect();
        usage(format!("--lang {}: there are {}", args.lang, known.join(", ")))
    })?;
    if !is_name(&args.name) {
        return Err(usage(format!(
            "{:?} is no name for a check: lower-case letters, digits and single hyphens, starting \
             with a letter, at most 64; {} would do",
            args.name,
            suggestion(&args.name)
        )));
    }
    let folder = args.dir.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    if fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) || folder.is_file() {
        return Err(usage(format!(
            "{} is there already and nothing in it is touched: give another name, or a folder \
             with --dir",
            folder.display()
        )));
    }
    let incident = if args.from_message.is_empty() {
        None
    } else {
        Some(incident::read(&args.from_message, &args.finding)?)
    };
    write(&folder, language, &args.name, incident.as_ref())?;
    let at = folder.display();
    println!("{at} ({})", language.name);
    if language.setup.is_empty() {
        println!("  now:  cd {at} && feedpulse check build && feedpulse check test");
    } else {
        println!("  first, once: cd {at} && {}", language.setup);
        println!("  now:  feedpulse check build && feedpulse check test");
    }
    match &incident {
        None => {
            println!("  then: change {} and plugin.toml; README.md says the rest", language.source);
        }
        Some(incident) => println!(
            "  then: make cases/incident pass: {} says where, plugin.toml says what\n  \
             names, numbers, dates and texts were replaced; what stays are codes, flags, units and \
             measurements, and every interval: look at cases/incident.hl7 before you give it on\n  \
             declared: {}",
            language.source,
            incident.fields.join(", ")
        ),
    }
    Ok(())
}

/// Writes every file.
fn write(
    folder: &Path,
    language: &Language,
    name: &str,
    incident: Option<&Incident>,
) -> Result<(), Failure> {
    let words = match incident {
        None => words(name, language),
        Some(incident) => incident_words(name, language, incident),
    };
    let (source, cases) = match incident {
        None => (language.example, EXAMPLE_CASES),
        Some(_) => (language.incident, &[][..]),
    };
    for files in [COMMON, language.files, language.kit, source, cases] {
        for file in files {
            write_one(folder, file, &words)?;
        }
    }
    if let Some(incident) = incident {
        let lines: Vec<String> = incident.expected.iter().map(|e| format!("  {e}")).collect();
        let expected = format!("[\n{}\n]\n", lines.join(",\n"));
        put(&folder.join("cases/incident.hl7"), &incident.messages)?;
        put(&folder.join("cases/incident.expected.json"), expected.as_bytes())?;
    }
    Ok(())
}

/// Writes one template. What is ours for all checks alike is not filled in.
fn write_one(folder: &Path, file: &File, words: &Words) -> Result<(), Failure> {
    let text = if file.path.starts_with("sdk/") || file.path.starts_with("cases/") {
        file.text.to_owned()
    } else {
        words.fill(file.text)
    };
    put(&folder.join(file.path), text.as_bytes())
}

/// Writes one file and the folders above it.
fn put(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::new(IO, anyhow!("{}: {e}", path.display()));
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    fs::write(path, bytes).map_err(failed)
}

/// The words of the example check.
fn words(name: &str, language: &Language) -> Words {
    let mut words =
        common(name, language, "Finds emergency patients who are admitted without a reason.");
    words.extend([
        ("__types__", "\"ADT^A01\", \"ADT^A04\"".to_owned()),
        ("__fields__", "\"PV1-2\", \"PV2-3\"".to_owned()),
        ("__code__", EXAMPLE.code.to_owned()),
        ("__codes__", code_block(EXAMPLE.code, EXAMPLE.title, EXAMPLE.explanation, EXAMPLE.remedy)),
    ]);
    Words(words)
}

/// The words of a check that begins with an incident.
fn incident_words(name: &str, language: &Language, incident: &Incident) -> Words {
    let quoted =
        |all: &[String]| all.iter().map(|one| format!("\"{one}\"")).collect::<Vec<_>>().join(", ");
    let title = incident.codes.first().map_or("", |code| code.title.as_str());
    let mut words = common(name, language, &format!("{}.", title.trim_end_matches('.')));
    words.extend([
        ("__types__", quoted(&incident.types)),
        ("__fields__", quoted(&incident.fields)),
        ("__paths__", incident.fields.join(", ")),
        ("__path__", incident.fields.first().cloned().unwrap_or_default()),
        ("__at__", incident.at.clone()),
        ("__code__", incident.codes.first().map(|c| c.code.clone()).unwrap_or_default()),
        (
            "__codes__",
            incident
                .codes
                .iter()
                .map(|c| code_block(&c.code, &c.title, &c.explanation, &c.remedy))
                .collect::<Vec<_>>()
                .join("\n"),
        ),
    ]);
    Words(words)
}

/// Words of every new check.
fn common(name: &str, language: &Language, summary: &str) -> Vec<(&'static str, String)> {
    vec![
        ("__name__", name.to_owned()),
        ("__Type__", type_name(name)),
        ("__source__", format!("`{}`", language.source)),
        ("__summary__", toml_text(summary)),
        (
            "__setup__",
            match language.setup {
                "" => String::new(),
                setup => format!("| `{setup}` | once: brings what compiles it |\n"),
            },
        ),
        ("__us_per_row__", language.budget.0.to_string()),
        ("__memory_mib__", language.budget.1.to_string()),
    ]
}

/// The code of the example check.
struct Example {
    code: &'static str,
    title: &'static str,
    explanation: &'static str,
    remedy: &'static str,
}

/// What the example finds.
const EXAMPLE: Example = Example {
    code: "reason-missing",
    title: "An emergency patient has no reason for admission",
    explanation: "PV1-2 (HL7 table 0004) says E, and PV2-3 is empty: the portal shows the visit \
                  without saying why.",
    remedy: "Ask the registration desk to enter the reason; if it is entered there, look for the \
             mapping that drops PV2-3.",
};

/// A code as it stands in a manifest.
fn code_block(code: &str, title: &str, explanation: &str, remedy: &str) -> String {
    let line = |key: &str, text: &str| format!("{key} = \"{}\"\n", toml_text(text));
    format!(
        "[codes.{code}]\n{}{}{}level = \"warning\"\n",
        line("title", title),
        line("explanation", explanation),
        line("remedy", remedy)
    )
}

/// A text that can stand between quotes in TOML.
fn toml_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// `visit-number` as `VisitNumber`.
fn type_name(name: &str) -> String {
    let part = |part: &str| {
        let (first, rest) = part.split_at_checked(1).unwrap_or((part, ""));
        first.to_ascii_uppercase() + rest
    };
    name.split('-').map(part).collect()
}

/// Kebab-case, as in the manifest.
fn is_name(name: &str) -> bool {
    let part =
        |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.split('-').all(part)
}

/// The nearest name that would do.
fn suggestion(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && out.ends_with(|c: char| c.is_ascii_lowercase()) {
            out.push('-');
        }
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() => out.push(c),
            _ if !out.ends_with('-') => out.push('-'),
            _ => {}
        }
    }
    let out: String = out.trim_matches('-').chars().take(60).collect();
    match out.chars().next() {
        None => "my-check".to_owned(),
        Some(c) if c.is_ascii_lowercase() => out,
        Some(_) => format!("check-{out}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_will_not_do_get_one_that_will() {
        for (bad, good) in [
            ("VisitNumber", "visit-number"),
            ("visit number!", "visit-number"),
            ("2nd", "check-2nd"),
            ("", "my-check"),
        ] {
            assert!(!is_name(bad), "{bad}");
            assert_eq!(suggestion(bad), good);
        }
        assert!(is_name("visit-number-2"));
    }

    #[test]
    fn every_placeholder_of_every_language_has_a_word() {
        for language in LANGUAGES {
            let folder = std::env::temp_dir().join("none");
            let incident = incident::read(&[folder], &[]);
            assert!(incident.is_err(), "no such file");
            let filled = |words: Words, source: &'static [File]| {
                for file in [COMMON, language.files, language.kit, source].into_iter().flatten() {
                    if !file.path.starts_with("sdk/") {
                        let text = words.fill(file.text);
                        let left = text.split("__").nth(1).map(str::to_owned);
                        assert_eq!(left, None, "{} of {}", file.path, language.name);
                    }
                }
            };
            filled(words("visit-number", language), language.example);
            let empty = Incident::empty();
            filled(incident_words("visit-number", language, &empty), language.incident);
        }
    }
}
