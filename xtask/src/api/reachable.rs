//! Checks that users can name every type in a signature.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Result, bail};

/// Fails if an item of `package` names a type of the package that is not itself an item.
pub(super) fn check(package: &str, items: &[String]) -> Result<()> {
    let root = package.replace('-', "_") + "::";
    let declared: BTreeSet<&str> = items.iter().filter_map(|item| declared(item)).collect();
    let mut text = String::new();
    for item in items.iter().filter(|item| !item.starts_with("pub mod ")) {
        for path in super::foreign::paths(item).filter(|path| path.starts_with(&root)) {
            // A sealed trait requires a trait without a public path.
            if path.contains("::sealed::") {
                continue;
            }
            // The path of a field, a variant or a method starts with the path of its type.
            let mut ends = path.match_indices("::").map(|(end, _)| end).chain([path.len()]);
            if !ends.any(|end| declared.contains(&path[..end])) {
                let _ = writeln!(text, "{path} in: {item}");
            }
        }
    }
    if text.is_empty() {
        return Ok(());
    }
    bail!("types in the public API of {package} that have no public path:\n{text}")
}

/// The path of the declared type, function, constant or re-export. A module does not make its items
/// reachable.
fn declared(item: &str) -> Option<&str> {
    let (_, declaration) = item.split_once("pub ")?;
    let path = declaration.split(' ').find(|word| word.contains("::"))?;
    let end = path.find(['<', '(']).unwrap_or(path.len());
    (!declaration.starts_with("mod ")).then(|| path[..end].trim_end_matches(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(items: &[&str]) -> Vec<String> {
        items.iter().map(|&item| item.to_owned()).collect()
    }

    #[test]
    fn a_type_in_a_private_module_is_found() {
        let hidden = items(&["pub fn a_b::open() -> a_b::inner::Connector"]);
        let error = check("a-b", &hidden).expect_err("it has no path").to_string();
        assert!(error.contains("a_b::inner::Connector in: pub fn a_b::open()"), "{error}");
    }

    #[test]
    fn what_is_declared_is_reachable() {
        let listed = items(&[
            "pub mod a_b",
            "pub struct a_b::Connector<R>",
            "#[non_exhaustive] pub enum a_b::Kind",
            "pub a_b::Kind::Other(a_b::Connector<u8>)",
            "pub const a_b::MAX: usize",
            "pub const fn a_b::Connector<R>::kind(&self) -> a_b::Kind",
            "impl<R> core::fmt::Debug for a_b::Connector<R>",
        ]);
        check("a-b", &listed).expect("all have a path");
    }
}
