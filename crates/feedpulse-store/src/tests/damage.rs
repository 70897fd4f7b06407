//! Bits that flip, files that vanish, versions that are newer: all is named, and only what is hit is
//! lost.

use super::crash_disk::CrashDisk;
use super::work::{SMALL, block, snapshot};
use crate::log::{Log, LogFound, Place};
use crate::snapshot::Snapshots;
use crate::{Damage, DamageKind, Disk, LogBlock, OpenError, Options, Recovered, Store, Tail};

type Items = Vec<Result<LogBlock, Damage>>;

/// A store of `blocks` synced blocks in segments of `segment_bytes`, closed in order; gives the
/// first input of each block.
fn filled(blocks: usize, segment_bytes: u64) -> (CrashDisk, Vec<u64>) {
    let disk = CrashDisk::new();
    let options = Options { segment_bytes, ..SMALL };
    let (mut store, _) = Store::open_on(disk.clone(), options).unwrap();
    let firsts = (0..blocks)
        .map(|_| {
            let first = store.next_seq();
            let (count, bytes) = block(first);
            store.append(first, count, &bytes).unwrap();
            store.sync().unwrap();
            first
        })
        .collect();
    drop(store);
    (disk, firsts)
}

fn open(disk: &CrashDisk) -> Recovered<CrashDisk> {
    Store::open_on(disk.clone(), SMALL).map(|(_, recovered)| recovered).unwrap()
}

/// The blocks among `items`, each as it was written.
fn blocks_of(items: &Items) -> Vec<u64> {
    let blocks = items.iter().flatten();
    blocks
        .map(|found| {
            assert_eq!(found.bytes, block(found.first_seq).1, "a wrong block is never handed out");
            found.first_seq
        })
        .collect()
}

fn damage_of(items: &Items) -> Vec<&Damage> {
    items.iter().filter_map(|item| item.as_ref().err()).collect()
}

/// The input before which the block behind `first` begins.
fn end_of(first: u64) -> u64 {
    first + u64::from(block(first).0)
}

#[test]
fn every_flipped_bit_is_named_and_costs_one_block() {
    let (disk, firsts) = filled(5, 1 << 20);
    let file = "log/0000000001.seg";
    let whole = disk.bytes(file);
    let last = *firsts.last().unwrap();
    for at in 0..whole.len() {
        let image = disk.image(0);
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        image.set_bytes(file, &bytes);
        // The log alone: opening the database as well, thousands of times, takes long.
        let LogFound { log, torn, damage: at_open } =
            Log::open(image.clone(), Place::inputs(&SMALL), SMALL.segment_bytes).unwrap();
        let next_seq = log.next_seq();
        let items: Items = Tail::new(image, crate::log::DIR, log.segments(), 0, next_seq).collect();
        let found = blocks_of(&items);
        let missing: Vec<u64> =
            firsts.iter().copied().filter(|first| !found.contains(first)).collect();
        if at < 48 {
            assert!(missing.is_empty(), "byte {at}");
            assert_eq!(at_open[0].kind, DamageKind::Header, "byte {at}");
            continue;
        }
        assert_eq!(missing.len(), 1, "byte {at}: one block is lost");
        let lost = missing[0];
        if lost == last {
            // Nothing behind it says that it was synced: as after a crash it is cut, and told.
            let torn = torn.unwrap_or_else(|| panic!("byte {at}: not told"));
            assert_eq!((torn.file.as_str(), next_seq), (file, last), "byte {at}");
            continue;
        }
        let damage = damage_of(&items);
        assert_eq!(damage.len(), 1, "byte {at}: {damage:?}");
        assert_eq!(damage[0].lost, Some((lost, end_of(lost) - 1)), "byte {at}");
        assert_eq!((damage[0].kind, damage[0].file.as_str()), (DamageKind::Block, file));
        assert!(damage[0].offset <= at as u64 && torn.is_none(), "byte {at}: {damage:?}");
    }
}

/// Once a segment is closed, damage to its very last block is known for what it is.
#[test]
fn damage_at_the_end_of_a_closed_segment_is_no_torn_tail() {
    let (disk, firsts) = filled(12, 4096);
    let file = "log/0000000001.seg";
    let mut bytes = disk.bytes(file);
    let end = bytes.len();
    bytes[end - 1] ^= 1;
    disk.set_bytes(file, &bytes);
    let recovered = open(&disk);
    assert_eq!(recovered.torn, None);
    let items: Items = recovered.tail.collect();
    assert_eq!(blocks_of(&items).len(), firsts.len() - 1);
    assert_eq!(damage_of(&items).len(), 1);

    disk.set_bytes(file, &bytes[..end - 300]);
    let items: Items = open(&disk).tail.collect();
    assert_eq!(blocks_of(&items).len(), firsts.len() - 1, "a closed segment that was cut");
    assert_eq!(damage_of(&items).len(), 1);
}

#[test]
fn a_missing_segment_is_a_gap_with_its_inputs() {
    for gone in 1..=4 {
        let (disk, firsts) = filled(24, 4096);
        assert!(disk.names().contains(&"log/0000000005.seg".to_owned()), "five segments");
        disk.vanish(&format!("log/{gone:010}.seg"));
        let items: Items = open(&disk).tail.collect();
        let found = blocks_of(&items);
        let missing: Vec<u64> =
            firsts.iter().copied().filter(|first| !found.contains(first)).collect();
        let damage = damage_of(&items);
        assert_eq!(damage.len(), 1, "{damage:?}");
        let lost = (missing[0], end_of(*missing.last().unwrap()) - 1);
        assert_eq!((damage[0].kind, damage[0].lost), (DamageKind::Gap, Some(lost)));
    }
}

/// A segment that vanishes between opening and reading (an operator's hand) is named, not waited for.
#[test]
fn a_segment_that_vanishes_while_it_is_read_is_named() {
    let (disk, firsts) = filled(24, 4096);
    let recovered = open(&disk);
    disk.vanish("log/0000000002.seg");
    let items: Items = recovered.tail.collect();
    let damage = damage_of(&items);
    assert_eq!((damage.len(), damage[0].kind), (1, DamageKind::Unreadable));
    assert_eq!(damage[0].file, "log/0000000002.seg");
    let lost = damage[0].lost.unwrap();
    assert!(blocks_of(&items).iter().all(|first| !(lost.0..=lost.1).contains(first)));
    assert!(blocks_of(&items).contains(firsts.last().unwrap()), "the rest is read");
}

#[test]
fn the_older_snapshot_stands_in_for_a_damaged_one() {
    let (disk, _) = filled(3, 4096);
    let (mut store, _) = Store::open_on(disk.clone(), SMALL).unwrap();
    let older = store.sync().unwrap();
    store.write_snapshot(older, &snapshot(older)).unwrap();
    let first = store.next_seq();
    let (count, bytes) = block(first);
    store.append(first, count, &bytes).unwrap();
    let newer = store.sync().unwrap();
    store.write_snapshot(newer, &snapshot(newer)).unwrap();
    drop(store);
    let file = format!("snapshots/{newer:020}.snap");
    let whole = disk.bytes(&file);
    for at in 0..whole.len() {
        let image = disk.image(0);
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        image.set_bytes(&file, &bytes);
        let found = Snapshots::open(image, 2).unwrap();
        let kinds: Vec<_> = found.damage.iter().map(|damage| damage.kind).collect();
        assert_eq!(kinds, [DamageKind::Snapshot], "byte {at}");
        let found = found.newest.unwrap();
        assert_eq!((found.seq, found.bytes), (older, snapshot(older)), "byte {at}");
    }
    disk.set_bytes(&file, &whole[..whole.len() - 1]);
    let recovered = open(&disk);
    assert_eq!(recovered.snapshot.map(|found| found.seq), Some(older));
    let tail: Vec<_> = recovered.tail.collect::<Result<_, _>>().unwrap();
    assert_eq!(tail.last().unwrap().first_seq, first, "the log behind it is still there");
}

/// While there is only one snapshot, the log alone must do if it is damaged.
#[test]
fn the_first_snapshot_lets_no_segment_go() {
    let (disk, firsts) = filled(24, 4096);
    let (mut store, _) = Store::open_on(disk.clone(), SMALL).unwrap();
    let seq = store.sync().unwrap();
    store.write_snapshot(seq, &snapshot(seq)).unwrap();
    drop(store);
    disk.set_bytes(&format!("snapshots/{seq:020}.snap"), b"nothing of it");
    let recovered = open(&disk);
    assert_eq!((recovered.snapshot, recovered.next_seq), (None, seq + 1));
    assert_eq!(blocks_of(&recovered.tail.collect()), firsts);
}

#[test]
fn a_torn_tail_is_cut_once() {
    let (disk, firsts) = filled(3, 1 << 20);
    let file = "log/0000000001.seg";
    let whole = disk.bytes(file);
    disk.set_bytes(file, &[whole.as_slice(), &[0; 700]].concat());
    let recovered = open(&disk);
    let torn = recovered.torn.unwrap();
    assert_eq!((torn.file.as_str(), torn.offset, torn.bytes), (file, whole.len() as u64, 700));
    assert_eq!(disk.bytes(file), whole);
    assert_eq!(blocks_of(&recovered.tail.collect()), firsts);
    assert_eq!(open(&disk.image(0)).torn, None, "the cut is on the disk");
}

#[test]
fn a_block_that_a_snapshot_covers_in_part_says_how_much() {
    let disk = CrashDisk::new();
    let (mut store, _) = Store::open_on(disk.clone(), SMALL).unwrap();
    store.append(1, 10, b"ten inputs").unwrap();
    store.write_snapshot(4, b"state").unwrap();
    drop(store);
    // The power goes: a snapshot syncs the log before it counts.
    let tail: Vec<_> = open(&disk.image(0)).tail.collect::<Result<_, _>>().unwrap();
    assert_eq!((tail[0].first_seq, tail[0].count, tail[0].skip), (1, 10, 4));
}

#[test]
fn a_newer_format_is_refused_without_writing() {
    let (disk, _) = filled(2, 4096);
    disk.set_bytes("FORMAT", b"feedpulse-store 2\n");
    disk.vanish("LOCK");
    let before = disk.names();
    match Store::open_on(disk.clone(), SMALL) {
        Err(error @ OpenError::Newer { found: 2, known: 1, .. }) => {
            assert!(error.to_string().contains("use the release that wrote it"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(disk.names(), before);
    disk.set_bytes("FORMAT", b"something else");
    assert!(matches!(Store::open_on(disk.clone(), SMALL), Err(OpenError::NotAStore)));
    disk.vanish("FORMAT");
    let recovered = open(&disk);
    assert_eq!(recovered.damage[0].kind, DamageKind::Format);
    assert_eq!(recovered.tail.filter(Result::is_ok).count(), 2, "everything is read all the same");
}

#[test]
fn newer_tables_are_refused() {
    let (disk, _) = filled(1, 4096);
    let database = redb::Database::builder()
        .create_with_backend(disk.backend("feedpulse.redb").unwrap())
        .unwrap();
    let tx = database.begin_write().unwrap();
    let meta = redb::TableDefinition::<&str, u64>::new("meta");
    tx.open_table(meta).unwrap().insert("tables_version", 3).unwrap();
    tx.commit().unwrap();
    drop(database);
    let refused = Store::open_on(disk, SMALL);
    assert!(matches!(refused, Err(OpenError::Newer { found: 3, known: 2, .. })), "{refused:?}");
}

#[test]
fn a_damaged_database_is_set_aside() {
    let (disk, _) = filled(2, 4096);
    disk.set_bytes("feedpulse.redb", &[7; 5000]);
    let recovered = open(&disk);
    assert_eq!(recovered.damage[0].kind, DamageKind::Tables);
    assert_eq!(disk.bytes("feedpulse.redb.damaged"), vec![7; 5000]);
    let (mut store, recovered) = Store::open_on(disk.clone(), SMALL).unwrap();
    assert!(recovered.damage.is_empty());
    store.commit(&crate::Rows::default()).unwrap();
}
