//! The files of the workspace and the imports between them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;

use super::imports::Import;
use super::modules::Module;

/// The files, relative to the root of the workspace, with the files that each imports from.
#[derive(Debug, Default)]
pub(super) struct Graph {
    files: BTreeMap<String, BTreeSet<String>>,
}

/// The crates to read: the file of the root module, and the name that other crates use.
const CRATES: [(&str, &str); 5] = [
    ("proc-connector-sys/src/lib.rs", "proc_connector_sys"),
    ("proc-connector-core/src/lib.rs", "proc_connector_core"),
    ("proc-connector/src/lib.rs", "proc_connector"),
    ("proc-connector/src/main.rs", "the program"),
    ("xtask/src/main.rs", "xtask"),
];

impl Graph {
    /// Reads the crates of the workspace in `root`.
    pub(super) fn read(root: &Path) -> Result<Self> {
        Self::read_crates(root, &CRATES)
    }

    fn read_crates(root: &Path, crates: &[(&str, &str)]) -> Result<Self> {
        let crates = crates
            .iter()
            .map(|&(file, name)| Ok((name, Module::read_crate(&root.join(file))?)))
            .collect::<Result<BTreeMap<_, _>>>()?;
        let mut graph = Self::default();
        for name in crates.keys() {
            graph.add(root, &Crates { all: &crates, own: name }, &mut Vec::new());
        }
        Ok(graph)
    }

    /// Adds a module and its descendants.
    fn add(&mut self, root: &Path, crates: &Crates<'_>, place: &mut Vec<String>) {
        let Some(module) = crates.root().descendant(place) else { return };
        let name = |file: &Path| file.strip_prefix(root).unwrap_or(file).display().to_string();
        let own = name(&module.file);
        self.files.entry(own.clone()).or_default();
        for import in &module.imports {
            let Some((target, is_below)) = crates.resolve(place, import) else { continue };
            // A module that re-exports items of its children does not use them.
            if name(target) != own && !(import.is_reexport && is_below) {
                self.files.entry(own.clone()).or_default().insert(name(target));
            }
        }
        for child in module.children.keys() {
            place.push(child.clone());
            self.add(root, crates, place);
            place.pop();
        }
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Pairs of files; the first imports from the second.
    pub(super) fn imports(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().flat_map(|(from, to)| to.iter().map(|to| (from.as_str(), to.as_str())))
    }

    /// The largest groups of files that reach each other by imports.
    pub(super) fn circles(&self) -> Vec<Vec<String>> {
        let reach: BTreeMap<&str, BTreeSet<&str>> =
            self.files().map(|file| (file, self.reached_from(file))).collect();
        let mut circles = BTreeSet::new();
        for (file, reached) in &reach {
            if reached.contains(file) {
                let mutual = reached.iter().filter(|other| reach[**other].contains(file));
                circles.insert(mutual.map(|&other| other.to_owned()).collect::<Vec<_>>());
            }
        }
        circles.into_iter().collect()
    }

    /// The files reachable from a file by at least one import.
    fn reached_from(&self, file: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&str> = vec![file];
        while let Some(file) = open.pop() {
            for next in self.files.get(file).into_iter().flatten() {
                if reached.insert(next.as_str()) {
                    open.push(next);
                }
            }
        }
        reached
    }
}

/// The crates, and the one whose paths are resolved.
struct Crates<'a> {
    all: &'a BTreeMap<&'a str, Module>,
    own: &'a str,
}

impl<'a> Crates<'a> {
    fn root(&self) -> &'a Module {
        &self.all[self.own]
    }

    /// The file that defines the imported item, and whether it is below the module `place`; `None`
    /// for items of crates outside of this workspace.
    fn resolve(&self, place: &[String], import: &Import) -> Option<(&'a Path, bool)> {
        let (root, path) = self.absolute(place, &import.path)?;
        let (module, at) = locate(root, &path, 0)?;
        let is_below = std::ptr::eq(root, self.root()) && at.starts_with(place);
        Some((&module.file, is_below))
    }

    /// A path from the root of its crate.
    fn absolute(&self, place: &[String], path: &[String]) -> Option<(&'a Module, Vec<String>)> {
        if let Some(path) = from_root(self.root(), place, path) {
            return Some((self.root(), path));
        }
        let (first, rest) = path.split_first()?;
        self.all.get(first.as_str()).map(|root| (root, rest.to_vec()))
    }
}

/// Follows a path through modules and `use` declarations; returns the module that defines the item.
fn locate<'a>(
    root: &'a Module,
    path: &[String],
    depth: usize,
) -> Option<(&'a Module, Vec<String>)> {
    let mut module = root;
    for (index, name) in path.iter().enumerate() {
        if let Some(child) = module.children.get(name) {
            module = child;
            continue;
        }
        let passed_on = module.imports.iter().find(|import| import.name.as_ref() == Some(name));
        let place = &path[..index];
        let next = passed_on.and_then(|import| from_root(root, place, &import.path));
        return match next {
            // A re-export can lead to another re-export.
            Some(next) if depth < 8 => {
                locate(root, &[&next, &path[index + 1..]].concat(), depth + 1)
            }
            _ => Some((module, place.to_vec())),
        };
    }
    Some((module, path.to_vec()))
}

/// A path in the module `place`, from the root of the crate; `None` if it belongs to another crate,
/// or to a name defined elsewhere.
fn from_root(root: &Module, place: &[String], path: &[String]) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([place, rest].concat()),
        "super" => {
            let (_, above) = place.split_last()?;
            match rest.first().map(String::as_str) {
                Some("super") => from_root(root, above, rest),
                _ => Some([above, rest].concat()),
            }
        }
        name => {
            let module = root.descendant(place)?;
            module.children.contains_key(name).then(|| [place, path].concat())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::Graph;

    /// Reads a crate of these files.
    fn graph(files: &[(&str, &str)]) -> Graph {
        let root = env::temp_dir().join(format!("layers-{}-{}", process::id(), files.len()));
        for (name, text) in files {
            let file = root.join(name);
            fs::create_dir_all(file.parent().expect("a directory")).expect("it can be made");
            fs::write(file, text).expect("it can be written");
        }
        let graph = Graph::read_crates(&root, &[("lib.rs", "it")]);
        fs::remove_dir_all(&root).expect("it can be removed");
        graph.expect("it can be read")
    }

    #[test]
    fn an_import_leads_to_the_file_that_defines_the_item() {
        let graph = graph(&[
            ("lib.rs", "mod a; mod b; pub use a::c::Item;"),
            ("a/mod.rs", "pub(crate) mod c; pub(crate) use self::c::Item; fn own() {}"),
            ("a/c.rs", "pub struct Item; fn call() { super::own() }"),
            ("b.rs", "use crate::Item; use crate::a::Item as Same; use std::fs;"),
        ]);
        let expected = [("a/c.rs", "a/mod.rs"), ("b.rs", "a/c.rs")];
        assert_eq!(graph.imports().collect::<Vec<_>>(), expected);
        assert!(graph.circles().is_empty());
    }

    #[test]
    fn files_that_reach_each_other_are_a_circle() {
        let graph = graph(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::b::B; pub struct A;"),
            ("b.rs", "use super::c; pub struct B;"),
            ("c.rs", "fn f(a: crate::a::A) {}"),
            ("d.rs", "a file of no module"),
        ]);
        assert_eq!(graph.circles(), [["a.rs", "b.rs", "c.rs"]]);
    }
}
