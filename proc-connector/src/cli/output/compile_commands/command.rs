//! The arguments of a compiler driver.

/// Options whose value is the next argument.
const WITH_VALUE: [&[u8]; 55] = [
    b"-o",
    b"--output",
    b"-x",
    b"--language",
    b"-D",
    b"-U",
    b"-I",
    b"-L",
    b"-l",
    b"-F",
    b"-T",
    b"-u",
    b"-e",
    b"-z",
    b"-A",
    b"-B",
    b"-G",
    b"-b",
    b"-V",
    b"-include",
    b"-imacros",
    b"-isystem",
    b"-iquote",
    b"-idirafter",
    b"-iprefix",
    b"-iwithprefix",
    b"-iwithprefixbefore",
    b"-isysroot",
    b"-imultilib",
    b"-imultiarch",
    b"-iframework",
    b"-include-pch",
    b"-MF",
    b"-MT",
    b"-MQ",
    b"-MJ",
    b"-Xpreprocessor",
    b"-Xassembler",
    b"-Xlinker",
    b"-Xclang",
    b"-Xanalyzer",
    b"-mllvm",
    b"-aux-info",
    b"-wrapper",
    b"-dumpbase",
    b"-dumpbase-ext",
    b"-dumpdir",
    b"-arch",
    b"-target",
    b"-gcc-toolchain",
    b"-framework",
    b"-install_name",
    b"--param",
    b"--sysroot",
    b"-specs",
];

/// Options with which the driver compiles nothing.
const NO_COMPILATION: [&[u8]; 10] = [
    b"-E",
    b"-M",
    b"-MM",
    b"-###",
    b"-cc1",
    b"-cc1as",
    b"--version",
    b"--help",
    b"-dumpversion",
    b"-dumpmachine",
];

/// Options with which the driver does not link.
const NO_LINK: [&[u8]; 3] = [b"-c", b"-S", b"-fsyntax-only"];

/// Extensions of source files, as gcc and clang define them.
const EXTENSIONS: [&[u8]; 27] = [
    b"c", b"i", b"ii", b"m", b"mi", b"mm", b"M", b"mii", b"cc", b"cp", b"cxx", b"cpp", b"CPP",
    b"c++", b"C", b"CC", b"CXX", b"C++", b"txx", b"cppm", b"ixx", b"ccm", b"s", b"S", b"sx",
    b"asm", b"cu",
];

/// A call of a driver: the words, and what they mean.
#[derive(Debug, PartialEq)]
pub(super) struct Command<'a> {
    words: &'a [Vec<u8>],
    /// The places of the source files.
    pub(super) sources: Vec<usize>,
    output: Option<&'a [u8]>,
    links: bool,
    compiles: bool,
}

impl<'a> Command<'a> {
    pub(super) fn parse(words: &'a [Vec<u8>]) -> Self {
        let (sources, output) = (Vec::new(), None);
        let mut command = Self { words, sources, output, links: true, compiles: true };
        let (mut has_language, mut options_end) = (false, false);
        let mut rest = words.iter().map(Vec::as_slice).enumerate().skip(1);
        while let Some((place, word)) = rest.next() {
            if options_end || !word.starts_with(b"-") {
                if has_language || is_source(word) {
                    command.sources.push(place);
                }
                continue;
            }
            options_end = word == b"--";
            command.compiles &= !NO_COMPILATION.contains(&word);
            command.links &= !NO_LINK.contains(&word);
            let value =
                if WITH_VALUE.contains(&word) { rest.next().map(|(_, value)| value) } else { None };
            match (word, value) {
                (b"-o" | b"--output", value) => command.output = value,
                (b"-x" | b"--language", Some(value)) => has_language = is_language(value),
                _ => {
                    let after =
                        |option: &[u8]| word.strip_prefix(option).filter(|_| value.is_none());
                    // Other options begin with `-o` only in clang for Objective-C: `-objcmt-...`.
                    if let Some(output) = after(b"--output=").or_else(|| after(b"-o")) {
                        if !word.starts_with(b"-obj") {
                            command.output = Some(output);
                        }
                    } else if let Some(language) = after(b"-x") {
                        has_language = is_language(language);
                    }
                }
            }
        }
        command
    }

    /// Whether the driver compiles or assembles a file.
    pub(super) fn compiles(&self) -> bool {
        self.compiles && !self.sources.is_empty()
    }

    /// The same if the last words may be missing.
    pub(super) fn may_compile(&self) -> bool {
        self.compiles && (!self.sources.is_empty() || !self.links)
    }

    /// Whether the files to compile may be in a response file. A driver whose output is not an object file
    /// probably links.
    pub(super) fn sources_may_be_in_a_file(&self) -> bool {
        let is_object = self.output.is_none_or(|output| output.ends_with(b".o"));
        self.compiles && self.sources.is_empty() && (!self.links || is_object)
    }

    /// The arguments, the file and the output for one of the sources. `None` if they are not UTF-8.
    pub(super) fn of_source(
        &self,
        source: usize,
    ) -> Option<(Vec<String>, &'a str, Option<&'a str>)> {
        let text = |word: &'a [u8]| std::str::from_utf8(word).ok();
        let place = *self.sources.get(source)?;
        let mut arguments = Vec::with_capacity(self.words.len() + 1);
        for (index, word) in self.words.iter().enumerate() {
            if index == place || !self.sources.contains(&index) {
                arguments.push(text(word)?.to_owned());
            }
            // The entry is that of a compilation, so tools need not link.
            if index == 0 && self.links {
                arguments.push("-c".to_owned());
            }
        }
        let output = match self.output {
            Some(output) => Some(text(output)?),
            None => None,
        };
        Some((arguments, text(self.words.get(place)?)?, output))
    }
}

/// Whether the name is that of a source file. Standard input (`-`) is none.
fn is_source(word: &[u8]) -> bool {
    let name = word.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let extension = name.iter().rposition(|&byte| byte == b'.').and_then(|dot| name.get(dot + 1..));
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
}

/// Whether a value of `-x` makes files sources. Headers are precompiled, which no tool repeats.
fn is_language(value: &[u8]) -> bool {
    value != b"none" && !value.ends_with(b"-header")
}
