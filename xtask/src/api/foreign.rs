//! Types of other crates in a public API. A new major version of their crate is a breaking change
//! of ours, so the list of these types is explicit.

use std::fmt::Write as _;

use anyhow::{Result, bail};

/// The crates whose types may appear in our APIs, or single types.
const ALLOWED: &[(&str, &[&str])] = &[
    (
        "proc-connector-core",
        &[
            "proc_connector_core",
            "proc_connector_sys",
            "bitflags",
            "serde_core",
            "zerocopy::byteorder",
            // The traits that wire structs derive.
            "zerocopy::FromBytes",
            "zerocopy::FromZeros",
            "zerocopy::Immutable",
            "zerocopy::IntoBytes",
            "zerocopy::KnownLayout",
            "zerocopy::TryFromBytes",
            "zerocopy::Unaligned",
        ],
    ),
    (
        "proc-connector",
        &[
            "proc_connector",
            "proc_connector_core",
            "bitflags",
            "futures_core::stream::Stream",
            "serde_core",
            "zerocopy::byteorder::ByteOrder",
        ],
    ),
];

/// The crates of the language.
const LANGUAGE: [&str; 3] = ["core", "alloc", "std"];

/// Fails if an item of `package` names a type of a crate that is not on the list.
pub(super) fn check(package: &str, items: &[String]) -> Result<()> {
    let allowed = ALLOWED.iter().find(|(name, _)| *name == package).map_or(&[][..], |(_, it)| it);
    let mut text = String::new();
    for item in items {
        for path in paths(item).filter(|path| !is_allowed(path, allowed)) {
            let _ = writeln!(text, "{path} in: {item}");
        }
    }
    if text.is_empty() {
        return Ok(());
    }
    bail!(
        "the public API of {package} has types of other crates (xtask/src/api/foreign.rs):\n{text}"
    )
}

fn is_allowed(path: &str, allowed: &[&str]) -> bool {
    let is_in = |prefix: &&str| {
        path.strip_prefix(*prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    LANGUAGE.iter().any(is_in) || allowed.iter().any(is_in)
}

/// The paths in an item that start with a crate.
pub(super) fn paths(item: &str) -> impl Iterator<Item = &str> {
    let is_of_path = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    item.split(move |letter| !is_of_path(letter))
        .map(|path| path.trim_end_matches(':'))
        // `::next` after a type in angle brackets, `Self::Item` and a single name do not start with
        // a crate.
        .filter(|path| path.contains("::") && path.starts_with(|first: char| first.is_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_crates_are_found_anywhere_in_an_item() {
        let item =
            "impl<O: zerocopy::byteorder::ByteOrder> core::convert::From<a::B<'_, O>> for c::D";
        let found: Vec<&str> = paths(item).collect();
        assert_eq!(
            found,
            ["zerocopy::byteorder::ByteOrder", "core::convert::From", "a::B", "c::D"]
        );
        let item = "pub fn c::D::next(&mut self) -> core::option::Option<Self::Item>";
        assert_eq!(paths(item).collect::<Vec<_>>(), ["c::D::next", "core::option::Option"]);
    }

    #[test]
    fn a_foreign_type_is_refused_and_an_allowed_one_is_not() {
        let leak = "pub fn proc_connector::read() -> pcap_file::PcapError".to_owned();
        let error =
            check("proc-connector", std::slice::from_ref(&leak)).expect_err("a leak").to_string();
        assert!(error.contains(&format!("pcap_file::PcapError in: {leak}")), "{error}");
        let fine = "pub fn proc_connector::order<O: zerocopy::byteorder::ByteOrder>() -> u8";
        check("proc-connector", &[fine.to_owned()]).expect("it is allowed");
        let more = "pub fn proc_connector::order() -> zerocopy::byteorder::ByteOrderX";
        assert!(check("proc-connector", &[more.to_owned()]).is_err());
    }
}
