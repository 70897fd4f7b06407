//! Python: componentize-py puts the modules and the interpreter into one component.
//!
//! `--stub-wasi`: the component imports nothing but the host's own functions. What the modules do when
//! they are imported happens while it is built, and is kept as it then was.

use super::tools::{Workshop, which, world};
use super::{BuildError, Builder, Code};
use crate::check::templates::others::PIP;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The version that the templates install.
const VERSION: &str = "0.25.1";
/// The module with the check.
const SOURCE: &str = "check.py";

/// The builder of Python checks.
pub(crate) struct Python;

impl Builder for Python {
    fn compile(&self, folder: &Path) -> Result<Code, BuildError> {
        let shop = Workshop::open(folder)?;
        let tool = tool(&shop)?;
        let sdk = shop.sdk("python")?;
        let source = std::fs::read_to_string(shop.folder.join(SOURCE))
            .map_err(|e| BuildError::Source(format!("{}/{SOURCE}: {e}", shop.folder.display())))?;
        if !defines(&source, "check") {
            return Err(BuildError::Source(format!(
                "{}/{SOURCE}: it has no function `check(row, out)` at top level",
                shop.folder.display()
            )));
        }
        shop.write(
            "app/feedpulse_component.py",
            &format!(
                "import check\nfrom feedpulse_check.component import classes\n\n\
                 Checker, Ticker = classes(check, {})\n",
                shop.field_list()
            ),
        )?;
        let mut command = Command::new(tool);
        // else it would look for packages of whatever Python is active
        command.env_remove("VIRTUAL_ENV").env("PYTHONDONTWRITEBYTECODE", "1");
        command.arg("--wit-path").arg(shop.work.join("wit"));
        command.args(["--world", world(defines(&source, "tick")), "--quiet"]);
        command.args(["componentize", "feedpulse_component", "--stub-wasi"]);
        for path in [Path::new("."), &sdk, &shop.work.join("app")] {
            command.arg("--python-path").arg(path);
        }
        command.arg("--output").arg(shop.work.join("component.wasm"));
        shop.run(&mut command, "componentize-py")?;
        shop.read("component.wasm").map(Code::Component)
    }
}

/// Whether a module has a function of that name at top level.
fn defines(source: &str, name: &str) -> bool {
    source
        .lines()
        .filter_map(|line| line.strip_prefix("def ")?.strip_prefix(name))
        .any(|rest| rest.trim_start().starts_with('('))
}

fn tool(shop: &Workshop) -> Result<PathBuf, BuildError> {
    if let Some(found) = shop.tool(".venv/bin", "componentize-py") {
        return Ok(found);
    }
    let python =
        if which("python3").is_some() { "" } else { "install Python 3.11 or newer, then " };
    let at = shop.folder.display();
    Err(BuildError::Toolchain(format!(
        "{at}: componentize-py {VERSION} is neither in .venv, here or in a folder above, nor on PATH: \
         {python}run `cd {at} && {PIP}` once. It fetches 50 MB; behind a mirror, `pip config set \
         global.index-url URL` first. Where venv itself is missing, your distribution has it as a \
         package, python3-venv as a rule"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_at_top_level_are_seen() {
        let source = "import x\n\ndef check(row, out):\n    def tick(): pass\n# def tick(\ndef ticker(): pass\n";
        assert!(defines(source, "check") && !defines(source, "tick"));
        assert!(defines("def tick (feed, now_ms, out): ...", "tick"));
    }

    #[test]
    fn the_template_installs_the_version_that_is_named() {
        let requirements = include_str!("../../../templates/python/requirements.txt");
        assert!(requirements.contains(&format!("componentize-py=={VERSION}\n")), "{requirements}");
    }
}
