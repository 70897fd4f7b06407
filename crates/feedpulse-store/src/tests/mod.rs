//! The store against crashes, failing disks, damage, other processes, and its own limits.

mod crash;
mod crash_disk;
mod damage;
mod ledger;
mod peek;
mod real;
mod rows;
mod work;
