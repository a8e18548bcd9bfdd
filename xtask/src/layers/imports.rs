//! The paths used by the items of a module.

use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, Meta, Path, UseTree, Visibility};

/// A path used in a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Import {
    /// The path as written, starting with `crate`, `super`, `self`, or the name of a crate or a
    /// module.
    pub(super) path: Vec<String>,
    /// The name in the module, for a path in a `use`.
    pub(super) name: Option<String>,
    /// Whether the module re-exports it.
    pub(super) is_reexport: bool,
}

/// The paths in items, without inner modules and test code.
pub(super) fn of_items(items: &[Item]) -> Vec<Import> {
    let mut found = Finder::default();
    for item in items {
        found.visit_item(item);
    }
    found.imports
}

#[derive(Default)]
struct Finder {
    imports: Vec<Import>,
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item(&mut self, item: &'ast Item) {
        if !attributes(item).is_some_and(is_for_tests) {
            visit::visit_item(self, item);
        }
    }

    /// Inner modules are read separately.
    fn visit_item_mod(&mut self, _: &'ast ItemMod) {}

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_reexport = !matches!(item.vis, Visibility::Inherited);
        leaves(&item.tree, &mut Vec::new(), &mut |path, name| {
            self.imports.push(Import { path, name: Some(name), is_reexport });
        });
    }

    /// Paths in expressions, types and patterns: `super::check(..)`.
    fn visit_path(&mut self, path: &'ast Path) {
        let names: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        if names.len() > 1 {
            self.imports.push(Import { path: names, name: None, is_reexport: false });
        }
        visit::visit_path(self, path);
    }
}

fn attributes(item: &Item) -> Option<&[Attribute]> {
    Some(match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => return None,
    })
}

/// Whether an item is compiled only for tests or fuzzing.
pub(super) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).any(|attribute| {
        let Meta::List(list) = &attribute.meta else { return false };
        let condition: String =
            list.tokens.to_string().chars().filter(|letter| !letter.is_whitespace()).collect();
        let conditions = condition.strip_prefix("any(").and_then(|rest| rest.strip_suffix(')'));
        match conditions {
            Some(any) => any.split(',').all(|one| one == "test" || one == "fuzzing"),
            None => condition == "test" || condition.starts_with("all(test,"),
        }
    })
}

/// Calls `found` with each path of a `use` and its name in the module.
fn leaves(tree: &UseTree, before: &mut Vec<String>, found: &mut impl FnMut(Vec<String>, String)) {
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            leaves(&path.tree, before, found);
            before.pop();
        }
        UseTree::Name(name) => leaf(name.ident.to_string(), None, before, found),
        UseTree::Rename(rename) => {
            leaf(rename.ident.to_string(), Some(rename.rename.to_string()), before, found);
        }
        UseTree::Glob(_) => found(before.clone(), "*".to_owned()),
        UseTree::Group(group) => {
            for tree in &group.items {
                leaves(tree, before, found);
            }
        }
    }
}

fn leaf(
    last: String,
    rename: Option<String>,
    before: &[String],
    found: &mut impl FnMut(Vec<String>, String),
) {
    let mut path = before.to_owned();
    // `a::{self, b}` imports `a`.
    if last != "self" {
        path.push(last);
    }
    let name = rename.or_else(|| path.last().cloned()).unwrap_or_default();
    found(path, name);
}

#[cfg(test)]
mod tests {
    use super::{Import, of_items};

    #[test]
    fn every_path_is_found_but_those_of_tests() {
        let file = syn::parse_file(
            "pub(crate) use self::a::{B, c as d};
             use super::e::{self, *};
             #[cfg(test)]
             use crate::not::This;
             fn f(g: crate::h::I) { super::j(); local(); }
             #[cfg(test)]
             mod tests { use super::*; }",
        )
        .expect("it parses");
        let import = |path: &str, name: Option<&str>, is_reexport| Import {
            path: path.split("::").map(str::to_owned).collect(),
            name: name.map(str::to_owned),
            is_reexport,
        };
        let expected = [
            import("self::a::B", Some("B"), true),
            import("self::a::c", Some("d"), true),
            import("super::e", Some("e"), false),
            import("super::e", Some("*"), false),
            import("crate::h::I", None, false),
            import("super::j", None, false),
        ];
        assert_eq!(of_items(&file.items), expected);
    }
}
