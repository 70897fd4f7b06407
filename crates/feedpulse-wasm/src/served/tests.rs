//! A made-up version 9.9 is served beside 0.1: other records, other functions, the same host.

use super::{Findings, Guest, Prepared, Version};
use crate::host::Host;
use crate::host::bindings::feedpulse::check::types;
use crate::{Batch, CheckFinding, LoadError, ManifestError, Row, Runtime, Settings};
use std::sync::atomic::AtomicBool;
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Engine, Result, Store};

mod bindings {
    wasmtime::component::bindgen!({
        inline: "
            package feedpulse:check@9.9.0;
            interface checker {
                init: func(config: string) -> result<_, string>;
                check: func(feed: string, rows: string) -> result<list<string>, string>;
            }
            world check { export checker; }
        ",
        world: "check",
    });
}

/// Version 9.9: a check gets the feed and the rows, and gives codes.
pub(super) struct V99(Linker<Host>);

impl V99 {
    pub(super) fn new(engine: &Engine) -> Result<Self> {
        Ok(Self(Linker::new(engine)))
    }
}

struct Prepared99(InstancePre<Host>, bindings::CheckIndices);

struct Guest99(bindings::Check);

impl Version for V99 {
    fn prepare(&self, component: &Component) -> Result<Box<dyn Prepared>> {
        let pre = self.0.instantiate_pre(component)?;
        let indices = bindings::CheckIndices::new(&pre)?;
        Ok(Box::new(Prepared99(pre, indices)))
    }
}

impl Prepared for Prepared99 {
    fn ticks(&self) -> bool {
        false
    }

    fn instantiate(&self, store: &mut Store<Host>) -> Result<Box<dyn Guest>> {
        let instance = self.0.instantiate(&mut *store)?;
        Ok(Box::new(Guest99(self.1.load(&mut *store, &instance)?)))
    }
}

impl Guest for Guest99 {
    fn init(
        &self,
        store: &mut Store<Host>,
        config: &str,
    ) -> Result<std::result::Result<(), String>> {
        self.0.feedpulse_check_checker().call_init(store, config)
    }

    fn check(&self, store: &mut Store<Host>, batch: &types::Batch) -> Result<Findings> {
        let checker = self.0.feedpulse_check_checker();
        let codes = checker.call_check(store, &batch.feed, &batch.rows)?;
        Ok(codes.map(|codes| codes.into_iter().map(about_the_feed).collect()))
    }

    fn tick(&self, _: &mut Store<Host>, _: &str, _: u64) -> Result<Findings> {
        Ok(Ok(Vec::new()))
    }
}

fn about_the_feed(code: String) -> types::Finding {
    let (at, text, level) = (String::new(), String::new(), types::Level::Info);
    types::Finding { row: None, code, level, at, attrs: Vec::new(), text }
}

/// A check of 9.9 in text form: finds `seen`, whatever the rows.
const GUEST: &str = r#"(module
  (memory (export "memory") 1)
  (data (i32.const 64) "seen")
  (data (i32.const 32) "\40\00\00\00\04\00\00\00")
  (data (i32.const 16) "\00\00\00\00\20\00\00\00\01\00\00\00")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
  (func (export "feedpulse:check/checker@9.9.0#init") (param i32 i32) (result i32) (i32.const 512))
  (func (export "feedpulse:check/checker@9.9.0#check") (param i32 i32 i32 i32) (result i32)
    (i32.const 16)))"#;

/// The guest as a component whose manifest names a version.
fn component(wit: &str) -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let text = "
        package feedpulse:check@9.9.0;
        interface checker {
            init: func(config: string) -> result<_, string>;
            check: func(feed: string, rows: string) -> result<list<string>, string>;
        }
        world check { export checker; }
    ";
    let package = resolve.push_str("check.wit", text).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    let mut module = wat::parse_str(GUEST).unwrap();
    let utf8 = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, utf8).unwrap();
    let encoder = wit_component::ComponentEncoder::default().validate(true).module(&module);
    let mut component = encoder.unwrap().encode().unwrap();
    let manifest = serde_json::json!({
        "name": "new", "version": "1.0.0", "wit": wit, "fields": ["MSH-10"],
        "codes": {"seen": {"title": "t", "explanation": "e", "remedy": "r", "level": "info"}},
    });
    let body = [b"\x10feedpulse:plugin", manifest.to_string().as_bytes()].concat();
    let size =
        [u8::try_from(body.len() & 0x7f).unwrap() | 0x80, u8::try_from(body.len() >> 7).unwrap()];
    component.extend([&[0][..], &size, &body].concat());
    component
}

#[test]
fn a_check_of_another_version_runs_on_the_same_host() {
    let runtime = Runtime::new(None).unwrap();
    let ticker = runtime.ticker();
    std::thread::spawn(move || ticker.run(&AtomicBool::new(false)));
    let plugin = runtime.load(&component("feedpulse:check@9.9.3")).unwrap();
    let mut worker = plugin.worker(Settings::default()).unwrap();
    let rows = [Row { id: 1, fields: "x".to_owned() }];
    let batch = Batch { feed: "adt", now_ms: 0, monotonic_ms: 0, rows: &rows, access: None };
    let found = worker.check(&batch);
    let [CheckFinding::Found(finding)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(&*finding.code, "new/seen");
    assert!(worker.check(&batch).len() == 1 && worker.status().instances == 1);
}

#[test]
fn a_check_is_held_to_the_version_that_it_names() {
    let runtime = Runtime::new(None).unwrap();
    let error = runtime.load(&component("feedpulse:check@0.1.0")).unwrap_err();
    assert!(matches!(error, LoadError::Interface(_)), "{error}");
    let error = runtime.load(&component("feedpulse:check@7.0.0")).unwrap_err();
    assert!(matches!(error, LoadError::Manifest(ManifestError::Values(_))), "{error}");
}
