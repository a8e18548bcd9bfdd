//! A published version of the crate: its public names, and the examples in its documentation.

use std::fs;
use std::path::{Path, PathBuf};

use super::results::Results;
use anyhow::{Context, Result};
use syn::{Attribute, Fields, ImplItem, Item, Meta, UseTree, Visibility};

/// A version, and the directory of its sources.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) version: String,
    pub(super) directory: PathBuf,
}

/// The declarations in the sources of a version.
#[derive(Debug, Default)]
pub(super) struct Declared {
    /// All names that a program can use: constants, functions, methods, variants, fields.
    pub(super) names: Vec<String>,
    /// The constants among them.
    pub(super) constants: Vec<String>,
    /// The examples in the documentation.
    pub(super) examples: Vec<Example>,
}

/// A block of code in the documentation.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Example {
    /// The documented item, and the number of the example there.
    pub(super) name: String,
    /// `no_run` and others.
    pub(super) attributes: String,
    pub(super) code: String,
}

impl Published {
    pub(super) fn declared(&self) -> Result<Declared> {
        let mut declared = Declared::default();
        let root = self.parse("lib")?;
        declared.examples.extend(examples("lib", &docs(&root.attrs)));
        for item in &root.items {
            // The crate root consists of private modules and re-exports of their items.
            if let Item::Use(item) = item
                && let UseTree::Path(path) = &item.tree
            {
                let module = path.ident.to_string();
                let exported = exported(&path.tree);
                let file = self.parse(&module)?;
                declared.examples.extend(examples(&module, &docs(&file.attrs)));
                for item in &file.items {
                    declared.add(item, exported.as_deref());
                }
            }
        }
        if let Ok(readme) = fs::read_to_string(self.directory.join("README.md")) {
            for example in examples("README", &readme) {
                // In the README, blocks without a language are not Rust; the others run until they
                // are stopped.
                if !example.attributes.is_empty() {
                    declared.examples.push(Example { attributes: "no_run".to_owned(), ..example });
                }
            }
        }
        Ok(declared)
    }

    fn parse(&self, module: &str) -> Result<syn::File> {
        let path = self.directory.join("src").join(module).with_extension("rs");
        let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
        syn::parse_file(&text).with_context(|| format!("cannot parse {}", path.display()))
    }
}

impl Declared {
    /// The results of the examples in the documentation, and those of the tests.
    pub(super) fn split(&self, results: &Results) -> (Results, Results) {
        let is_example = |name: &String| self.examples.iter().any(|example| example.name == *name);
        results.clone().into_iter().partition(|(name, _)| is_example(name))
    }

    /// Adds an item if its name is exported.
    fn add(&mut self, item: &Item, exported: Option<&[String]>) {
        let is_exported = |name: &String| exported.is_none_or(|exported| exported.contains(name));
        let (name, visibility, attributes) = match item {
            Item::Const(item) => (item.ident.to_string(), &item.vis, &item.attrs),
            Item::Enum(item) => (item.ident.to_string(), &item.vis, &item.attrs),
            Item::Fn(item) => (item.sig.ident.to_string(), &item.vis, &item.attrs),
            Item::Struct(item) => (item.ident.to_string(), &item.vis, &item.attrs),
            Item::Type(item) => (item.ident.to_string(), &item.vis, &item.attrs),
            Item::Impl(item) => return self.add_impl(item),
            _ => return,
        };
        if !matches!(visibility, Visibility::Public(_)) || !is_exported(&name) {
            return;
        }
        self.examples.extend(examples(&name, &docs(attributes)));
        if let Item::Enum(item) = item {
            for variant in &item.variants {
                self.names.push(variant.ident.to_string());
                if let Fields::Named(fields) = &variant.fields {
                    let idents = fields.named.iter().filter_map(|field| field.ident.as_ref());
                    self.names.extend(idents.map(ToString::to_string));
                }
            }
        }
        if matches!(item, Item::Const(_)) {
            self.constants.push(name.clone());
        }
        self.names.push(name);
    }

    fn add_impl(&mut self, item: &syn::ItemImpl) {
        let syn::Type::Path(of) = &*item.self_ty else { return };
        let Some(of) = of.path.segments.last() else { return };
        for member in &item.items {
            let (name, visibility, attributes) = match member {
                ImplItem::Fn(item) => (&item.sig.ident, &item.vis, &item.attrs),
                ImplItem::Const(item) => (&item.ident, &item.vis, &item.attrs),
                _ => continue,
            };
            if matches!(visibility, Visibility::Public(_)) {
                self.names.push(name.to_string());
                let examples = examples(&format!("{}_{name}", of.ident), &docs(attributes));
                self.examples.extend(examples);
            }
        }
    }
}

/// The names that a `pub use` exports from a module; `None` for all.
fn exported(tree: &UseTree) -> Option<Vec<String>> {
    match tree {
        UseTree::Name(name) => Some(vec![name.ident.to_string()]),
        UseTree::Group(group) => {
            group.items.iter().map(exported).collect::<Option<Vec<_>>>().map(|names| names.concat())
        }
        _ => None,
    }
}

/// The text of documentation comments.
fn docs(attributes: &[Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes {
        if let Meta::NameValue(meta) = &attribute.meta
            && meta.path.is_ident("doc")
            && let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(line), .. }) = &meta.value
        {
            let line = line.value();
            text += line.strip_prefix(' ').unwrap_or(&line);
            text.push('\n');
        }
    }
    text
}

/// The blocks of Rust in a text.
fn examples(of: &str, text: &str) -> Vec<Example> {
    let mut examples = Vec::new();
    let mut block: Option<(String, String)> = None;
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), &mut block) {
            (Some(attributes), None) => block = Some((attributes.to_owned(), String::new())),
            (None, Some((_, code))) => code.extend([line, "\n"]),
            (Some(_), Some((attributes, code))) => {
                if attributes.split(',').all(|word| matches!(word, "" | "rust" | "no_run")) {
                    let name = format!("{of}_{}", examples.len() + 1);
                    let (attributes, code) = (std::mem::take(attributes), std::mem::take(code));
                    examples.push(Example { name, attributes, code });
                }
                block = None;
            }
            (None, None) => {}
        }
    }
    examples
}

/// The Rust files of a directory; none if it does not exist.
pub(super) fn sources(directory: &Path) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(directory) else { return Ok(Vec::new()) };
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exported_names_have_their_examples() {
        let file = syn::parse_file(
            "/// ```no_run\n/// f();\n/// ```\n/// ```text\n/// x\n/// ```\npub enum E { A { a: u8 }, B }\n\
             pub const C: u8 = 1;\npub const HIDDEN: u8 = 1;\nimpl E { pub fn f(&self) {} fn g() {} }",
        );
        let mut declared = Declared::default();
        let exported = ["E", "C"].map(str::to_owned);
        for item in &file.expect("Rust").items {
            declared.add(item, Some(&exported));
        }
        assert_eq!(declared.names, ["A", "a", "B", "E", "C", "f"]);
        assert_eq!(declared.constants, ["C"]);
        let example = Example {
            name: "E_1".to_owned(),
            attributes: "no_run".to_owned(),
            code: "f();\n".to_owned(),
        };
        assert_eq!(declared.examples, [example]);
    }
}
