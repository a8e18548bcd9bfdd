//! Execs of all kinds, by processes of one thread.

use std::ffi::CString;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};

use nix::fcntl::{OFlag, open};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{execve, fexecve, write};

use super::line::Line;
use super::programs::{self, c_string, c_strings, image};
use super::stage::{Stage, exec_at, this};
use super::sys;
use super::truth::{Deleted, Image, joined};
use super::{Behaviour, Need::Programs, behaviours};
use crate::common::helper_process::ROLE;

pub(crate) const PLAIN: &[Behaviour] = behaviours![&[];
    fails_to_execute,
    executes_this_binary,
];
pub(crate) const WITH_PROGRAMS: &[Behaviour] = behaviours![&[Programs];
    executes_a_program,
    executes_a_chain,
    executes_after_failures,
    is_killed_by_a_failed_exec,
    executes_a_script,
    executes_through_a_link,
    executes_a_memory_file,
    executes_an_open_file,
    executes_a_removed_file,
    removes_the_file_after_the_exec,
    executes_without_arguments,
    executes_with_an_empty_environment_and_many_arguments,
    executes_with_arguments_of_any_bytes,
    executes_with_long_arguments,
    executes_with_a_mebibyte_of_arguments,
    overwrites_its_arguments,
    overwrites_its_arguments_in_a_chain,
];

/// Forks, and executes a program of the stage.
fn executes(stage: &Stage, words: &[&str]) {
    let truth = stage.fork(|| match stage.exec(words) {});
    truth.executes(stage.image(words)).reap();
}

fn fails_to_execute(stage: &Stage) {
    stage.run(|| {
        for path in ["/nonexistent", "/", "/proc/self/status"] {
            execve(&c_string(path), &c_strings(&["never"]), &[] as &[CString]).expect_err(path);
        }
        sys::exit(31)
    });
}

/// The role of the test binary when it is executed: exits with its second argument.
pub(crate) fn exits_as_told() {
    let code = std::env::args().nth(1).expect("a second argument");
    sys::exit(code.parse().expect("a number"))
}

fn executes_this_binary(stage: &Stage) {
    let path = std::env::current_exe().expect("/proc is mounted");
    let path = path.to_str().expect("UTF-8");
    let word = stage.number.to_string();
    let words = ["this binary", "32", &word];
    let role = c_string(&format!("{ROLE}=exits_as_told"));
    let truth = stage.fork(|| {
        let error = execve(&c_string(path), &c_strings(&words), &[role]);
        panic!("{error:?}")
    });
    truth.executes(image(path, &words)).reap();
}

fn executes_a_program(stage: &Stage) {
    let word = stage.number.to_string();
    executes(stage, &["chain", "8", &word]);
}

/// A process that executes 1 to 10 programs at once, each with fewer arguments.
fn executes_a_chain(stage: &Stage) {
    let (chain, last) = (stage.chain(), stage.number.to_string());
    let execs = 1 + stage.number as usize % 10;
    let mut words = vec![&chain[..]; execs];
    words.extend(["9", "the end", &last]);
    let mut truth = stage.fork(|| match exec_at(&chain, &words) {});
    for first in 0..execs {
        truth = truth.executes(image(&chain, &words[first..]));
    }
    truth.reap();
}

fn executes_after_failures(stage: &Stage) {
    let words = ["chain", "1", "after failures"];
    let truth = stage.fork(|| {
        for words in [["wrong", "1"], ["wrong", "2"]] {
            let none = execve(&c_string("/nonexistent"), &c_strings(&words), &[] as &[CString]);
            none.expect_err("no such file");
        }
        match stage.exec(&words) {}
    });
    truth.executes(stage.image(&words)).reap();
}

/// A path in the directory of the programs that no other process uses.
fn own_path(stage: &Stage, name: &str) -> String {
    stage.programs.path(&format!("{name}-{}-{}", this(), stage.number))
}

/// The exec fails after the memory of the process was replaced, so that the kernel kills it.
fn is_killed_by_a_failed_exec(stage: &Stage) {
    let path = stage.programs.path("broken");
    let mut truth = stage.fork(|| match exec_at(&path, &["broken"]) {});
    truth.comm = None;
    truth.reap();
}

fn executes_a_script(stage: &Stage) {
    let (path, quit) = (own_path(stage, "script"), stage.programs.path("quit"));
    fs::write(&path, format!("#!{quit} an option\n")).expect("a writable directory");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("an own file");
    // The kernel replaces the first argument.
    let truth = stage.fork(|| match exec_at(&path, &["replaced", "last"]) {});
    let image = image(&quit, &[&quit, "an option", &path, "last"]);
    truth.executes(Image { filename: path.clone(), ..image }).reap();
    let _ = fs::remove_file(path);
}

fn executes_through_a_link(stage: &Stage) {
    let (path, chain) = (own_path(stage, "link"), stage.chain());
    symlink(&chain, &path).expect("a writable directory");
    let words = ["through a link", "3"];
    let truth = stage.fork(|| match exec_at(&path, &words) {});
    let image = image(&path, &words);
    assert_eq!(image.exe, chain);
    truth.executes(image).reap();
    let _ = fs::remove_file(path);
}

/// The image of an open file without a path. Its name depends on the version of the kernel.
fn image_of_open(file: impl AsFd, exe: &str, words: &[&str]) -> Image {
    let file = fstat(file).expect("an open file");
    Image {
        args: joined(words),
        exe: exe.to_owned(),
        filename: String::new(),
        device: file.st_dev,
        inode: file.st_ino,
        deleted: Deleted::Never,
    }
}

/// Forks, executes an open file, and removes the name from the record.
fn executes_open(stage: &Stage, file: impl AsFd, words: &[&str], image: Image) {
    let truth = stage.fork(|| {
        let error = fexecve(&file, &c_strings(words), &[] as &[CString]);
        panic!("{error:?}")
    });
    let mut truth = truth.executes(image);
    truth.comm = None;
    truth.reap();
}

fn executes_a_memory_file(stage: &Stage) {
    let name = format!("memory-{}", stage.number);
    let file = memfd_create(c_string(&name).as_c_str(), MFdFlags::MFD_CLOEXEC).expect("a file");
    let bytes = programs::bytes("chain");
    assert_eq!(write(&file, &bytes).expect("a file in memory"), bytes.len());
    // A file that is open for writing can be executed only if it is in memory.
    let words = ["in memory", "4"];
    let image = image_of_open(&file, &format!("/memfd:{name}"), &words).deleted(Deleted::Before);
    executes_open(stage, &file, &words, image);
}

fn executes_an_open_file(stage: &Stage) {
    let chain = stage.chain();
    let file = open(&chain[..], OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).expect("a file");
    let words = ["an open file", "5"];
    let image = image_of_open(&file, &chain, &words);
    executes_open(stage, &file, &words, image);
}

/// The inode has another name, so that its count of links does not show the removal.
fn executes_a_removed_file(stage: &Stage) {
    let path = own_path(stage, "removed");
    fs::hard_link(stage.chain(), &path).expect("a writable directory");
    let file = open(&path[..], OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).expect("a file");
    fs::remove_file(&path).expect("an own file");
    let words = ["a removed file", "6"];
    let image = image_of_open(&file, &path, &words).deleted(Deleted::Before);
    executes_open(stage, &file, &words, image);
}

fn removes_the_file_after_the_exec(stage: &Stage) {
    let path = own_path(stage, "temporary");
    fs::copy(stage.chain(), &path).expect("a writable directory");
    let line = Line::new();
    let words = ["temporary", "7"];
    let image = image(&path, &words).deleted(Deleted::After);
    let truth = stage.fork(|| match exec_at(&path, &words) {});
    // The child closes its end when it executes the program.
    line.wait_for_writers();
    fs::remove_file(&path).expect("an own file");
    truth.executes(image).reap();
}

/// Since Linux 5.18, the kernel adds an empty argument.
fn executes_without_arguments(stage: &Stage) {
    let path = stage.programs.path("chain");
    let truth = stage.fork(|| match exec_at(&path, &[]) {});
    truth.executes(image(&path, &[""])).reap();
}

fn executes_with_an_empty_environment_and_many_arguments(stage: &Stage) {
    let numbers: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let words = ["chain", "8"].into_iter().chain(numbers.iter().map(String::as_str));
    executes(stage, &words.collect::<Vec<_>>());
}

fn executes_with_arguments_of_any_bytes(stage: &Stage) {
    executes(stage, &["chain", "9\n", "", "", "\u{1b}[2J", "a\u{202e}b", "", ""]);
}

/// Lengths around the limits that a listener may have.
fn executes_with_long_arguments(stage: &Stage) {
    const LENGTHS: [usize; 12] =
        [240, 255, 256, 257, 1_000, 4_095, 4_096, 4_097, 16_384, 32_700, 32_768, 40_000];
    let length = LENGTHS[stage.number as usize % LENGTHS.len()];
    let words = ["chain\0", "1\0"].concat();
    let long = "l".repeat(length - words.len() - 1);
    executes(stage, &["chain", "1", &long]);
}

fn executes_with_a_mebibyte_of_arguments(stage: &Stage) {
    let long = "m".repeat(104_850);
    let words = [&["chain", "2"][..], &[&long[..]; 10]].concat();
    executes(stage, &words);
}

fn overwrites_its_arguments(stage: &Stage) {
    let word = stage.number.to_string();
    executes(stage, &["overwrite", "these", "arguments", &word]);
}

fn overwrites_its_arguments_in_a_chain(stage: &Stage) {
    let (chain, overwrite) = (stage.chain(), stage.programs.path("overwrite"));
    let words = [&chain[..], &chain, &overwrite, "and these"];
    let truth = stage.fork(|| match exec_at(&chain, &words) {});
    let truth = truth.executes(image(&chain, &words)).executes(image(&chain, &words[1..]));
    truth.executes(image(&overwrite, &words[2..])).reap();
}
