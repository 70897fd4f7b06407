//! Go: the stock compiler for `wasip1`, with an adapter that gives it nothing of WASI.
//!
//! The usual adapter lets Go's garbage collector read a clock in the middle of an allocation for the
//! host, which traps; ours ([`super::nowasi`]) leaves the instance for nothing.

use super::tools::{Workshop, which, world};
use super::{BuildError, Builder, Code, nowasi};
use std::path::Path;
use std::process::Command;

/// What a program exports that imports the package `tick` of the kit.
const TICK: &[u8] = b"feedpulse:check/ticker@0.1.0#tick";

/// The builder of Go checks.
pub(crate) struct Go;

impl Builder for Go {
    fn compile(&self, folder: &Path) -> Result<Code, BuildError> {
        let shop = Workshop::open(folder)?;
        let go = which("go").ok_or_else(|| {
            BuildError::Toolchain(format!(
                "{}: checks in Go are built with Go 1.24 or newer, which is not on PATH: install it \
                 (https://go.dev/dl, or your distribution's packages); nothing else is needed, the kit is in sdk/go",
                shop.folder.display()
            ))
        })?;
        let module = shop.work.join("core.wasm");
        let mut command = Command::new(go);
        command.env("GOOS", "wasip1").env("GOARCH", "wasm").env("CGO_ENABLED", "0");
        command.env("GOWORK", "off").env("GOFLAGS", "-buildvcs=false");
        command.args(["build", "-buildmode=c-shared", "-trimpath"]);
        command.arg(format!("-ldflags=-w -X feedpulse/check.fields={}", shop.fields.join(",")));
        command.arg("-o").arg(module).arg(".");
        shop.run(&mut command, "go build")?;
        let module = shop.read("core.wasm")?;
        let ticks = module.windows(TICK.len()).any(|window| window == TICK);
        Ok(Code::Bare { module, world: world(ticks), adapters: vec![nowasi::adapter()] })
    }
}
