//! The modules of a crate and their imports, without test code.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use syn::{Item, ItemMod};

use super::imports::{self, Import, is_for_tests};

/// A module and its children.
#[derive(Debug)]
pub(super) struct Module {
    /// The file that contains it.
    pub(super) file: PathBuf,
    pub(super) children: BTreeMap<String, Module>,
    pub(super) imports: Vec<Import>,
}

impl Module {
    /// Reads the crate whose root module is this file.
    pub(super) fn read_crate(file: &Path) -> Result<Self> {
        let directory = file.parent().unwrap_or(file);
        read(file, directory)
    }

    /// The module at a path from the root; `None` if it does not exist.
    pub(super) fn descendant(&self, path: &[String]) -> Option<&Self> {
        path.iter().try_fold(self, |module, name| module.children.get(name))
    }
}

/// Reads a file. The files of its children are in `directory`.
fn read(file: &Path, directory: &Path) -> Result<Module> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let parsed =
        syn::parse_file(&text).with_context(|| format!("cannot parse {}", file.display()))?;
    module(file, directory, &parsed.items)
}

fn module(file: &Path, directory: &Path, items: &[Item]) -> Result<Module> {
    let mut children = BTreeMap::new();
    for item in items {
        if let Item::Mod(declared) = item {
            if !is_for_tests(&declared.attrs) {
                let name = declared.ident.to_string();
                children.insert(name, child(file, directory, declared)?);
            }
        }
    }
    Ok(Module { file: file.to_owned(), children, imports: imports::of_items(items) })
}

fn child(file: &Path, directory: &Path, declared: &ItemMod) -> Result<Module> {
    let name = declared.ident.to_string();
    let below = directory.join(&name);
    if let Some((_, items)) = &declared.content {
        return module(file, &below, items);
    }
    let alone = directory.join(format!("{name}.rs"));
    let file = if alone.exists() { alone } else { below.join("mod.rs") };
    read(&file, &below)
}
