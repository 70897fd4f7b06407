//! An adapter for programs that expect WASI preview 1: it answers every call and imports nothing.
//!
//! A guest that is built with it gets no arguments, no environment, no files and no entropy. What it
//! writes vanishes but counts as written; a clock only counts how often it is read; randomness is a
//! fixed sequence; what else could be asked for answers "not supported". Functions and signatures:
//! WASI preview 1, `wasi_snapshot_preview1.witx`.

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, EntityType, ExportKind, ExportSection, Function,
    FunctionSection, GlobalSection, GlobalType, ImportSection, InstructionSink, MemArg, MemoryType,
    Module, TypeSection, ValType,
};

/// What a function does.
#[derive(Clone, Copy)]
enum Does {
    /// Answers "success" without more.
    Nothing,
    /// Answers "not supported" (errno 58).
    Refuses,
    /// Answers "bad file descriptor" (errno 8): there is no such file, and no folder to start from.
    HasNone,
    /// Writes two zeros: no arguments, no variables.
    TwoZeros,
    /// Ends the guest.
    Traps,
    /// A microsecond more each time.
    Clock,
    /// The next numbers of a xorshift generator.
    Random,
    /// Counts the bytes as written.
    Write,
    /// Says that every subscription is due.
    Poll,
    /// Describes a character device that can be written to.
    Describe,
}

/// Every function: name, parameters (`i` 32, `I` 64 bits) and what it does. All but the one that ends
/// the guest give an error number.
const FUNCTIONS: &[(&str, &str, Does)] = &[
    ("args_get", "ii", Does::Nothing),
    ("args_sizes_get", "ii", Does::TwoZeros),
    ("clock_res_get", "ii", Does::Refuses),
    ("clock_time_get", "iIi", Does::Clock),
    ("environ_get", "ii", Does::Nothing),
    ("environ_sizes_get", "ii", Does::TwoZeros),
    ("fd_advise", "iIIi", Does::Refuses),
    ("fd_allocate", "iII", Does::Refuses),
    ("fd_close", "i", Does::Nothing),
    ("fd_datasync", "i", Does::Refuses),
    ("fd_fdstat_get", "ii", Does::Describe),
    ("fd_fdstat_set_flags", "ii", Does::Nothing),
    ("fd_fdstat_set_rights", "iII", Does::Refuses),
    ("fd_filestat_get", "ii", Does::Refuses),
    ("fd_filestat_set_size", "iI", Does::Refuses),
    ("fd_filestat_set_times", "iIIi", Does::Refuses),
    ("fd_pread", "iiiIi", Does::Refuses),
    ("fd_prestat_get", "ii", Does::HasNone),
    ("fd_prestat_dir_name", "iii", Does::HasNone),
    ("fd_pwrite", "iiiIi", Does::Refuses),
    ("fd_read", "iiii", Does::Refuses),
    ("fd_readdir", "iiiIi", Does::Refuses),
    ("fd_renumber", "ii", Does::Refuses),
    ("fd_seek", "iIii", Does::Refuses),
    ("fd_sync", "i", Does::Refuses),
    ("fd_tell", "ii", Does::Refuses),
    ("fd_write", "iiii", Does::Write),
    ("path_create_directory", "iii", Does::Refuses),
    ("path_filestat_get", "iiiii", Does::Refuses),
    ("path_filestat_set_times", "iiiiIIi", Does::Refuses),
    ("path_link", "iiiiiii", Does::Refuses),
    ("path_open", "iiiiiIIii", Does::Refuses),
    ("path_readlink", "iiiiii", Does::Refuses),
    ("path_remove_directory", "iii", Does::Refuses),
    ("path_rename", "iiiiii", Does::Refuses),
    ("path_symlink", "iiiii", Does::Refuses),
    ("path_unlink_file", "iii", Does::Refuses),
    ("poll_oneoff", "iiii", Does::Poll),
    ("proc_exit", "i", Does::Traps),
    ("proc_raise", "i", Does::Refuses),
    ("random_get", "ii", Does::Random),
    ("sched_yield", "", Does::Nothing),
    ("sock_accept", "iii", Does::Refuses),
    ("sock_recv", "iiiiii", Does::Refuses),
    ("sock_send", "iiiii", Does::Refuses),
    ("sock_shutdown", "ii", Does::Refuses),
];

/// What the clock says before it is first read: 2023-11-14T22:13:20Z in nanoseconds.
const START_NS: i64 = 1_700_000_000_000_000_000;
/// The seed of the generator; any number but zero.
const SEED: i64 = 0x2545_F491_4F6C_DD1D;
/// The global of the clock.
const CLOCK: u32 = 0;
/// The global of the generator.
const RANDOM: u32 = 1;

/// The name of the import that it meets, and the module.
pub(super) fn adapter() -> (&'static str, Vec<u8>) {
    let (mut types, mut functions) = (TypeSection::new(), FunctionSection::new());
    let (mut exports, mut code) = (ExportSection::new(), CodeSection::new());
    for (index, (name, parameters, does)) in (0..).zip(FUNCTIONS) {
        let parameter = |c| if c == b'I' { ValType::I64 } else { ValType::I32 };
        let result = if matches!(does, Does::Traps) { None } else { Some(ValType::I32) };
        types.ty().function(parameters.bytes().map(parameter), result);
        functions.function(index);
        exports.export(name, ExportKind::Func, index);
        code.function(&body(*does, u32::try_from(parameters.len()).unwrap_or(0)));
    }
    let mut imports = ImportSection::new();
    let memory = MemoryType {
        minimum: 0,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    };
    // the guest's own memory, under the name that wit-component gives it
    imports.import("env", "memory", EntityType::Memory(memory));
    let mut globals = GlobalSection::new();
    for start in [START_NS, SEED] {
        let kind = GlobalType { val_type: ValType::I64, mutable: true, shared: false };
        globals.global(kind, &ConstExpr::i64_const(start));
    }
    let mut module = Module::new();
    module.section(&types).section(&imports).section(&functions).section(&globals);
    module.section(&exports).section(&code);
    ("wasi_snapshot_preview1", module.finish())
}

/// A number of 32 or 64 bits at an address.
const fn at(offset: u64) -> MemArg {
    MemArg { offset, align: 0, memory_index: 0 }
}

/// The body of a function; `first` is its first local variable.
fn body(does: Does, first: u32) -> Function {
    let mut function = Function::new(match does {
        Does::Random | Does::Write | Does::Poll => vec![(1, ValType::I32)],
        _ => Vec::new(),
    });
    let mut sink = function.instructions();
    match does {
        Does::Nothing => {}
        Does::Refuses => return number(58),
        Does::HasNone => return number(8),
        Does::Traps => {
            sink.unreachable().end();
            return function;
        }
        Does::TwoZeros => {
            sink.local_get(0).i32_const(0).i32_store(at(0));
            sink.local_get(1).i32_const(0).i32_store(at(0));
        }
        Does::Clock => {
            sink.global_get(CLOCK).i64_const(1000).i64_add().global_set(CLOCK);
            sink.local_get(2).global_get(CLOCK).i64_store(at(0));
        }
        Does::Random => random(&mut sink, first),
        Does::Write => write(&mut sink, first),
        Does::Poll => poll(&mut sink, first),
        Does::Describe => {
            // file type 2 (character device), no flags, the right to write (bit 6), nothing inherited
            sink.local_get(1).i64_const(2).i64_store(at(0));
            sink.local_get(1).i64_const(0x40).i64_store(at(8));
            sink.local_get(1).i64_const(0).i64_store(at(16));
        }
    }
    sink.i32_const(0).end();
    function
}

/// A function that gives one number.
fn number(errno: i32) -> Function {
    let mut function = Function::new([]);
    function.instructions().i32_const(errno).end();
    function
}

/// Repeats `step` until local `counter` has reached local `end`.
fn until(
    sink: &mut InstructionSink<'_>,
    counter: u32,
    end: u32,
    step: impl FnOnce(&mut InstructionSink<'_>),
) {
    sink.block(BlockType::Empty).loop_(BlockType::Empty);
    sink.local_get(counter).local_get(end).i32_ge_u().br_if(1);
    step(sink);
    sink.br(0).end().end();
}

/// `(address, length)`: a xorshift64 step a byte.
fn random(sink: &mut InstructionSink<'_>, n: u32) {
    until(sink, n, 1, |sink| {
        sink.global_get(RANDOM).global_get(RANDOM).i64_const(13).i64_shl().i64_xor();
        sink.global_set(RANDOM);
        sink.global_get(RANDOM).global_get(RANDOM).i64_const(7).i64_shr_u().i64_xor();
        sink.global_set(RANDOM);
        sink.global_get(RANDOM).global_get(RANDOM).i64_const(17).i64_shl().i64_xor();
        sink.global_set(RANDOM);
        sink.local_get(0).local_get(n).i32_add().global_get(RANDOM).i32_wrap_i64();
        sink.i32_store8(at(0));
        sink.local_get(n).i32_const(1).i32_add().local_set(n);
    });
}

/// `(file, pieces, count, written)`: adds up the lengths of the pieces, 8 bytes each.
fn write(sink: &mut InstructionSink<'_>, sum: u32) {
    // the file's number is used up as the counter
    sink.i32_const(0).local_set(0);
    until(sink, 0, 2, |sink| {
        sink.local_get(sum).local_get(1).i32_load(at(4)).i32_add().local_set(sum);
        sink.local_get(1).i32_const(8).i32_add().local_set(1);
        sink.local_get(0).i32_const(1).i32_add().local_set(0);
    });
    sink.local_get(3).local_get(sum).i32_store(at(0));
}

/// `(subscriptions, events, count, ready)`: 48 bytes in, 32 bytes out each; all are ready.
fn poll(sink: &mut InstructionSink<'_>, n: u32) {
    until(sink, n, 2, |sink| {
        // the subscriber's word, then no error and the kind of event
        sink.local_get(1).local_get(0).i64_load(at(0)).i64_store(at(0));
        sink.local_get(1).local_get(0).i32_load8_u(at(8)).i32_const(16).i32_shl();
        sink.i64_extend_i32_u().i64_store(at(8));
        sink.local_get(1).i64_const(0).i64_store(at(16));
        sink.local_get(1).i64_const(0).i64_store(at(24));
        sink.local_get(0).i32_const(48).i32_add().local_set(0);
        sink.local_get(1).i32_const(32).i32_add().local_set(1);
        sink.local_get(n).i32_const(1).i32_add().local_set(n);
    });
    sink.local_get(3).local_get(2).i32_store(at(0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_function_is_there_twice() {
        let mut names: Vec<_> = FUNCTIONS.iter().map(|(name, ..)| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), FUNCTIONS.len());
    }
}
