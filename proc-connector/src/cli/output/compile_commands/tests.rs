//! Calls of compiler drivers, by the rules of gcc and clang.

use std::fs;

use super::command::Command;
use super::compiler::{driver_call, is_driver};
use super::response::{expanded, split};
use super::{Missing, absolute};

fn words(text: &str) -> Vec<&[u8]> {
    text.split(' ').map(str::as_bytes).collect()
}

#[test]
fn drivers_have_a_prefix_and_a_version() {
    for name in [
        "cc",
        "gcc",
        "/usr/bin/g++",
        "c++",
        "clang",
        "clang++",
        "gcc-12",
        "gcc-4.9.2",
        "clang-16",
        "clang++-16.0",
        "x86_64-linux-gnu-gcc-12",
        "arm-none-eabi-g++",
        "./afl-clang",
        "gcc12",
        "cc-14",
        "c++-14",
        "g++-14.2.0",
        "x86_64-linux-gnu-gcc-14",
        "/usr/bin/x86_64-linux-gnu-g++-14",
        "x86_64-linux-gnu-clang++-19",
        "aarch64-linux-android35-clang",
        "x86_64-w64-mingw32-gcc-12-win32",
        "i686-w64-mingw32-g++-posix",
        "riscv64-unknown-elf-c++",
    ] {
        assert!(is_driver(name.as_bytes()), "{name}");
    }
    for name in [
        "",
        "cc1",
        "cc1plus",
        "as",
        "ld",
        "collect2",
        "gcc-ar",
        "gcc-nm-12",
        "clang-format-16",
        "clang-tidy",
        "clang-cpp",
        "make",
        "gccgo",
        "ccache",
        "12",
        "-12",
        "gcc-",
        "g++-x",
        "gcc/x",
        "cc-1a",
        "win32",
        "gcc-ar-12-posix",
    ] {
        assert!(!is_driver(name.as_bytes()), "{name}");
    }
}

#[test]
fn wrappers_and_interpreters_are_left_out() {
    for (args, filename, expected) in [
        ("cc -c a.c", Some("/usr/bin/cc"), Some("/usr/bin/cc -c a.c")),
        ("cc -c a.c", None, Some("cc -c a.c")),
        ("ccache gcc -c a.c", Some("/usr/bin/ccache"), Some("gcc -c a.c")),
        ("ccache run_second_cpp=true /opt/gcc -c a.c", None, Some("/opt/gcc -c a.c")),
        ("ccache -s", None, None),
        ("distcc -c a.c", None, None),
        ("ccache", None, None),
        ("ccache distcc gcc -c a.c", Some("/usr/bin/ccache"), Some("gcc -c a.c")),
        ("ccache debug=true /usr/bin/distcc g++-14 -c a.cc", None, Some("g++-14 -c a.cc")),
        ("ccache distcc", None, None),
        ("ccache distcc ld -o x a.o", None, None),
        ("distcc x86_64-linux-gnu-gcc-14 -c a.c", None, Some("x86_64-linux-gnu-gcc-14 -c a.c")),
        ("gcc -c a.c", Some("/usr/lib/distcc/gcc"), Some("/usr/lib/distcc/gcc -c a.c")),
        ("clang++-14 -c a.cc", Some("/usr/bin/clang++-14"), Some("/usr/bin/clang++-14 -c a.cc")),
        // libtool is a script that executes the driver.
        ("/bin/bash /usr/bin/libtool --mode=compile gcc -c a.c", Some("/usr/bin/libtool"), None),
        ("libtool --tag=CC --mode=compile ccache gcc -c a.c", None, None),
        (
            "gcc -g -c a.c -fPIC -DPIC -o .libs/a.o",
            Some("/usr/bin/gcc"),
            Some("/usr/bin/gcc -g -c a.c -fPIC -DPIC -o .libs/a.o"),
        ),
        // Debian's `c99` is a script that executes gcc.
        ("/bin/sh /usr/bin/c99 -c a.c", Some("/usr/bin/c99"), None),
        ("gcc -std=c99 -c a.c", Some("/usr/bin/gcc"), Some("/usr/bin/gcc -std=c99 -c a.c")),
        ("gcc -c a.c", Some("/usr/lib/ccache/gcc"), Some("/usr/lib/ccache/gcc -c a.c")),
        ("gcc -c a.c", Some("/dev/fd/5"), Some("gcc -c a.c")),
        ("/bin/sh /opt/gcc -c a.c", Some("/opt/gcc"), Some("/opt/gcc -c a.c")),
        ("/bin/sh -e /opt/gcc -c a.c", Some("/opt/gcc"), Some("/opt/gcc -c a.c")),
        ("/bin/sh /opt/ccache gcc -c a.c", Some("/opt/ccache"), Some("gcc -c a.c")),
        ("/bin/sh /opt/build -c a.c", Some("/opt/build"), None),
        ("odd -c a.c", Some("/usr/bin/cc"), Some("/usr/bin/cc -c a.c")),
        ("sh -c gcc", Some("/bin/sh"), None),
        ("make CC=gcc", None, None),
    ] {
        let call = driver_call(&words(args), filename.map(str::as_bytes));
        assert_eq!(call, expected.map(words), "{args}");
    }
    assert_eq!(driver_call(&[], Some(b"/usr/bin/cc")), None);
}

/// The source files of a call with their outputs, and the arguments of the first.
fn parsed(text: &str) -> (Vec<(String, Option<String>)>, Option<String>) {
    let words: Vec<Vec<u8>> = text.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    let command = Command::parse(&words);
    if !command.compiles() {
        return (Vec::new(), None);
    }
    let sources = (0..command.sources.len()).map(|source| command.of_source(source).expect("text"));
    let sources: Vec<_> = sources.collect();
    let arguments = sources.first().map(|(arguments, ..)| arguments.join(" "));
    let name =
        |(_, file, output): (_, &str, Option<&str>)| (file.to_owned(), output.map(str::to_owned));
    (sources.into_iter().map(name).collect(), arguments)
}

#[test]
fn each_source_has_an_entry() {
    for (text, sources, output, arguments) in [
        ("cc -c a.c -o a.o", &["a.c"][..], Some("a.o"), "cc -c a.c -o a.o"),
        ("cc -c a.c b.c", &["a.c", "b.c"], None, "cc -c a.c"),
        ("cc -oprog a.c b.o -lm", &["a.c"], Some("prog"), "cc -c -oprog a.c b.o -lm"),
        ("cc --output=x -S a.c", &["a.c"], Some("x"), "cc --output=x -S a.c"),
        ("cc -fsyntax-only a.cpp", &["a.cpp"], None, "cc -fsyntax-only a.cpp"),
        (
            "cc -c -I x.c -include y.c -MF z.c a.c",
            &["a.c"],
            None,
            "cc -c -I x.c -include y.c -MF z.c a.c",
        ),
        (
            "cc -c -x c a.inc -x none b.inc c.c",
            &["a.inc", "c.c"],
            None,
            "cc -c -x c a.inc -x none b.inc",
        ),
        ("cc -c -xc a.inc", &["a.inc"], None, "cc -c -xc a.inc"),
        ("cc -c -MD -MMD a.S", &["a.S"], None, "cc -c -MD -MMD a.S"),
        ("clang -c -- -a.c", &["-a.c"], None, "clang -c -- -a.c"),
        ("clang -objcmt-x -c a.m", &["a.m"], None, "clang -objcmt-x -c a.m"),
    ] {
        let (found, of_first) = parsed(text);
        let expected: Vec<_> =
            sources.iter().map(|&source| (source.to_owned(), output.map(str::to_owned))).collect();
        assert_eq!((found, of_first.as_deref()), (expected, Some(arguments)), "{text}");
    }
}

#[test]
fn calls_that_compile_nothing_have_no_entry() {
    for text in [
        "cc",
        "cc -o prog a.o b.a",
        "cc -E a.c",
        "cc -M a.c",
        "cc -MM a.c",
        "cc -### a.c",
        "cc --version",
        "clang -cc1 a.c",
        "clang -cc1as a.s",
        "cc -c -x c -",
        "cc -c -o a.c",
        "cc -x c-header -c a.h",
        "cc a.h",
        "cc -o",
        "cc -x",
    ] {
        assert_eq!(parsed(text), (Vec::new(), None), "{text}");
    }
}

#[test]
fn commands_that_may_be_cut_are_counted_if_they_compile() {
    for (text, expected) in
        [("cc -c", true), ("cc a.c", true), ("cc a.o", false), ("cc -E -c", false)]
    {
        let words: Vec<Vec<u8>> = text.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        assert_eq!(Command::parse(&words).may_compile(), expected, "{text}");
    }
}

#[test]
fn response_files_are_split_as_by_gnu_programs() {
    // A backslash quotes the next byte in single quotes, too.
    let cases: [(&[u8], &[&[u8]]); 4] = [
        (b"a 'b c' \"d\\\"e\" f\\ g ''", &[b"a", b"b c", b"d\"e", b"f g", b""]),
        (b" -DA=\"b c\"\n\t-I'x y'z ", &[b"-DA=b c", b"-Ix yz"]),
        (b"'a\\'b' c", &[b"a'b", b"c"]),
        (b"\"a 'b", &[b"a 'b"]),
    ];
    for (text, expected) in cases {
        assert_eq!(split(text), expected);
    }
    assert_eq!(split(b"\\"), [b""]);
    assert!(split(b" \n\t").is_empty());
}

#[test]
fn response_files_are_read_in_the_directory() {
    let directory = std::env::temp_dir().join(format!("proc-connector-rsp-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a writable directory");
    fs::write(directory.join("one"), "-c @two @missing @.").expect("a file");
    fs::write(directory.join("two"), "'a b.c' @two").expect("a file");
    let found = expanded(&[b"cc", b"@one"], &directory);
    let whole = expanded(&[b"cc", b"-c", b"a@two"], &directory);
    fs::remove_dir_all(&directory).expect("a directory");
    let mut expected: Vec<&[u8]> = vec![b"cc", b"-c"];
    // A file that leads to itself is read a limited number of times.
    expected.extend([&b"a b.c"[..]; 7]);
    expected.extend([&b"@two"[..], b"@missing", b"@."]);
    assert_eq!(found, (expected.into_iter().map(<[u8]>::to_vec).collect(), true));
    assert_eq!(whole, (vec![b"cc".to_vec(), b"-c".to_vec(), b"a@two".to_vec()], false));
}

#[test]
fn a_call_may_have_its_sources_in_a_response_file() {
    for (args, expected) in [
        ("cc @all", true),
        ("cc -c @all", true),
        ("cc -o a.o @all", true),
        ("cc -S -o a @all", true),
        // The source is known. The entry keeps the name of the file.
        ("cc -c a.c @flags", false),
        // These link, or only preprocess.
        ("cc -o prog @objects", false),
        ("cc -E @all", false),
    ] {
        let words: Vec<Vec<u8>> = words(args).into_iter().map(<[u8]>::to_vec).collect();
        assert_eq!(Command::parse(&words).sources_may_be_in_a_file(), expected, "{args}");
    }
}

#[test]
fn paths_begin_at_the_root() {
    for (path, expected) in
        [("a.c", "/src/a.c"), ("./a.c", "/src/a.c"), ("../a.c", "/src/../a.c"), ("/a.c", "/a.c")]
    {
        assert_eq!(absolute("/src", path), expected);
    }
    assert_eq!(absolute("/", "a.c"), "/a.c");
}

#[test]
fn missing_compilations_are_counted_by_reason() {
    let missing = Missing { cut: 2, unrecorded: 0, unread: 1, not_utf8: 1 };
    assert_eq!(
        missing.to_string(),
        "4 compilations are missing from compile_commands.json: 2: arguments exceed the 32 KiB that the \
         kernel's program records (use a response file); 1: a response file that could not be read (was \
         it removed?); 1: text that is not UTF-8, which JSON cannot represent"
    );
}

/// Calls of a build with ccache, distcc, libtool and both compilers, with the number of compiled files and the
/// output that bear had for each.
#[test]
fn calls_of_wrappers_compile_what_bear_records() {
    for (args, filename, count, output) in [
        ("ccache gcc -O2 -c a.c -o out/1.o", "/usr/bin/ccache", 1, "out/1.o"),
        ("gcc -c b.c -o out/2.o", "/usr/lib/ccache/gcc", 1, "out/2.o"),
        ("distcc gcc -c a.c -o out/4.o", "/usr/bin/distcc", 1, "out/4.o"),
        ("gcc -g -c a.c -fPIC -DPIC -o out/.libs/7.o", "/usr/bin/gcc", 1, "out/.libs/7.o"),
        (
            "gcc -shared -fPIC -DPIC out/.libs/7.o -g -Wl,-soname -Wl,lib7.so.0 -o out/.libs/lib7.so.0.0.0",
            "/usr/bin/gcc",
            0,
            "",
        ),
        (
            "ccache gcc -g -DX=1 -c b.c -fPIC -DPIC -o out/.libs/9.o",
            "/usr/bin/ccache",
            1,
            "out/.libs/9.o",
        ),
        (
            "x86_64-linux-gnu-gcc-12 -c a.c -o out/10.o",
            "/usr/bin/x86_64-linux-gnu-gcc-12",
            1,
            "out/10.o",
        ),
        ("gcc-12 -c s.S -o out/11.o", "/usr/bin/gcc-12", 1, "out/11.o"),
        ("cc a.c b.c -o out/prog", "/usr/bin/cc", 2, "out/prog"),
        ("gcc -MD -MF out/dep3 -c a.c -o out/14.o", "/usr/bin/gcc", 1, "out/14.o"),
        ("gcc -M -MF out/dep2 a.c", "/usr/bin/gcc", 0, ""),
        ("gcc -x c -c - -o out/16.o", "/usr/bin/gcc", 0, ""),
        ("gcc -shared -fPIC a.c -o out/liba.so", "/usr/bin/gcc", 1, "out/liba.so"),
        ("gcc -c out/a.i -o out/19.o", "/usr/bin/gcc", 1, "out/19.o"),
        ("gcc -print-search-dirs", "/usr/bin/gcc", 0, ""),
        ("clang --driver-mode=g++ -c m.cc -o out/33.o", "/usr/bin/clang", 1, "out/33.o"),
        ("clang -target x86_64-linux-gnu -c a.c -o out/35.o", "/usr/bin/clang", 1, "out/35.o"),
        ("clang -MJ out/mj.json -c a.c -o out/37.o", "/usr/bin/clang", 1, "out/37.o"),
    ] {
        let call = driver_call(&words(args), Some(filename.as_bytes())).expect("a driver");
        let call: Vec<Vec<u8>> = call.into_iter().map(<[u8]>::to_vec).collect();
        let command = Command::parse(&call);
        assert_eq!(command.compiles(), count > 0, "{args}");
        if count > 0 {
            assert_eq!(command.sources.len(), count, "{args}");
            let (.., found) = command.of_source(0).expect("text");
            assert_eq!(found, Some(output), "{args}");
        }
    }
}
