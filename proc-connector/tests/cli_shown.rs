//! Untrusted text is escaped in human-readable output, so that it neither controls nor deceives a
//! terminal.

mod common;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::ExitCode;

use common::hostile::{HOSTILE, assert_seen};
use common::named;
use common::program::{run, text};
use common::scratch::{Scratch, ScratchFile};
use common::wire::{self, COMM};

fn main() -> ExitCode {
    let everywhere = named![
        names_are_escaped_by_the_documented_rule,
        names_in_a_timeline_are_escaped,
        file_names_in_errors_are_escaped,
        command_lines_in_errors_are_escaped,
    ];
    common::main_with(&[], &everywhere, &[])
}

/// A recording in which a process sets a name.
fn recording(name: &[u8]) -> ScratchFile {
    let mut union = [7_u32.to_ne_bytes(), 7_u32.to_ne_bytes()].concat();
    union.extend(name.iter().take(16));
    union.resize(24, 0);
    let event = wire::proc_event(COMM, &union);
    let datagram = wire::message(wire::NLMSG_DONE, &wire::cn_msg(1, 1, &event));
    ScratchFile::containing("named", &datagram)
}

fn names_are_escaped_by_the_documented_rule() {
    for (name, shown) in HOSTILE {
        let output = run(&["replay", recording(name).path()]);
        let line = text(&output.stdout);
        assert_seen(line);
        assert!(line.contains(&format!("now \"{shown}\"")), "{shown} in {line:?}");
        assert!(line.trim_end().ends_with(&format!("  {shown}")), "{shown} in {line:?}");
        assert_eq!(line.lines().count(), 1, "{line:?}");
    }
    let output = run(&["replay", recording(b"a\"b").path()]);
    assert!(text(&output.stdout).contains("now \"a\\\"b\""), "{}", text(&output.stdout));
}

fn names_in_a_timeline_are_escaped() {
    for (name, shown) in HOSTILE {
        let scratch = Scratch::new("timeline");
        let [svg, html, json] = ["a.svg", "a.html", "a.json"].map(|name| scratch.file(name));
        let capture = recording(name);
        let outputs = ["-o", &svg, "-o", &html, "-o", &json];
        let output = run(&[&["replay", capture.path()], &outputs[..]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let svg = fs::read_to_string(svg).expect("UTF-8");
        assert_seen(&svg);
        let document = roxmltree::Document::parse(&svg).expect("well-formed XML");
        let texts = document.descendants().filter_map(|node| node.text());
        assert!(texts.into_iter().any(|text| text.contains(shown)), "{shown} in {svg}");
        assert_seen(&fs::read_to_string(html).expect("UTF-8"));
        let json = fs::read_to_string(json).expect("UTF-8");
        assert_seen(&json);
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert!(json["traceEvents"].to_string().contains(&shown.replace('\\', "\\\\")), "{json}");
    }
}

fn file_names_in_errors_are_escaped() {
    let scratch = Scratch::new("files");
    for (name, shown) in HOSTILE {
        let path = OsString::from_vec([scratch.file("").as_bytes(), name].concat());
        let with = |end: &[u8]| OsString::from_vec([path.as_bytes(), end].concat());
        let (replay, output) = (OsStr::new("replay"), OsStr::new("-o"));
        let missing = run(&[replay, &path]);
        fs::write(&path, b"neither").expect("a file");
        let damaged = run(&[replay, &path]);
        let beneath = run(&[replay, "--demo".as_ref(), output, &with(b"/a.svg")]);
        let of_no_kind = run(&[replay, "--demo".as_ref(), output, &with(b".png")]);
        let no_command = run(&["trace".as_ref(), "--".as_ref(), &*with(b"/a")]);
        let mut outputs = vec![missing, damaged, beneath, of_no_kind];
        // Without a connector, `trace` fails before it runs the command.
        if text(&no_command.stderr).contains("cannot run") {
            outputs.push(no_command);
        }
        for output in outputs {
            let error = text(&output.stderr);
            assert_ne!(output.status.code(), Some(0), "{error}");
            assert_seen(error);
            assert!(error.contains(shown), "{shown} in {error}");
        }
    }
}

fn command_lines_in_errors_are_escaped() {
    for (word, shown) in HOSTILE {
        let option = OsString::from_vec([b"--", word].concat());
        let word = OsStr::from_bytes(word);
        for arguments in [
            &[word][..],
            &["watch".as_ref(), word],
            &["watch".as_ref(), &option],
            &["watch".as_ref(), "--events".as_ref(), word],
            &["watch".as_ref(), "--duration".as_ref(), word],
            &["watch".as_ref(), "--pid".as_ref(), word],
            &["watch".as_ref(), "--transport".as_ref(), word],
            &["stats".as_ref(), "--interval".as_ref(), word],
            &["watch".as_ref(), "--count=1".as_ref(), word, "--nonsense".as_ref()],
        ] {
            let output = run(arguments);
            let error = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{error}");
            assert_seen(error);
            let is_text = word.to_str().is_some();
            assert!(!is_text || error.contains(shown), "{shown} in {error}");
        }
    }
}
