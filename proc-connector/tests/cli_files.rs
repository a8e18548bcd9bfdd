//! The owner and the permissions of files that the program writes.

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::ExitCode;

use common::program::{RECORDING, run, started_by_shell, text};
use common::scratch::Scratch;
use common::{named, require_capability, transport_name};
use nix::sys::stat::Mode;
use nix::unistd::{Uid, mkfifo};

fn main() -> ExitCode {
    let everywhere = named![
        a_new_chart_is_readable_by_its_owner_only,
        an_existing_file_keeps_its_mode_and_its_name,
        own_symbolic_links_are_followed,
        files_planted_by_other_users_are_refused,
        a_missing_directory_is_named,
    ];
    let live = named![a_recording_is_readable_by_its_owner_only, a_recording_follows_its_path,];
    common::main_with(&[], &everywhere, &live)
}

const CAP_CHOWN: u32 = 0;

fn mode(file: &str) -> u32 {
    fs::metadata(file).expect(file).permissions().mode() & 0o7777
}

/// Arguments that draw the demo to a file.
fn draw(file: &str) -> Vec<String> {
    ["replay", RECORDING, "-o", file].map(str::to_owned).to_vec()
}

fn run_all(arguments: &[String]) -> std::process::Output {
    run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

fn a_new_chart_is_readable_by_its_owner_only() {
    let scratch = Scratch::new("new");
    for name in ["x.svg", "x.html", "x.json", "x.jsonl"] {
        let file = scratch.file(name);
        let mut command = started_by_shell("umask 0", &["replay", RECORDING, "-o", &file]);
        assert!(command.status().expect("a running process").success());
        assert_eq!(mode(&file), 0o600, "{name}");
    }
    assert_eq!(scratch.names(), ["x.html", "x.json", "x.jsonl", "x.svg"]);
}

fn an_existing_file_keeps_its_mode_and_its_name() {
    let scratch = Scratch::new("existing");
    for name in ["x.svg", "x.html", "x.json", "x.jsonl"] {
        let file = scratch.file(name);
        fs::write(&file, "old ".repeat(1 << 20)).expect("a writable directory");
        fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("one's own file");
        let other = scratch.file(&format!("other-{name}"));
        fs::hard_link(&file, &other).expect("a link");
        let before = fs::metadata(&file).expect("a file");
        assert!(run_all(&draw(&file)).status.success());
        let after = fs::metadata(&file).expect("a file");
        assert_eq!((mode(&file), after.ino()), (0o644, before.ino()), "{name}");
        let (file, other) = (fs::read(&file).expect("a file"), fs::read(&other).expect("a file"));
        assert!(file == other && !file.starts_with(b"old") && !file.ends_with(b"old "), "{name}");
    }
}

fn own_symbolic_links_are_followed() {
    let scratch = Scratch::new("links");
    fs::create_dir(scratch.file("data")).expect("a writable directory");
    for (name, target) in [("a.svg", "data/a.svg"), ("b.svg", "a.svg"), ("c.jsonl", "data/c.jsonl")]
    {
        symlink(target, scratch.file(name)).expect("a link");
    }
    // To an existing file, through a link to a link, and to a missing file.
    for name in ["a.svg", "b.svg", "c.jsonl"] {
        let output = run_all(&draw(&scratch.file(name)));
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        assert!(fs::symlink_metadata(scratch.file(name)).expect("a link").is_symlink(), "{name}");
    }
    for name in ["data/a.svg", "data/c.jsonl"] {
        assert!(fs::metadata(scratch.file(name)).expect(name).len() > 0);
        assert_eq!(mode(&scratch.file(name)), 0o600, "{name}");
    }
    symlink("loop.svg", scratch.file("loop.svg")).expect("a link");
    let output = run_all(&draw(&scratch.file("loop.svg")));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("symbolic links"), "{}", text(&output.stderr));
}

fn files_planted_by_other_users_are_refused() {
    require_capability(CAP_CHOWN, "CAP_CHOWN");
    let scratch = Scratch::new("planted");
    let (shared, own) = (scratch.file("shared"), scratch.file("own"));
    let somebody = Some(Uid::from_raw(54_321).as_raw());
    for directory in [&shared, &own] {
        fs::create_dir(directory).expect("a writable directory");
    }
    for sticky in [0o1777, 0o777] {
        fs::set_permissions(&shared, Permissions::from_mode(sticky)).expect("one's own");
        let victim = scratch.file("victim.svg");
        fs::write(&victim, "precious").expect("a writable directory");
        for what in ["link", "dangling", "file", "pipe"] {
            let place = format!("{shared}/{what}.svg");
            match what {
                "link" => symlink(&victim, &place).expect("a link"),
                "dangling" => symlink(scratch.file("made.svg"), &place).expect("a link"),
                "file" => fs::write(&place, "theirs").expect("a writable directory"),
                _ => mkfifo(&*place, Mode::from_bits_truncate(0o666)).expect("a pipe"),
            }
            std::os::unix::fs::lchown(&place, somebody, None).expect("CAP_CHOWN");
            let output = run_all(&draw(&place));
            assert_eq!(output.status.code(), Some(1), "{what}");
            let errors = text(&output.stderr);
            assert!(errors.contains("refusing to write to "), "{what}: {errors}");
            assert!(errors.contains("uid 54321"), "{what}: {errors}");
            assert_eq!(fs::read_to_string(&victim).expect("a file"), "precious", "{what}");
            assert!(fs::metadata(scratch.file("made.svg")).is_err(), "{what}");
            if what == "file" {
                assert_eq!(fs::read_to_string(&place).expect("a file"), "theirs");
            }
            fs::remove_file(&place).expect("root's own");
        }
    }
    // A hard link that another user may have created to one of our files.
    let (victim, place) = (scratch.file("victim.svg"), format!("{shared}/hard.svg"));
    fs::hard_link(&victim, &place).expect("a link");
    let output = run_all(&draw(&place));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("other hard links"), "{}", text(&output.stderr));
    assert_eq!(fs::read_to_string(&victim).expect("a file"), "precious");
    // In a directory of one's own, no other user can create links.
    let given = format!("{own}/given.svg");
    fs::write(&given, "old").expect("a writable directory");
    std::os::unix::fs::lchown(&given, somebody, None).expect("CAP_CHOWN");
    assert!(run_all(&draw(&given)).status.success());
    assert_eq!(fs::metadata(&given).expect("a file").uid(), 54_321);
}

fn a_missing_directory_is_named() {
    let error = "the directory /nowhere does not exist";
    for arguments in
        [&["replay", RECORDING, "-o", "/nowhere/x.svg"][..], &["record", "/nowhere/x.pcapng"]]
    {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(1));
        let errors = text(&output.stderr);
        assert!(errors.contains(error), "{errors}");
    }
}

/// Records for a short time.
fn record(file: &str) -> std::process::Output {
    run(&["record", "--duration", "50ms", "--transport", transport_name(), file])
}

fn a_recording_is_readable_by_its_owner_only() {
    let scratch = Scratch::new("recording");
    let (new, old) = (scratch.file("new"), scratch.file("old"));
    fs::write(&old, "old ".repeat(1 << 20)).expect("a writable directory");
    fs::set_permissions(&old, Permissions::from_mode(0o640)).expect("one's own");
    for file in [&new, &old] {
        assert!(record(file).status.success());
        assert!(run(&["replay", file]).status.success(), "{file}");
    }
    assert_eq!((mode(&new), mode(&old)), (0o600, 0o640));
    assert_eq!(scratch.names(), ["new", "old"]);
}

fn a_recording_follows_its_path() {
    for name in ["/dev/stdout", "/proc/self/fd/1", "/dev/fd/1", "-"] {
        let output = record(name);
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        assert!(output.stdout.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]), "{name}");
    }
    assert!(record("/dev/null").status.success());
    let output = record("/dev/full");
    assert_eq!(output.status.code(), Some(1));
    let error = "proc-connector: /dev/full: No space left on device";
    assert!(text(&output.stderr).starts_with(error), "{}", text(&output.stderr));
    let scratch = Scratch::new("leads");
    let fifo = scratch.file("fifo");
    mkfifo(&*fifo, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe");
    let reader = {
        let fifo = fifo.clone();
        std::thread::spawn(move || fs::read(fifo).expect("it writes"))
    };
    assert!(record(&fifo).status.success());
    assert!(reader.join().expect("a thread without a panic").len() > 28);
}
