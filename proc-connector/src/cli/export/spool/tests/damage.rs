//! Damage to any byte of the files.

use std::fs;

use super::support::{NOTHING, Received, Scratch, batch, names, position};
use crate::cli::export::spool::{Error, Spool};

const CAPACITY: u64 = 2 << 10;

/// A small spool in which everything has happened, and its account.
struct Sample {
    scratch: Scratch,
    received: Received,
    /// The events that were appended.
    appended: u64,
}

impl Sample {
    fn new() -> Self {
        let scratch = Scratch::new();
        let (mut spool, _) = scratch.open(CAPACITY);
        // Two or three batches.
        spool.segment_bytes = 450;
        let mut received = Received::default();
        let mut next = 0;
        for number in 0..26 {
            let report = if number == 23 { spool.unreported() } else { NOTHING };
            let batch = batch(next..next + 3 + number % 4, report.records);
            spool.append_reporting(&batch, report).unwrap();
            next += 3 + number % 4;
            if [2, 3, 11].contains(&number) {
                received.take(&spool.next().unwrap().unwrap().body);
                spool.accepted(0).unwrap();
            }
        }
        assert!(spool.discards().full > 0 && spool.waiting() > 0);
        Self { scratch, received, appended: u64::from(next) }
    }

    /// Opens a damaged copy, and checks its account. Returns whether the damage was noticed.
    fn check(&self, damaged: &Scratch, what: &str) -> bool {
        let (mut spool, opened) = damaged.open(CAPACITY);
        let mut received = self.received.clone();
        received.drain(&mut spool);
        let unreported = spool.unreported();
        // After a restart, the exporter counts the events after the last position.
        let gap = opened.last.as_ref().map_or(0, |_| self.appended - u64::from(position(&opened)));
        let counted = received.records() + unreported.records + gap;
        if unreported.damages == 0 {
            assert_eq!(counted, self.appended, "{what}: {opened:?} {unreported:?}");
        } else {
            assert!(counted <= self.appended, "{what}: {opened:?} {unreported:?} {counted}");
        }
        // The spool can be used, and is whole again.
        let next = u32::try_from(self.appended).unwrap();
        spool.append_reporting(&batch(next..next + 5, 0), unreported).unwrap();
        drop(spool);
        let (mut spool, opened) = damaged.open(CAPACITY);
        assert_eq!(position(&opened), next + 5, "{what}");
        assert_eq!(spool.unreported(), NOTHING, "{what}");
        assert!(spool.next().unwrap().is_some(), "{what}");
        spool.accepted(0).unwrap();
        assert_eq!(spool.next().unwrap(), None, "{what}");
        unreported.damages > 0 || gap > 0 || spool.discards().damaged > 0 || opened.damaged > 0
    }
}

#[test]
fn each_damaged_byte_is_counted_or_reported_as_unknown() {
    let sample = Sample::new();
    assert!(!sample.check(&Scratch::copy_of(sample.scratch.path()), "whole"));
    for name in names(sample.scratch.path()) {
        let bytes = fs::read(sample.scratch.path().join(&name)).unwrap();
        for place in 0..bytes.len() {
            let damaged = Scratch::copy_of(sample.scratch.path());
            let mut bytes = bytes.clone();
            bytes[place] ^= 1 << (place % 8);
            fs::write(damaged.path().join(&name), bytes).unwrap();
            sample.check(&damaged, &format!("{name} {place}"));
        }
    }
}

#[test]
fn each_shortened_file_is_counted_or_reported_as_unknown() {
    let sample = Sample::new();
    for name in names(sample.scratch.path()) {
        let bytes = fs::read(sample.scratch.path().join(&name)).unwrap();
        for len in (0..bytes.len()).step_by(3) {
            let damaged = Scratch::copy_of(sample.scratch.path());
            fs::write(damaged.path().join(&name), &bytes[..len]).unwrap();
            sample.check(&damaged, &format!("{name} {len}"));
        }
    }
}

#[test]
fn each_missing_file_is_counted_or_reported_as_unknown() {
    let sample = Sample::new();
    for name in names(sample.scratch.path()) {
        let damaged = Scratch::copy_of(sample.scratch.path());
        fs::remove_file(damaged.path().join(&name)).unwrap();
        sample.check(&damaged, &format!("without {name}"));
    }
}

#[test]
fn batches_that_follow_a_shortened_segment_are_sent() {
    let scratch = Scratch::new();
    let (mut spool, _) = scratch.open(1 << 20);
    let mut received = Received::default();
    for number in 0..3 {
        spool.append(&batch(number * 20..number * 20 + 20, 0)).unwrap();
    }
    received.drain(&mut spool);
    drop(spool);
    let path = scratch.path().join("0000000000000001.segment");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 300]).unwrap();
    let (mut spool, opened) = scratch.open(1 << 20);
    assert_eq!(position(&opened), 20);
    spool.append(&batch(60..61, 0)).unwrap();
    received.drain(&mut spool);
    assert_eq!((received.records(), spool.unreported()), (61, NOTHING));
}

#[test]
fn files_of_random_bytes_are_no_obstacle() {
    let sample = Sample::new();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for round in 0..200 {
        let damaged = Scratch::copy_of(sample.scratch.path());
        for name in names(damaged.path()) {
            let path = damaged.path().join(&name);
            let mut bytes = fs::read(&path).unwrap();
            match next() % 4 {
                0 => bytes = (0..next() % 3000).map(|_| next().to_le_bytes()[0]).collect(),
                1 => {
                    for _ in 0..next() % 20 {
                        let place = usize::try_from(next()).unwrap() % bytes.len().max(1);
                        if let Some(byte) = bytes.get_mut(place) {
                            *byte = next().to_le_bytes()[0];
                        }
                    }
                }
                2 => {
                    // Another segment under this name, or the same twice.
                    let other = names(damaged.path());
                    let other = &other[usize::try_from(next()).unwrap() % other.len()];
                    bytes.extend(fs::read(damaged.path().join(other)).unwrap());
                }
                _ => {}
            }
            fs::write(path, bytes).unwrap();
        }
        // Nothing can be said about the counts, except that they end.
        let (mut spool, _) = damaged.open(CAPACITY);
        for _ in 0..1000 {
            if spool.next().unwrap().is_none() {
                break;
            }
            spool.accepted(0).unwrap();
        }
        assert_eq!(spool.next().unwrap(), None, "{round}");
        let report = spool.unreported();
        spool.append_reporting(&batch(0..1, report.records), report).unwrap();
        assert!(spool.next().unwrap().is_some(), "{round}");
    }
}

#[test]
fn a_newer_version_is_refused_and_remains_as_it_is() {
    let sample = Sample::new();
    for name in names(sample.scratch.path()).iter().filter(|name| *name != "lock") {
        let newer = Scratch::copy_of(sample.scratch.path());
        let mut bytes = fs::read(newer.path().join(name)).unwrap();
        bytes[8] = 2;
        let crc = crc32fast::hash(&bytes[..12]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        fs::write(newer.path().join(name), &bytes).unwrap();
        let before: Vec<_> = names(newer.path());
        let error = Spool::open(newer.path(), CAPACITY).unwrap_err();
        assert!(matches!(error, Error::NewerVersion { version: 2, .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(name.as_str()) && text.contains("--spool"), "{text}");
        assert_eq!(names(newer.path()), before);
        assert_eq!(fs::read(newer.path().join(name)).unwrap(), bytes);
    }
}
