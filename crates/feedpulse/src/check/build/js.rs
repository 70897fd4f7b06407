//! JavaScript and TypeScript: esbuild puts the modules into one and takes the types out,
//! componentize-qjs puts that into QuickJS.
//!
//! `--sync --stub-wasi`: the component imports nothing but the host's own functions. The bundle stays
//! in `target/check/bundle.js`; its source map travels in the component, so that a failing check is
//! reported with places in its own source.

use super::tools::{Workshop, which, world};
use super::{BuildError, Builder, Code, packaging};
use crate::check::sourcemap;
use crate::check::templates::others::NPM;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The builder of checks whose source is this file.
pub(crate) struct Js {
    /// From the check's folder.
    pub(crate) source: &'static str,
}

impl Builder for Js {
    fn compile(&self, folder: &Path) -> Result<Code, BuildError> {
        let shop = Workshop::open(folder)?;
        let (esbuild, qjs) = (tool(&shop, "esbuild")?, tool(&shop, "componentize-qjs")?);
        let ticks = self.bundle(&shop, &esbuild)?;
        let mut command = Command::new(qjs);
        command.arg("--wit").arg(shop.work.join("wit"));
        command.args(["--world", world(ticks), "--sync", "--stub-wasi", "--js"]);
        command.arg(shop.work.join("bundle.js"));
        command.arg("--output").arg(shop.work.join("component.wasm"));
        shop.run(&mut command, "componentize-qjs")?;
        let mut component = shop.read("component.wasm")?;
        // beside the code, so that whoever has the file is told lines of the source
        let map = sourcemap::small(&shop.read("bundle.js.map")?, &shop.folder, &shop.work);
        packaging::append_section(&mut component, sourcemap::SECTION, &map);
        Ok(Code::Component(component))
    }
}

impl Js {
    /// Makes `bundle.js`; whether the check exports a `tick`.
    fn bundle(&self, shop: &Workshop, esbuild: &Path) -> Result<bool, BuildError> {
        let sdk = shop.sdk("js")?;
        let exports = self.exports(shop, esbuild, &sdk)?;
        if !exports.iter().any(|name| name == "check") {
            return Err(BuildError::Source(format!(
                "{}: it exports no function `check(row, out)`",
                shop.folder.join(self.source).display()
            )));
        }
        let ticks = exports.iter().any(|name| name == "tick");
        let names = if ticks { "checker, ticker" } else { "checker" };
        let entry = shop.write(
            "entry.js",
            &format!(
                "import * as author from \"../../{}\";\n\
                 import {{ component }} from \"feedpulse-check/component\";\n\
                 export const {{ {names} }} = component(author, {});\n",
                self.source,
                shop.field_list()
            ),
        )?;
        let mut command = bundler(esbuild, &sdk);
        command.arg(entry).arg("--external:feedpulse:check/*").arg(outfile(shop, "bundle.js"));
        command.args(["--sourcemap=external", "--sources-content=false"]);
        shop.run(&mut command, "esbuild")?;
        Ok(ticks)
    }

    /// The names that the check's module exports.
    fn exports(
        &self,
        shop: &Workshop,
        esbuild: &Path,
        sdk: &Path,
    ) -> Result<Vec<String>, BuildError> {
        let mut command = bundler(esbuild, sdk);
        command.arg(self.source).arg(outfile(shop, "exports.js"));
        command.arg(format!("--metafile={}", shop.work.join("exports.json").display()));
        shop.run(&mut command, "esbuild")?;
        let meta: serde_json::Value = serde_json::from_slice(&shop.read("exports.json")?)
            .map_err(|e| BuildError::Source(format!("esbuild's metafile: {e}")))?;
        let outputs = meta["outputs"].as_object().into_iter().flatten();
        let names = outputs.filter_map(|(_, output)| output["exports"].as_array()).flatten();
        Ok(names.filter_map(|name| name.as_str().map(str::to_owned)).collect())
    }
}

/// esbuild for QuickJS: one module, no Node.js, and the kit by its name wherever it lies.
fn bundler(esbuild: &Path, sdk: &Path) -> Command {
    let mut command = Command::new(esbuild);
    command.args(["--bundle", "--format=esm", "--platform=neutral", "--main-fields=module,main"]);
    command.args(["--target=es2023", "--log-level=warning"]);
    // the longer name first: the shorter one would match it too
    for (name, file) in [("feedpulse-check/component", "component"), ("feedpulse-check", "index")] {
        let file = sdk.join(format!("src/{file}.js"));
        command.arg(format!("--alias:{name}={}", file.display()));
    }
    command
}

fn outfile(shop: &Workshop, name: &str) -> String {
    format!("--outfile={}", shop.work.join(name).display())
}

fn tool(shop: &Workshop, name: &str) -> Result<PathBuf, BuildError> {
    let at = shop.folder.display();
    if which("node").is_none() {
        return Err(BuildError::Toolchain(format!(
            "{at}: checks in JavaScript and TypeScript are built with Node.js 20 or newer, which is \
             not on PATH: install it (https://nodejs.org, or your distribution's packages), then run \
             `cd {at} && {NPM}`"
        )));
    }
    shop.tool("node_modules/.bin", name).ok_or_else(|| {
        BuildError::Toolchain(format!(
            "{at}: {name} is not in node_modules, here or in a folder above: run `cd {at} && {NPM}` \
             once. It fetches 50 MB; behind a mirror, `npm config set registry URL` first"
        ))
    })
}
