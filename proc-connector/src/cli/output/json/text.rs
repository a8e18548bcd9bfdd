//! Bytes as JSON text, without allocations for text that is UTF-8.

use std::fmt::{self, Write};
use std::path::Path;

use proc_connector::Args;
use proc_connector::parser::KernelPath;
pub(super) use proc_connector::parser::Text;
use serde::{Serialize, Serializer};

/// The value of `raw_KEY`: the bytes, if they are not UTF-8.
pub(super) fn raw_bytes(bytes: &[u8]) -> Option<&[u8]> {
    std::str::from_utf8(bytes).is_err().then_some(bytes)
}

pub(super) fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

/// Arguments as text.
pub(super) struct Texts<'a>(pub(super) Args<'a>);

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Text))
    }
}

/// The value of `raw_args`: all arguments as bytes.
pub(super) struct RawTexts<'a>(Args<'a>);

impl<'a> RawTexts<'a> {
    /// `None` if all arguments are UTF-8.
    pub(super) fn new(args: Args<'a>) -> Option<Self> {
        let is_text = std::str::from_utf8(args.bytes()).is_ok();
        // A character cannot contain the NUL between two arguments.
        (!is_text).then_some(Self(args))
    }
}

impl Serialize for RawTexts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter())
    }
}

/// A path of the kernel as text.
pub(super) struct PathText<'a>(pub(super) KernelPath<'a>);

impl Serialize for PathText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for PathText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut is_root = true;
        for name in self.0.components() {
            is_root = false;
            write!(f, "/{}", Text(name))?;
        }
        if is_root { f.write_char('/') } else { Ok(()) }
    }
}

/// The value of `raw_KEY` for a path of the kernel, if it is not UTF-8.
pub(super) fn raw_path(path: KernelPath<'_>) -> Option<Vec<u8>> {
    std::str::from_utf8(path.bytes())
        .is_err()
        .then(|| path.components().flat_map(|name| [b"/", name]).flatten().copied().collect())
}

#[cfg(test)]
mod tests {
    use proc_connector::Args;
    use proc_connector::parser::KernelPath;
    use serde_json::json;

    use super::{PathText, RawTexts, Text, Texts, raw_path};

    #[test]
    fn paths_of_the_kernel_start_at_the_root() {
        for (bytes, text, raw) in [
            (&b""[..], "/", None),
            (b"sh\0bin\0usr\0", "/usr/bin/sh", None),
            (b"a\xff\0b\0", "/b/a\u{fffd}", Some(&b"/b/a\xff"[..])),
        ] {
            let path = KernelPath::new(bytes);
            assert_eq!(serde_json::to_value(PathText(path)).expect("text"), text);
            assert_eq!(raw_path(path).as_deref(), raw, "{text}");
        }
    }

    #[test]
    fn bytes_that_are_not_text_have_both_forms() {
        let args = Args::new(b"a\xff\0\0b\0", false);
        let texts = serde_json::to_value(Texts(args)).expect("text");
        assert_eq!(texts, json!(["a\u{fffd}", "", "b"]));
        let raw = RawTexts::new(args).map(|raw| serde_json::to_value(raw).expect("numbers"));
        assert_eq!(raw, Some(json!([[97, 255], [], [98]])));
        assert!(RawTexts::new(Args::new("ä\0b".as_bytes(), true)).is_none());
        assert_eq!(serde_json::to_value(Text(b"\xc3a")).expect("text"), "\u{fffd}a");
    }
}
