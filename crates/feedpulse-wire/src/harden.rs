//! Keeps message bytes out of core dumps and other processes' reach, and lifts the limit of open
//! files to what the system grants.

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};

/// No core file, no `ptrace` and no `/proc/PID/mem` for other processes of the same user
/// (prctl(2) `PR_SET_DUMPABLE`), and as many open files as the hard limit allows, since each
/// connection takes two.
pub(crate) fn harden() -> rustix::io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum })
}
