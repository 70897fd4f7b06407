//! The store against crashes, failing disks, damage, other processes, and its own limits.

mod crash;
mod crash_disk;
mod damage;
mod ledger;
mod real;
mod rows;
mod work;
