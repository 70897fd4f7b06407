//! `feedpulse check new`: a folder with a check that builds and passes its own test.

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
    write(&folder, language, &words(&args.name, language))?;
    print!(
        "{} ({})\n  now:  cd {0} && feedpulse check build && feedpulse check test\n  \
         then: change {} and plugin.toml; README.md there says the rest\n",
        folder.display(),
        language.name,
        language.source
    );
    Ok(())
}

/// Writes every file of the example check.
fn write(folder: &Path, language: &Language, words: &Words) -> Result<(), Failure> {
    for files in [COMMON, language.files, language.example, EXAMPLE_CASES] {
        for file in files {
            write_one(folder, file, words)?;
        }
    }
    Ok(())
}

/// Writes one file and the folders above it. What is ours for all checks alike is not filled in.
fn write_one(folder: &Path, file: &File, words: &Words) -> Result<(), Failure> {
    let path = folder.join(file.path);
    let failed = |e: std::io::Error| Failure::new(IO, anyhow!("{}: {e}", path.display()));
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let text = if file.path.starts_with("sdk/") || file.path.starts_with("cases/") {
        file.text.to_owned()
    } else {
        words.fill(file.text)
    };
    fs::write(&path, text).map_err(failed)
}

/// The words of the example check.
fn words(name: &str, language: &Language) -> Words {
    let summary = "Finds emergency patients who are admitted without a reason.";
    let words = [
        ("__name__", name),
        ("__Type__", &type_name(name)),
        ("__source__", &format!("`{}`", language.source)),
        ("__summary__", summary),
        ("__types__", "\"ADT^A01\", \"ADT^A04\""),
        ("__fields__", "\"PV1-2\", \"PV2-3\""),
        ("__code__", "reason-missing"),
        ("__title__", "An emergency patient has no reason for admission"),
        (
            "__explanation__",
            "PV1-2 (HL7 table 0004) says E, and PV2-3 is empty: the portal shows the visit without \
             saying why.",
        ),
        (
            "__remedy__",
            "Ask the registration desk to enter the reason; if it is entered there, look for the \
             mapping that drops PV2-3.",
        ),
        ("__us_per_row__", &language.budget.0.to_string()),
        ("__memory_mib__", &language.budget.1.to_string()),
    ];
    Words(words.into_iter().map(|(from, to)| (from, to.to_owned())).collect())
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
            let words = words("visit-number", language);
            for file in [COMMON, language.files, language.example].into_iter().flatten() {
                if !file.path.starts_with("sdk/") {
                    let text = words.fill(file.text);
                    let left = text.split("__").nth(1).map(str::to_owned);
                    assert_eq!(left, None, "{} of {}", file.path, language.name);
                }
            }
        }
    }
}
