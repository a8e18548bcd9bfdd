//! Directories that cannot be used, that others use as well, or that disappear.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::support::{NOTHING, Received, Scratch, batch, names, segment_bytes};
use crate::cli::export::spool::{Error, Spool};

const CAPACITY: u64 = 1 << 20;

#[test]
fn a_directory_that_cannot_be_created_is_named() {
    let scratch = Scratch::new();
    fs::write(scratch.path(), "a file").unwrap();
    for path in [scratch.path().to_owned(), scratch.path().join("spool")] {
        let error = Spool::open(&path, CAPACITY).unwrap_err();
        assert!(matches!(error, Error::Directory { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(path.to_str().unwrap()) && text.contains("--spool"), "{text}");
    }
    fs::remove_file(scratch.path()).unwrap();
}

#[test]
fn only_the_owner_can_read_the_files() {
    let scratch = Scratch::new();
    let (mut spool, _) = scratch.open(CAPACITY);
    spool.append(&batch(0..1, 0)).unwrap();
    assert_eq!(fs::metadata(scratch.path()).unwrap().mode() & 0o777, 0o700);
    for name in names(scratch.path()) {
        let mode = fs::metadata(scratch.path().join(&name)).unwrap().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
}

#[test]
fn a_second_exporter_is_refused_until_the_first_ends() {
    let scratch = Scratch::new();
    let (mut spool, _) = scratch.open(CAPACITY);
    spool.append(&batch(0..5, 0)).unwrap();
    let error = Spool::open(scratch.path(), CAPACITY).unwrap_err();
    assert!(matches!(error, Error::InUse { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(scratch.path().to_str().unwrap()) && text.contains("--spool"), "{text}");
    spool.append(&batch(5..6, 0)).unwrap();
    drop(spool);
    assert_eq!(scratch.open(CAPACITY).1.waiting, 6);
}

#[test]
fn files_of_other_programs_remain() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.path().join("directory")).unwrap();
    let foreign = [
        "0000000000000001.segment.bak",
        "000000000000000G.segment",
        "00000000000000001.segment",
        "1.segment",
        "notes.txt",
    ];
    for name in foreign {
        fs::write(scratch.path().join(name), name).unwrap();
    }
    for number in 0..40 {
        let (mut spool, _) = scratch.open(4 << 10);
        spool.append(&batch(number * 10..number * 10 + 10, 0)).unwrap();
    }
    for name in foreign {
        assert_eq!(fs::read_to_string(scratch.path().join(name)).unwrap(), name);
    }
}

#[test]
fn what_is_not_a_regular_file_is_an_error_that_names_it() {
    for name in ["lock", "state", "0000000000000001.segment"] {
        for kind in ["directory", "pipe", "link"] {
            let scratch = Scratch::new();
            fs::create_dir(scratch.path()).unwrap();
            let path = scratch.path().join(name);
            match kind {
                "directory" => fs::create_dir(&path).unwrap(),
                "pipe" => mkfifo(&path, Mode::S_IRWXU).unwrap(),
                _ => symlink("/etc/passwd", &path).unwrap(),
            }
            let text = Spool::open(scratch.path(), CAPACITY).unwrap_err().to_string();
            let named = if name == "lock" { scratch.path() } else { &*path };
            assert!(text.contains(named.to_str().unwrap()), "{kind} {name}: {text}");
        }
    }
}

#[test]
fn a_removed_directory_is_created_again_and_its_records_are_counted() {
    let scratch = Scratch::new();
    let (mut spool, _) = scratch.open(CAPACITY);
    let mut received = Received::default();
    for number in 0..10 {
        spool.append(&batch(number * 10..number * 10 + 10, 0)).unwrap();
    }
    received.take(&spool.next().unwrap().unwrap().body);
    fs::remove_dir_all(scratch.path()).unwrap();
    spool.accepted(0).unwrap();
    spool.append(&batch(100..107, 0)).unwrap();
    assert!(matches!(Spool::open(scratch.path(), CAPACITY), Err(Error::InUse { .. })));
    received.drain(&mut spool);
    assert_eq!(received.records() + spool.unreported().records, 107);
    assert_eq!(spool.unreported().damages, 0);
    // Killed and opened again, the spool has the same counts.
    let unreported = spool.unreported();
    drop(spool);
    let (mut spool, opened) = scratch.open(CAPACITY);
    assert_eq!(opened.last, Some(batch(100..107, 0).content));
    assert_eq!(spool.unreported(), unreported);
    assert_eq!(spool.next().unwrap(), None);
}

#[test]
fn removed_segments_are_counted() {
    let scratch = Scratch::new();
    let (mut spool, _) = scratch.open(16 << 10);
    for number in 0..40 {
        spool.append(&batch(number * 10..number * 10 + 10, 0)).unwrap();
    }
    for name in names(scratch.path()).iter().filter(|name| name.ends_with(".segment")) {
        fs::remove_file(scratch.path().join(name)).unwrap();
    }
    spool.append(&batch(400..410, 0)).unwrap();
    let mut received = Received::default();
    received.drain(&mut spool);
    assert_eq!(received.records() + spool.unreported().records, 410);
    assert!(received.records() >= 10);
}

#[test]
fn without_a_directory_batches_are_refused_until_it_can_be_created() {
    let scratch = Scratch::new();
    let inner = scratch.path().join("spool");
    let (mut spool, _) = Spool::open(&inner, CAPACITY).unwrap();
    spool.append(&batch(0..10, 0)).unwrap();
    fs::remove_dir_all(scratch.path()).unwrap();
    fs::write(scratch.path(), "in the way").unwrap();
    let text = spool.append(&batch(10..20, 0)).unwrap_err().to_string();
    assert!(text.contains(inner.to_str().unwrap()), "{text}");
    fs::remove_file(scratch.path()).unwrap();
    spool.append(&batch(10..20, 0)).unwrap();
    let mut received = Received::default();
    received.drain(&mut spool);
    assert_eq!(received.records() + spool.unreported().records, 20);
}

/// Mounts a small file system, visible for this thread alone. Returns whether that is permitted.
#[expect(clippy::print_stderr, reason = "the test says why it is skipped")]
fn mount_small(scratch: &Scratch) -> bool {
    fs::create_dir(scratch.path()).unwrap();
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNS) {
        eprintln!("skipped: no mount namespace: {error}");
        return false;
    }
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    let size = Some("size=256k");
    mount(Some("none"), scratch.path(), Some("tmpfs"), MsFlags::empty(), size).unwrap();
    true
}

#[test]
fn a_full_disk_refuses_batches_and_keeps_the_others() {
    let scratch = Scratch::new();
    if !mount_small(&scratch) {
        return;
    }
    let (mut spool, _) = scratch.open(CAPACITY);
    let mut next = 0;
    let error = loop {
        if let Err(error) = spool.append(&batch(next..next + 1000, 0)) {
            break error;
        }
        next += 1000;
        assert!(segment_bytes(scratch.path()) < CAPACITY);
    };
    assert!(matches!(error, Error::Write { .. }), "{error:?}");
    assert!(error.to_string().contains("No space left on device"), "{error}");
    // Nothing remains of the batch that did not fit.
    spool.append(&batch(next..next + 1, 0)).unwrap();
    next += 1;
    drop(spool);
    let (mut spool, opened) = scratch.open(CAPACITY);
    assert_eq!((opened.waiting, spool.unreported()), (u64::from(next), NOTHING));
    // Smaller batches use up the rest, and the state can still be written.
    while spool.append(&batch(next..next + 1, 0)).is_ok() {
        next += 1;
    }
    let mut received = Received::default();
    for _ in 0..40 {
        received.take(&spool.next().unwrap().unwrap().body);
        spool.accepted(0).unwrap();
    }
    spool.append(&batch(next..next + 1000, 0)).unwrap();
    drop(spool);
    let (mut spool, opened) = scratch.open(CAPACITY);
    assert_eq!(opened.last, Some(batch(next..next + 1000, 0).content));
    received.drain(&mut spool);
    assert_eq!(received.records(), u64::from(next) + 1000);
    assert_eq!(spool.unreported(), NOTHING);
    drop(spool);
    umount(scratch.path()).unwrap();
}
