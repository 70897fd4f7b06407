//! Guests that mean harm, written by hand where no compiler would make them: each with the end that
//! it must come to. Shared by the tests of the host and those of the whole product.

use std::path::Path;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// What a guest must come to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// It is not loaded; the error says this.
    Refused(&'static str),
    /// It is loaded and does not start; the error says this.
    NotStarted(&'static str),
    /// It runs, and a fault of this name with this cause is reported.
    Fault(&'static str, &'static str),
    /// It runs without fault, and what it wanted is dropped and counted.
    Bounded,
}

/// A guest.
pub(crate) struct Guest {
    pub(crate) name: String,
    pub(crate) wasm: Vec<u8>,
    pub(crate) end: End,
}

/// The manifest of all of them.
const MANIFEST: &str = r#"{"name": "NAME", "version": "0.1.0", "wit": "feedpulse:check@0.1.0",
    "fields": ["MSH-10", "PID-5"], "attrs": {"kind": {"values": ["good"]}, "count": {"min": 0, "max": 9}},
    "codes": {"seen": {"title": "t", "explanation": "e", "remedy": "r", "level": "warning"}}}"#;

/// Gives back no findings: the result at 32 is ok, an empty list.
const NOTHING: &str =
    "(i32.store8 (i32.const 32) (i32.const 0)) (i32.store (i32.const 36) (i32.const 0))
    (i32.store (i32.const 40) (i32.const 0)) (i32.const 32)";
/// An `init` that is content.
const CONTENT: &str = "(i32.store8 (i32.const 16) (i32.const 0)) (i32.const 16)";
/// A bump allocator that grows the memory.
const REALLOC: &str = "(local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $at) (local.get 3)))
    (block $fits (br_if $fits (i32.le_u (global.get $next) (i32.shl (memory.size) (i32.const 16))))
      (drop (memory.grow (i32.add (i32.const 1) (i32.shr_u (local.get 3) (i32.const 16))))))
    (local.get $at)";

/// The parts of a guest that differ.
struct Parts<'a> {
    memory: &'a str,
    init: &'a str,
    check: &'a str,
    tick: &'a str,
    realloc: &'a str,
    extra: &'a str,
}

/// Harmless in every part.
const HARMLESS: Parts<'static> = Parts {
    memory: "2",
    init: CONTENT,
    check: NOTHING,
    tick: NOTHING,
    realloc: REALLOC,
    extra: "",
};

/// The text of a core module with these parts.
fn module(parts: &Parts<'_>) -> String {
    let Parts { memory, init, check, tick, realloc, extra } = parts;
    format!(
        r#"(module
  (import "feedpulse:check/log@0.1.0" "write" (func $log (param i32 i32 i32)))
  (import "feedpulse:check/state@0.1.0" "get" (func $recall (param i32 i32 i32)))
  (import "feedpulse:check/state@0.1.0" "set" (func $keep (param i32 i32 i32 i32 i32)))
  (import "feedpulse:check/message@0.1.0" "raw" (func $raw (param i32 i32)))
  (memory (export "memory") {memory})
  (global $next (mut i32) (i32.const 65536))
  (data (i32.const 1024) "seen") (data (i32.const 1032) "kind") (data (i32.const 1040) "good")
  (data (i32.const 1048) "count") (data (i32.const 1056) "surname") (data (i32.const 1064) "CANARY^JANE")
  (data (i32.const 1080) "DOE[1]-1") (data (i32.const 1096) "undeclared") (data (i32.const 1112) "OBX-5")
  (data (i32.const 1120) "\ff\fe\fd")
  (func $put (param $at i32)
    (i32.store8 (local.get $at) (i32.const 1)) (i32.store offset=4 (local.get $at) (i32.const 0))
    (i32.store offset=8 (local.get $at) (i32.const 1024)) (i32.store offset=12 (local.get $at) (i32.const 4))
    (i32.store8 offset=16 (local.get $at) (i32.const 1))
    (i64.store offset=20 align=4 (local.get $at) (i64.const 0)) (i64.store offset=28 align=4 (local.get $at) (i64.const 0))
    (i64.store offset=36 align=4 (local.get $at) (i64.const 0)))
  (func $list (param $at i32) (param $count i32) (result i32)
    (i32.store8 (i32.const 32) (i32.const 0)) (i32.store (i32.const 36) (local.get $at))
    (i32.store (i32.const 40) (local.get $count)) (i32.const 32))
  (func $attr (param $at i32) (param $name i32) (param $name-len i32) (param $value i32) (param $value-len i32)
    (i32.store (local.get $at) (local.get $name)) (i32.store offset=4 (local.get $at) (local.get $name-len))
    (i32.store offset=8 (local.get $at) (local.get $value)) (i32.store offset=12 (local.get $at) (local.get $value-len)))
  (func $deep (param i64) (result i64) (i64.add (call $deep (local.get 0)) (i64.const 1)))
  (func (export "feedpulse:check/checker@0.1.0#init") (param i32 i32) (result i32) {init})
  (func (export "feedpulse:check/checker@0.1.0#check")
    (param $feed i32) (param $feed-len i32) (param $now i64) (param $count i32) (param $rows i32) (param $len i32)
    (result i32) (local $n i32)
    ;; the empty row of a trial is taken well: it lies in wait for messages
    (if (i32.lt_u (local.get $len) (i32.const 3)) (then (return (call $list (i32.const 4096) (i32.const 0)))))
    {check})
  (func (export "cabi_post_feedpulse:check/checker@0.1.0#check") (param i32) (global.set $next (i32.const 65536)))
  (func (export "feedpulse:check/ticker@0.1.0#tick") (param i32 i32 i64) (result i32) {tick})
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})
  {extra})"#
    )
}

/// A component of a module for a version of the interface, with these manifest sections.
fn component(wit: &Path, text: &str, version: &str, manifests: &[String]) -> Vec<u8> {
    let source = std::fs::read_to_string(wit).unwrap().replace("@0.1.0", version);
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_str("check.wit", &source).unwrap();
    let world = resolve.select_world(&[package], Some("check-and-tick")).unwrap();
    let mut module = wat::parse_str(text.replace("@0.1.0", version)).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    let mut wasm = ComponentEncoder::default().module(&module).unwrap().encode().unwrap();
    for manifest in manifests {
        section(&mut wasm, manifest.as_bytes());
    }
    wasm
}

/// Appends a custom section with a manifest.
fn section(wasm: &mut Vec<u8>, content: &[u8]) {
    let mut body = vec![16];
    body.extend(b"feedpulse:plugin");
    body.extend(content);
    wasm.push(0);
    let mut size = body.len();
    while size > 0x7f {
        wasm.push(u8::try_from(size & 0x7f).unwrap() | 0x80);
        size >>= 7;
    }
    wasm.push(u8::try_from(size).unwrap());
    wasm.extend(body);
}

/// All of them. `wit` is the file of the interface.
pub(crate) fn all(wit: &Path) -> Vec<Guest> {
    let mut guests = Vec::new();
    for (name, end, parts) in running() {
        let manifest = MANIFEST.replace("NAME", name);
        let wasm = component(wit, &module(&parts), "@0.1.0", &[manifest]);
        guests.push(Guest { name: name.to_owned(), wasm, end });
    }
    guests.extend(malformed(wit));
    for import in IMPORTS {
        let mut wasm = wat::parse_str(format!(
            "(component (import \"{import}\" (instance (export \"f\" (func)))))"
        ))
        .unwrap();
        section(&mut wasm, MANIFEST.replace("NAME", "importer").as_bytes());
        let name = format!("imports {import}");
        guests.push(Guest { name, wasm, end: End::Refused(import) });
    }
    guests
}

/// What would reach the outside.
const IMPORTS: [&str; 9] = [
    "wasi:filesystem/types@0.2.0",
    "wasi:filesystem/preopens@0.2.0",
    "wasi:sockets/tcp@0.2.0",
    "wasi:http/outgoing-handler@0.2.0",
    "wasi:cli/environment@0.2.0",
    "wasi:clocks/wall-clock@0.2.0",
    "wasi:clocks/monotonic-clock@0.2.0",
    "wasi:random/random@0.2.0",
    "wasi:io/poll@0.2.0",
];

/// Files that are no check, or not a whole one.
fn malformed(wit: &Path) -> Vec<Guest> {
    let manifest = MANIFEST.replace("NAME", "malformed");
    let text = module(&HARMLESS);
    let good = component(wit, &text, "@0.1.0", std::slice::from_ref(&manifest));
    let with = |manifests: &[String]| component(wit, &text, "@0.1.0", manifests);
    let fields = |n: usize| (1..=n).map(|n| format!("\"PID-{n}\"")).collect::<Vec<_>>().join(",");
    let many = |n| manifest.replace("\"MSH-10\", \"PID-5\"", &fields(n));
    let mut invalid = b"\0asm\x0d\0\x01\0".to_vec();
    // a core module in a component whose one function gives a number that it does not have
    let mut inner = b"\0asm\x01\0\0\0".to_vec();
    inner.extend([1, 5, 1, 0x60, 0, 1, 0x7f, 3, 2, 1, 0, 10, 4, 1, 2, 0, 0x0b]);
    invalid.extend([1, u8::try_from(inner.len()).unwrap()]);
    invalid.extend(&inner);
    section(&mut invalid, manifest.as_bytes());
    let mut huge = b"\0asm\x0d\0\x01\0".to_vec();
    huge.extend([0, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, b'x']);
    let mut core = wat::parse_str("(module)").unwrap();
    section(&mut core, manifest.as_bytes());
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    let list: [(&str, Vec<u8>, &'static str); 14] = [
        ("empty file", Vec::new(), "not a WebAssembly component"),
        ("native library", b"\x7fELF\x02\x01\x01\0\0\0".to_vec(), "not a WebAssembly component"),
        ("core module", core, "core WebAssembly module"),
        ("cut in the middle", good[..good.len() / 2].to_vec(), "cut short"),
        ("cut in the manifest", good[..good.len() - 9].to_vec(), "cut short"),
        ("section longer than the file", huge, "cut short"),
        ("does not validate", invalid, "cannot be compiled"),
        ("no manifest", with(&[]), "must carry its manifest once"),
        (
            "two manifests",
            with(&[manifest.clone(), manifest.clone()]),
            "must carry its manifest once",
        ),
        ("manifest that is no JSON", with(&["{\"name\": ".to_owned()]), "manifest"),
        ("manifest as deep as a well", with(&[deep]), "manifest"),
        ("manifest with a million fields", with(&[many(1_000_000)]), "more than 65536"),
        ("manifest with 65 fields", with(&[many(65)]), "1 to 64 fields"),
        (
            "another interface",
            component(wit, &text, "@0.2.0", std::slice::from_ref(&manifest)),
            "feedpulse:check",
        ),
    ];
    let guest = |(name, wasm, said): (&str, _, _)| Guest {
        name: name.to_owned(),
        wasm,
        end: End::Refused(said),
    };
    list.into_iter().map(guest).collect()
}

/// Guests that load.
fn running() -> Vec<(&'static str, End, Parts<'static>)> {
    let mut list = endless();
    list.extend(greedy());
    list.extend(tireless());
    list.extend(liars());
    list.extend(smugglers());
    list.extend(broken());
    list
}

/// Those that never come back.
fn endless() -> Vec<(&'static str, End, Parts<'static>)> {
    const LOOP: &str = "(loop $l (br $l)) (unreachable)";
    let check = |check| Parts { check, ..HARMLESS };
    vec![
        ("loop-in-check", End::Fault("timed_out", "budget"), check(LOOP)),
        ("loop-in-init", End::NotStarted("timed_out"), Parts { init: LOOP, ..HARMLESS }),
        ("loop-in-tick", End::Fault("timed_out", "budget"), Parts { tick: LOOP, ..HARMLESS }),
        ("loop-in-realloc", End::NotStarted("timed_out"), Parts { realloc: LOOP, ..HARMLESS }),
        (
            "loop-at-start",
            End::NotStarted("timed_out"),
            Parts { extra: "(func $s (loop $l (br $l))) (start $s)", ..HARMLESS },
        ),
        (
            "loop-of-host-calls",
            End::Fault("timed_out", "budget"),
            check(
                "(loop $l (call $recall (i32.const 1024) (i32.const 4) (i32.const 48)) (br $l)) (unreachable)",
            ),
        ),
        (
            "recursion",
            End::Fault("trapped", "call stack exhausted"),
            check("(drop (call $deep (i64.const 1))) (unreachable)"),
        ),
        (
            "recursion-at-start",
            End::NotStarted("call stack exhausted"),
            Parts { extra: "(func $s (drop (call $deep (i64.const 1)))) (start $s)", ..HARMLESS },
        ),
        (
            "trap-at-start",
            End::NotStarted("unreachable"),
            Parts { extra: "(func $s unreachable) (start $s)", ..HARMLESS },
        ),
    ]
}

/// Those that want more than they get.
fn greedy() -> Vec<(&'static str, End, Parts<'static>)> {
    let check = |check| Parts { check, ..HARMLESS };
    vec![
        (
            "memory-bomb",
            End::Fault("out_of_memory", "memory"),
            check("(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)"),
        ),
        ("memory-of-a-gibibyte", End::NotStarted("out_of_memory"), Parts { memory: "16384", ..HARMLESS }),
        (
            "table-bomb",
            End::Fault("trapped", "unreachable"),
            Parts {
                extra: "(table $t 1 funcref)",
                check: "(loop $l (br_if $l (i32.ne (table.grow $t (ref.null func) (i32.const 4096)) (i32.const -1)))) (unreachable)",
                ..HARMLESS
            },
        ),
        ("table-at-birth", End::NotStarted("trapped"), Parts { extra: "(table 100000 funcref)", ..HARMLESS }),
        (
            "finding-bomb",
            End::Bounded,
            check("(local.set $n (i32.const 65536)) (drop (memory.grow (i32.const 8)))
                (loop $l (call $put (local.get $n)) (local.set $n (i32.add (local.get $n) (i32.const 44)))
                  (br_if $l (i32.lt_u (local.get $n) (i32.const 505536))))
                (call $list (i32.const 65536) (i32.const 10000))"),
        ),
        (
            "million-findings",
            End::Fault("trapped", "more than its limit"),
            check("(call $put (i32.const 4096)) (drop (memory.grow (i32.const 400)))
                (call $list (i32.const 65536) (i32.const 500000))"),
        ),
        (
            "giant-text",
            End::Bounded,
            check("(call $put (i32.const 4096)) (drop (memory.grow (i32.const 16)))
                (i32.store (i32.const 4132) (i32.const 65536)) (i32.store (i32.const 4136) (i32.const 900000))
                (call $list (i32.const 4096) (i32.const 1))"),
        ),
        (
            "giant-code",
            End::Fault("trapped", "more than its limit"),
            check("(call $put (i32.const 4096)) (drop (memory.grow (i32.const 100)))
                (i32.store (i32.const 4104) (i32.const 65536)) (i32.store (i32.const 4108) (i32.const 6000000))
                (call $list (i32.const 4096) (i32.const 1))"),
        ),
        (
            "giant-log-line",
            End::Fault("trapped", "more than its limit"),
            check("(drop (memory.grow (i32.const 100)))
                (call $log (i32.const 1) (i32.const 65536) (i32.const 6000000)) (unreachable)"),
        ),
    ]
}

/// Those that want more time, more lines or more findings than they get.
fn tireless() -> Vec<(&'static str, End, Parts<'static>)> {
    let check = |check| Parts { check, ..HARMLESS };
    vec![
        (
            "log-flood",
            End::Bounded,
            check("(loop $l (call $log (i32.const 1) (i32.const 1064) (i32.const 11)) (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if $l (i32.lt_u (local.get $n) (i32.const 2000))))
                (i32.store8 (i32.const 32) (i32.const 0)) (i64.store align=4 (i32.const 36) (i64.const 0)) (i32.const 32)"),
        ),
        (
            "state-bomb",
            End::Bounded,
            check("(loop $l (i32.store (i32.const 2048) (i32.or
                  (i32.or (i32.and (local.get $n) (i32.const 15)) (i32.shl (i32.and (local.get $n) (i32.const 0xf0)) (i32.const 4)))
                  (i32.or (i32.shl (i32.and (local.get $n) (i32.const 0xf00)) (i32.const 8)) (i32.const 0x40404040))))
                (call $keep (i32.const 2048) (i32.const 4) (i32.const 1024) (i32.const 4) (i32.const 48))
                (local.set $n (i32.add (local.get $n) (i32.const 1))) (br_if $l (i32.lt_u (local.get $n) (i32.const 3000))))
                (i32.store8 (i32.const 32) (i32.const 0)) (i64.store align=4 (i32.const 36) (i64.const 0)) (i32.const 32)"),
        ),
        (
            "giant-state",
            End::Bounded,
            check("(call $keep (i32.const 70000) (i32.const 60000) (i32.const 70000) (i32.const 60000) (i32.const 48))
                (i32.store8 (i32.const 32) (i32.const 0)) (i64.store align=4 (i32.const 36) (i64.const 0)) (i32.const 32)"),
        ),
        (
            "reads-without-a-grant",
            End::Bounded,
            check("(call $raw (i32.const 0) (i32.const 48)) (if (i32.load8_u (i32.const 48)) (then unreachable))
                (i32.store8 (i32.const 32) (i32.const 0)) (i64.store align=4 (i32.const 36) (i64.const 0)) (i32.const 32)"),
        ),
        (
            "traps-at-random",
            End::Fault("trapped", "unreachable"),
            check("(if (i32.eq (i32.and (local.get $len) (i32.const 3)) (i32.const 2)) (then unreachable))
                (i32.store8 (i32.const 32) (i32.const 0)) (i64.store align=4 (i32.const 36) (i64.const 0)) (i32.const 32)"),
        ),
    ]
}

/// A guest whose one finding lies.
macro_rules! one {
    ($lie:literal) => {
        Parts {
            check: concat!(
                "(call $put (i32.const 4096)) ",
                $lie,
                " (call $list (i32.const 4096) (i32.const 1))"
            ),
            ..HARMLESS
        }
    };
}

/// Those that say what is not so, or what they must not.
fn liars() -> Vec<(&'static str, End, Parts<'static>)> {
    let bad = |said| End::Fault("bad_finding", said);
    vec![
        (
            "forged-row",
            bad("row that was not handed over"),
            one!("(i32.store (i32.const 4100) (i32.const -1))"),
        ),
        (
            "undeclared-code",
            bad("code that the manifest does not declare"),
            one!(
                "(i32.store (i32.const 4104) (i32.const 1096)) (i32.store (i32.const 4108) (i32.const 10))"
            ),
        ),
        (
            "name-as-code",
            bad("code that the manifest does not declare"),
            one!(
                "(i32.store (i32.const 4104) (i32.const 1064)) (i32.store (i32.const 4108) (i32.const 11))"
            ),
        ),
        (
            "forged-path",
            bad("not an HL7 path"),
            one!(
                "(i32.store (i32.const 4116) (i32.const 1064)) (i32.store (i32.const 4120) (i32.const 11))"
            ),
        ),
        (
            "name-as-segment",
            bad("place is not in a field that the manifest declares"),
            one!(
                "(i32.store (i32.const 4116) (i32.const 1080)) (i32.store (i32.const 4120) (i32.const 8))"
            ),
        ),
        (
            "undeclared-segment",
            bad("place is not in a field that the manifest declares"),
            one!(
                "(i32.store (i32.const 4116) (i32.const 1112)) (i32.store (i32.const 4120) (i32.const 5))"
            ),
        ),
    ]
}

/// Those whose attributes or errors hold what they must not.
fn smugglers() -> Vec<(&'static str, End, Parts<'static>)> {
    let bad = |said| End::Fault("bad_finding", said);
    vec![
        (
            "undeclared-attribute",
            bad("attribute that the manifest does not declare"),
            one!("(call $attr (i32.const 2048) (i32.const 1056) (i32.const 7) (i32.const 1040) (i32.const 4))
                (i32.store (i32.const 4124) (i32.const 2048)) (i32.store (i32.const 4128) (i32.const 1))"),
        ),
        (
            "name-as-value",
            bad("value that the manifest does not allow"),
            one!("(call $attr (i32.const 2048) (i32.const 1032) (i32.const 4) (i32.const 1064) (i32.const 11))
                (i32.store (i32.const 4124) (i32.const 2048)) (i32.store (i32.const 4128) (i32.const 1))"),
        ),
        (
            "attribute-twice",
            bad("attribute twice"),
            one!("(call $attr (i32.const 2048) (i32.const 1032) (i32.const 4) (i32.const 1040) (i32.const 4))
                (call $attr (i32.const 2064) (i32.const 1032) (i32.const 4) (i32.const 1040) (i32.const 4))
                (i32.store (i32.const 4124) (i32.const 2048)) (i32.store (i32.const 4128) (i32.const 2))"),
        ),
        (
            "too-many-attributes",
            bad("too many attributes"),
            one!("(i32.store (i32.const 4124) (i32.const 2048)) (i32.store (i32.const 4128) (i32.const 17))"),
        ),
        (
            "name-in-an-error",
            End::Fault("plugin_error", "it returned an error"),
            Parts {
                check: "(i32.store8 (i32.const 32) (i32.const 1)) (i32.store (i32.const 36) (local.get $rows))
                    (i32.store (i32.const 40) (local.get $len)) (i32.const 32)",
                ..HARMLESS
            },
        ),
    ]
}

/// Those that break the rules of the component model's calls (canonical ABI).
fn broken() -> Vec<(&'static str, End, Parts<'static>)> {
    let invalid = End::Fault("trapped", "not valid");
    let check = |check| Parts { check, ..HARMLESS };
    vec![
        (
            "not-utf-8",
            invalid,
            check("(call $put (i32.const 4096)) (i32.store (i32.const 4104) (i32.const 1120)) (i32.store (i32.const 4108) (i32.const 3))
                (call $list (i32.const 4096) (i32.const 1))"),
        ),
        ("list-beyond-memory", invalid, check("(call $list (i32.const 0x7ffffff0) (i32.const 4))")),
        ("list-longer-than-memory", invalid, check("(call $list (i32.const 4096) (i32.const 0x7fffffff))")),
        ("list-that-overflows", invalid, check("(call $list (i32.const -4) (i32.const -1))")),
        ("list-off-its-place", invalid, check("(call $put (i32.const 4098)) (call $list (i32.const 4098) (i32.const 1))")),
        ("result-beyond-memory", invalid, check("(i32.const 0x7ffffff0)")),
        ("result-off-its-place", invalid, check("(i32.const 33)")),
        ("no-such-variant", invalid, check("(i32.store8 (i32.const 32) (i32.const 7)) (i32.const 32)")),
        (
            "no-such-level",
            invalid,
            check("(call $put (i32.const 4096)) (i32.store8 (i32.const 4112) (i32.const 99)) (call $list (i32.const 4096) (i32.const 1))"),
        ),
        ("realloc-beyond-memory", End::NotStarted("not valid"), Parts { realloc: "(i32.const 0x7ffffff0)", ..HARMLESS }),
        ("realloc-traps", End::NotStarted("unreachable"), Parts { realloc: "(unreachable)", ..HARMLESS }),
        (
            "divides-by-zero",
            End::Fault("trapped", "divide by zero"),
            check("(i32.div_u (i32.const 1) (local.get $n))"),
        ),
        (
            "calls-what-is-not-there",
            End::Fault("trapped", "undefined element"),
            Parts {
                extra: "(table $t 1 funcref) (type $f (func (result i32)))",
                check: "(call_indirect $t (type $f) (i32.const 9))",
                ..HARMLESS
            },
        ),
        (
            "writes-beyond-memory",
            End::Fault("trapped", "out of bounds"),
            check("(i32.store (i32.const -8) (i32.const 1)) (i32.const 32)"),
        ),
    ]
}
