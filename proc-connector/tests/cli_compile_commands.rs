//! `trace -o compile_commands.json`, compared with what compilers received.

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitCode, Output};

use common::program::{program, run, text};
use common::scratch::Scratch;
use common::{named, skip, transport, transport_name};
use proc_connector::Transport;
use serde_json::{Value, json};

fn main() -> ExitCode {
    let everywhere = named![recordings_have_no_working_directories];
    let live = named![
        entries_are_what_compilers_received,
        a_compilation_is_recorded_once,
        entries_can_be_run,
        long_commands_are_left_out_and_counted,
        text_that_is_not_utf8_is_left_out_and_counted,
        arguments_cannot_be_anonymous,
    ];
    common::main_with(&[], &everywhere, &live)
}

const NAME: &str = "compile_commands.json";

/// Traces a shell script in a directory.
fn traced(scratch: &Scratch, options: &[&str], script: &str) -> Output {
    let file = scratch.file(NAME);
    let trace = ["trace", "-q", "-o", &file, "--transport", transport_name()];
    let mut trace = program(&[&trace[..], options, &["--", "sh", "-c", script]].concat());
    trace.current_dir(scratch.directory()).output().expect("the program runs")
}

/// The entries of the database. Over the socket there are none: tests the failure, and ends the test.
fn entries(scratch: &Scratch, options: &[&str], script: &str) -> (Vec<Value>, String) {
    fs::write(scratch.file(NAME), "old").expect("a writable directory");
    let output = traced(scratch, options, script);
    let errors = text(&output.stderr).to_owned();
    let file = fs::read_to_string(scratch.file(NAME)).expect("a file");
    if transport() == Transport::Socket {
        assert_eq!((output.status.code(), &*file), (Some(1), "old"), "{errors}");
        assert!(errors.contains("compile_commands.json requires the ring transport"), "{errors}");
        assert!(!Path::new(&scratch.file("log")).exists(), "the command ran");
        skip("the socket has no working directories");
    }
    assert!(output.status.success(), "{errors}");
    (serde_json::from_str(&file).expect("JSON"), errors)
}

/// A program that appends its working directory, its path and its arguments to a log: all end with NUL, and
/// the call with a line feed.
fn make_compiler(scratch: &Scratch, name: &str, more: &str) -> String {
    let path = scratch.file(name);
    let log = scratch.file("log");
    let script = format!(
        "#!/bin/sh\nprintf '%s\\0' \"$(pwd -P)\" \"$0\" \"$@\" >> '{log}.'$$\n\
         printf '\\n' >> '{log}.'$$\ncat '{log}.'$$ >> '{log}'\n{more}\n"
    );
    fs::write(&path, script).expect("a writable directory");
    fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("one's own file");
    path
}

/// The directory and the arguments of each call in the log.
fn logged(scratch: &Scratch) -> Vec<(String, Vec<String>)> {
    let log = fs::read_to_string(scratch.file("log")).expect("a log");
    let call = |call: &str| {
        let mut words = call.split_terminator('\0').map(str::to_owned);
        (words.next().expect("a directory"), words.collect())
    };
    let mut calls: Vec<_> = log.split_terminator("\0\n").map(call).collect();
    calls.sort();
    calls
}

fn entries_are_what_compilers_received() {
    let scratch = Scratch::new("received");
    for name in ["cc", "x86_64-linux-gnu-g++-12"] {
        make_compiler(&scratch, name, "");
    }
    let script = r#"
        PATH=$PWD:$PATH
        for file in 1 2 3 4 5 6 7 8; do
            cc -O2 "-DTEXT=\"a  'b' $file\"" -c $file.c -o $file.o &
        done
        mkdir -p 'sub dir/x'
        cd 'sub dir'
        ../x86_64-linux-gnu-g++-12 -c 'with space.cc' -o "$PWD/ö.o" &
        (cd x && cc -I.. -c '' ../y.c -o '	') &
        wait"#;
    let (entries, errors) = entries(&scratch, &[], script);
    assert_eq!(errors, "");
    let strings =
        |value: &Value| -> Vec<String> { serde_json::from_value(value.clone()).expect("strings") };
    let received = logged(&scratch);
    assert_eq!(received.len(), 10);
    let mut found: Vec<_> = entries
        .iter()
        .map(|entry| {
            (entry["directory"].as_str().expect("a path").to_owned(), strings(&entry["arguments"]))
        })
        .collect();
    found.sort();
    assert_eq!(found, received);
    let directory = fs::canonicalize(scratch.directory()).expect("a directory");
    let directory = directory.to_str().expect("UTF-8");
    let entry = |file: &str| {
        let file = format!("{directory}/{file}");
        entries.iter().find(|entry| entry["file"] == *file).expect("an entry")
    };
    assert_eq!(entry("3.c")["output"], format!("{directory}/3.o"));
    assert_eq!(entry("sub dir/with space.cc")["output"], format!("{directory}/sub dir/ö.o"));
    assert_eq!(entry("sub dir/x/../y.c")["output"], format!("{directory}/sub dir/x/\t"));
    assert_eq!(entry("3.c").as_object().expect("an object").len(), 4);
}

fn a_compilation_is_recorded_once() {
    let scratch = Scratch::new("once");
    // A wrapper executes the driver, which starts other drivers.
    let ccache = r#"exec "$@""#;
    make_compiler(&scratch, "ccache", ccache);
    make_compiler(&scratch, "clang", "");
    make_compiler(
        &scratch,
        "gcc",
        "clang -c inner.c -o inner.o; sh -c 'clang -cc1 a.c; clang -c x.c'; true",
    );
    let script = "
        PATH=$PWD:$PATH
        ccache gcc -c a.c -o a.o
        ccache gcc -c a.c -o a.o
        gcc -c b.c c.c
        gcc -E d.c
        gcc -o prog a.o
        clang -c e.c && printf '%s' '-c \"f 1.c\"' > rsp && clang @rsp
        clang -c @removed";
    let (entries, errors) = entries(&scratch, &[], script);
    assert_eq!(
        errors,
        "proc-connector: 1 compilation is missing from compile_commands.json: 1: a response file that could \
         not be read (was it removed?)\n"
    );
    let directory = fs::canonicalize(scratch.directory()).expect("a directory");
    let directory = directory.to_str().expect("UTF-8");
    let found: Vec<_> = entries.iter().map(|entry| (&entry["file"], &entry["arguments"])).collect();
    let (gcc, clang) = (scratch.file("gcc"), scratch.file("clang"));
    let expected = [
        ("a.c", json!(["gcc", "-c", "a.c", "-o", "a.o"])),
        ("b.c", json!([gcc, "-c", "b.c"])),
        ("c.c", json!([gcc, "-c", "c.c"])),
        ("e.c", json!([clang, "-c", "e.c"])),
        ("f 1.c", json!([clang, "-c", "f 1.c"])),
    ];
    let expected =
        expected.map(|(file, arguments)| (json!(format!("{directory}/{file}")), arguments));
    assert_eq!(
        found,
        expected.iter().map(|(file, arguments)| (file, arguments)).collect::<Vec<_>>()
    );
}

fn entries_can_be_run() {
    if Command::new("cc").arg("--version").output().is_err() {
        skip("no C compiler is installed");
    }
    let scratch = Scratch::new("run");
    for (name, contents) in [
        ("a.c", "const char *a = TEXT; int b(void); int main(void) { return b(); }"),
        ("b 1.c", "int b(void) { return 0; }"),
    ] {
        fs::write(scratch.file(name), contents).expect("a writable directory");
    }
    let script = r#"cc -c '-DTEXT="x \"y\" z"' a.c -o a.o && cc -c 'b 1.c' && cc a.o 'b 1.o' -o prog && ./prog
        cc '-DTEXT="z"' a.c 'b 1.c' -o both"#;
    let (entries, errors) = entries(&scratch, &[], script);
    assert_eq!(errors, "");
    // Of the driver's own programs (cc1, as, collect2, ld) there are no entries.
    assert_eq!(entries.len(), 4, "{entries:?}");
    for name in ["a.o", "b 1.o", "both"] {
        fs::remove_file(scratch.file(name)).expect("the build wrote it");
    }
    for entry in &entries {
        let arguments: Vec<&str> = entry["arguments"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let mut compiler = Command::new(arguments[0]);
        let compiler = compiler
            .args(&arguments[1..])
            .current_dir(entry["directory"].as_str().expect("a path"));
        assert!(compiler.status().expect("a compiler").success(), "{entry}");
        assert!(Path::new(entry["file"].as_str().expect("a path")).exists(), "{entry}");
        if let Some(output) = entry["output"].as_str() {
            assert!(Path::new(output).exists(), "{entry}");
        }
    }
    assert!(Path::new(&scratch.file("b 1.o")).exists());
}

fn long_commands_are_left_out_and_counted() {
    let scratch = Scratch::new("long");
    make_compiler(&scratch, "gcc", "");
    let script = "
        long=$(printf '%040000d' 0)
        ./gcc -DX=$long -c a.c
        ./gcc -c -DX=$long a.c
        ./gcc -o prog a.o $long.o
        ./gcc -c b.c";
    let (entries, errors) = entries(&scratch, &[], script);
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert!(
        errors.contains("1 compilation is missing from compile_commands.json: 1: arguments exceed"),
        "{errors}"
    );
}

fn text_that_is_not_utf8_is_left_out_and_counted() {
    let scratch = Scratch::new("bytes");
    make_compiler(&scratch, "gcc", "");
    let script = r#"./gcc -c "$(printf 'a\377.c')"; mkdir "$(printf '\377')"; cd "$(printf '\377')"; ../gcc -c a.c"#;
    let (entries, errors) = entries(&scratch, &[], script);
    assert!(entries.is_empty(), "{entries:?}");
    assert!(errors.contains("2 compilations are missing"), "{errors}");
}

fn arguments_cannot_be_anonymous() {
    let scratch = Scratch::new("anonymous");
    make_compiler(&scratch, "gcc", "");
    let output = traced(&scratch, &["--anonymous"], "./gcc -c a.c");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(!Path::new(&scratch.file(NAME)).exists());
    if transport() == Transport::Ring {
        let (entries, _) = entries(
            &scratch,
            &["--redact", "PASS*"],
            "./gcc -c -DPASS=secret --password=secret a.c",
        );
        assert_eq!(entries.len(), 1);
        assert!(!entries[0].to_string().contains("--password=secret"), "{entries:?}");
    }
}

fn recordings_have_no_working_directories() {
    let scratch = Scratch::new("replay");
    let output = run(&["replay", "--demo", "-o", &scratch.file(NAME)]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stderr).contains("use `trace`"), "{output:?}");
    assert!(scratch.names().is_empty());
}
