//! The comments of notes.

use super::text::{Numbers, number, number32, push_bytes, push_number, read_bytes};
use super::{MAX_LEN, VERSION, words};
use crate::capture::note::{Kind, Listed, Scan};

/// Appends the comment of a note.
pub(in crate::capture) fn write(note: &Kind, out: &mut Vec<u8>) {
    out.extend_from_slice(VERSION);
    match note {
        Kind::Scan(scan) => {
            numbers(out, b"scan=", [scan.count.into()]);
            numbers(out, b" at=", [scan.at_ns]);
            numbers(out, b" offset=", [scan.boottime_offset_ns]);
            bytes(out, b" boot=", scan.boot_id.as_deref());
        }
        Kind::Process(process) => write_process(process, out),
        Kind::User { uid, name } => {
            numbers(out, b"user=", [(*uid).into()]);
            bytes(out, b" name=", Some(name));
        }
        Kind::Cgroup { id, path } => {
            numbers(out, b"cgroup=", [*id]);
            bytes(out, b" path=", Some(path));
        }
        Kind::Host(name) => bytes(out, b"host=", Some(name)),
    }
}

fn write_process(process: &Listed, out: &mut Vec<u8>) {
    let start = out.len();
    numbers(out, b"process=", [process.tgid.into()]);
    numbers(out, b" seen=", [process.seen_ns]);
    numbers(out, b" start=", [process.start_ticks]);
    if let Some(parent) = process.parent {
        numbers(out, b" parent=", [parent.into()]);
    }
    numbers(out, b" s=", [process.session.into()]);
    for (flag, word) in
        [(process.is_kernel_thread, &b" kernel"[..]), (process.first_ended, b" ended")]
    {
        if flag {
            out.extend_from_slice(word);
        }
    }
    for (ids, key) in [(process.uid, &b" u="[..]), (process.gid, b" g=")] {
        if let Some((real, effective)) = ids {
            numbers(out, key, [real.into(), effective.into()]);
        }
    }
    bytes(out, b" comm=", process.comm.as_deref());
    bytes(out, b" cgroup=", process.cgroup.as_deref());
    if process.cgroup.is_some() && !process.id_determines_cgroup {
        out.extend_from_slice(b" v1");
    }
    bytes(out, b" exe=", process.exe.as_deref());
    bytes(out, b" args=", process.args.as_deref());
    if process.args_cut {
        out.extend_from_slice(b" cut");
    }
    if let Some(others) = &process.others {
        let before = out.len();
        out.extend_from_slice(b" threads");
        for (place, &pid) in others.iter().enumerate() {
            numbers(out, if place == 0 { b"=" } else { b":" }, [pid.into()]);
        }
        if out.len() - start > MAX_LEN {
            out.truncate(before);
        }
    }
}

fn numbers<const N: usize>(out: &mut Vec<u8>, key: &[u8], numbers: [u64; N]) {
    out.extend_from_slice(key);
    for (place, number) in numbers.into_iter().enumerate() {
        if place > 0 {
            out.push(b':');
        }
        push_number(number, out);
    }
}

fn bytes(out: &mut Vec<u8>, key: &[u8], bytes: Option<&[u8]>) {
    if let Some(bytes) = bytes {
        out.extend_from_slice(key);
        push_bytes(bytes, out);
    }
}

/// Reads the comment of a note. `None` if it is damaged, or of an unknown kind.
pub(in crate::capture) fn read(comment: &[u8]) -> Option<Kind> {
    let mut words = words(comment);
    let (kind, value) = words.next()?;
    Some(match kind {
        b"scan" => {
            let mut scan = Scan { count: number32(value)?, ..Scan::default() };
            for (key, value) in words {
                match key {
                    b"at" => scan.at_ns = number(value)?,
                    b"offset" => scan.boottime_offset_ns = number(value)?,
                    b"boot" => scan.boot_id = Some(owned(value)?),
                    _ => {}
                }
            }
            Kind::Scan(scan)
        }
        b"process" => Kind::Process(Box::new(read_process(value, words)?)),
        b"user" => Kind::User { uid: number32(value)?, name: read_value(b"name", words)? },
        b"cgroup" => Kind::Cgroup { id: number(value)?, path: read_value(b"path", words)? },
        b"host" => Kind::Host(owned(value)?),
        _ => return None,
    })
}

/// The bytes of the value of a key.
fn read_value<'a>(
    wanted: &[u8],
    mut words: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Option<Vec<u8>> {
    owned(words.find(|(key, _)| *key == wanted)?.1)
}

fn read_process<'a>(
    tgid: &[u8],
    words: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Option<Listed> {
    let mut process =
        Listed { tgid: number32(tgid)?, id_determines_cgroup: true, ..Listed::default() };
    let mut has_start = false;
    for (key, value) in words {
        match key {
            b"seen" => process.seen_ns = number(value)?,
            b"start" => {
                process.start_ticks = number(value)?;
                has_start = true;
            }
            b"parent" => process.parent = Some(number32(value)?),
            b"s" => process.session = number32(value)?,
            b"kernel" => process.is_kernel_thread = true,
            b"ended" => process.first_ended = true,
            b"u" => process.uid = Some(ids(value)?),
            b"g" => process.gid = Some(ids(value)?),
            b"comm" => process.comm = Some(owned(value)?),
            b"cgroup" => process.cgroup = Some(owned(value)?),
            b"v1" => process.id_determines_cgroup = false,
            b"exe" => process.exe = Some(owned(value)?),
            b"args" => process.args = Some(owned(value)?),
            b"cut" => process.args_cut = true,
            b"threads" => process.others = Some(threads(value)?),
            _ => {}
        }
    }
    process.id_determines_cgroup |= process.cgroup.is_none();
    // Without its start, a process cannot be distinguished from others with its id.
    has_start.then_some(process)
}

fn ids(value: &[u8]) -> Option<(u32, u32)> {
    let mut numbers = Numbers::new(value);
    Some((numbers.next32()?, numbers.next32()?))
}

fn threads(value: &[u8]) -> Option<Vec<u32>> {
    let (mut threads, mut numbers) = (Vec::new(), Numbers::new(value));
    if !value.is_empty() {
        while let Some(text) = numbers.next_text() {
            threads.push(number32(text)?);
        }
    }
    Some(threads)
}

fn owned(value: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    read_bytes(value, &mut bytes)?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(note: &Kind) -> String {
        let mut text = Vec::new();
        write(note, &mut text);
        String::from_utf8(text).expect("a comment is UTF-8")
    }

    #[test]
    fn notes_are_readable_and_read_again() {
        let process = Listed {
            tgid: 7,
            seen_ns: 50,
            start_ticks: 3,
            parent: Some(1),
            session: 6,
            others: Some(vec![8, 9]),
            comm: Some(b"tmux: server".to_vec()),
            uid: Some((1000, 0)),
            cgroup: Some(b"/user.slice".to_vec()),
            exe: Some(b"/usr/bin/tmux (deleted)".to_vec()),
            args: Some(b"tmux\0-2".to_vec()),
            args_cut: true,
            ..Listed::default()
        };
        let idle = Listed {
            tgid: 2,
            is_kernel_thread: true,
            first_ended: true,
            id_determines_cgroup: true,
            others: Some(Vec::new()),
            ..Listed::default()
        };
        let boot_id = Some(b"0a1b".to_vec());
        for (note, expected) in [
            (
                Kind::Scan(Scan { count: 2, at_ns: 5, boottime_offset_ns: 9, boot_id }),
                "pc1 scan=2 at=5 offset=9 boot=0a1b",
            ),
            (
                Kind::Process(Box::new(process)),
                "pc1 process=7 seen=50 start=3 parent=1 s=6 u=1000:0 comm=tmux:%20server \
                 cgroup=/user.slice v1 exe=/usr/bin/tmux%20(deleted) args=tmux,-2 cut threads=8:9",
            ),
            (
                Kind::Process(Box::new(idle)),
                "pc1 process=2 seen=0 start=0 s=0 kernel ended threads",
            ),
            (Kind::User { uid: 0, name: b"root".to_vec() }, "pc1 user=0 name=root"),
            (Kind::Cgroup { id: 12, path: b"/a b".to_vec() }, "pc1 cgroup=12 path=/a%20b"),
            (Kind::Host(b"a b".to_vec()), "pc1 host=a%20b"),
            (Kind::Host(Vec::new()), "pc1 host="),
        ] {
            assert_eq!(text(&note), expected);
            assert_eq!(read(expected.as_bytes()), Some(note));
        }
    }

    #[test]
    fn damaged_notes_are_refused_and_unknown_keys_skipped() {
        for damaged in [
            "pc1 ",
            "pc1 other=1",
            "pc1 scan=x",
            "pc1 scan=1 at=",
            "pc1 user=0",
            "pc1 user=-1 name=root",
            "pc1 cgroup=1 path=%",
            "pc1 process=7 seen=5",
            "pc1 process=7 start=5 u=1",
            "pc1 process=7 start=5 threads=1:",
        ] {
            assert_eq!(read(damaged.as_bytes()), None, "{damaged}");
        }
        let note = read(b"pc1 user=0 id=later name=root shell=%");
        assert_eq!(note, Some(Kind::User { uid: 0, name: b"root".to_vec() }));
    }
}
