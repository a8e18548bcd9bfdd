//! Reads the tables of the migration guide as edits.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};

use super::edit::Edit;
use super::tokens::tokens;
use crate::workspace;

const PATH: &str = "proc-connector/docs/migration.md";

/// The headers of the tables with edits.
const REWRITES: [&str; 3] = ["before", "after", "why"];
const FIELDS: [&str; 3] = ["variants", "fields to remove", "where they are now"];
const FAILURES: [&str; 2] = ["test or example", "why it cannot pass"];

/// The contents of the guide.
#[derive(Debug, Default)]
pub(super) struct Guide {
    pub(super) edits: Vec<Edit>,
    /// Tests and examples of older versions that fail after the edits.
    pub(super) failures: BTreeSet<String>,
    /// Every word in the guide's code.
    names: BTreeSet<String>,
    text: String,
}

impl Guide {
    pub(super) fn read() -> Result<Self> {
        let path = workspace::root().join(PATH);
        let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
        let guide = Self::parse(&text)?;
        ensure!(!guide.edits.is_empty(), "{PATH} has no table of edits");
        Ok(guide)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut guide = Self { text: text.to_owned(), ..Self::default() };
        let mut header: Vec<&str> = Vec::new();
        for line in text.lines() {
            for code in code_spans(line) {
                guide.names.extend(tokens(code).iter().map(|token| token.text.to_owned()));
            }
            let Some(row) = line.strip_prefix('|').and_then(|row| row.strip_suffix('|')) else {
                header.clear();
                continue;
            };
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            if header.is_empty() {
                header = cells;
            } else if !cells.iter().all(|cell| cell.chars().all(|c| matches!(c, '-' | ':'))) {
                guide.row(&header, &cells).with_context(|| format!("cannot read `{line}`"))?;
            }
        }
        Ok(guide)
    }

    fn row(&mut self, header: &[&str], cells: &[&str]) -> Result<()> {
        let owned = |cell: &str| code_spans(cell).map(str::to_owned).collect::<Vec<_>>();
        if header == REWRITES {
            let after = code_spans(cells[1]).next().context("no code in the second column")?;
            for before in code_spans(cells[0]) {
                let after = after.replace("$name", before);
                self.edits.push(Edit::Rewrite { before: before.to_owned(), after });
            }
        } else if header == FIELDS {
            for variant in owned(cells[0]) {
                self.edits.push(Edit::DropFields { variant, fields: owned(cells[1]) });
            }
        } else if header == FAILURES {
            self.failures.extend(owned(cells[0]));
        }
        Ok(())
    }

    /// The names that the guide does not mention.
    pub(super) fn missing<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
        let names = names.into_iter().map(String::as_str);
        names.filter(|name| !self.names.contains(*name)).collect()
    }

    /// Whether the guide contains `sentence`, on one or several lines.
    pub(super) fn says(&self, sentence: &str) -> bool {
        self.text.split_whitespace().collect::<Vec<_>>().join(" ").contains(sentence)
    }

    /// Applies every edit to `source`.
    pub(super) fn edited(&self, source: &str) -> String {
        self.edits.iter().fold(source.to_owned(), |source, edit| edit.apply(&source))
    }
}

/// The texts between backquotes.
fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_edits() {
        let text = "\
| before | after | why |
| --- | --- | --- |
| `A`, `B` | `sys::$name` | `C` |

| variants | fields to remove | where they are now |
|---|:--|---|
| `Exec`, `Sid` | `cpu`, `seq` | gone |

| test or example | why it cannot pass |
|---|---|
| `a`, `b` | so |
";
        let guide = Guide::parse(text).expect("three tables");
        let rewrite =
            |name: &str| Edit::Rewrite { before: name.to_owned(), after: format!("sys::{name}") };
        let drop = |variant: &str| Edit::DropFields {
            variant: variant.to_owned(),
            fields: vec!["cpu".to_owned(), "seq".to_owned()],
        };
        assert_eq!(guide.edits, [rewrite("A"), rewrite("B"), drop("Exec"), drop("Sid")]);
        assert_eq!(guide.failures, ["a", "b"].map(str::to_owned).into());
        let names = ["A", "C", "D"].map(str::to_owned);
        assert_eq!(guide.missing(&names), ["D"]);
    }

    #[test]
    fn the_guide_can_be_read() {
        assert!(Guide::read().expect("a guide").edits.len() > 50);
    }
}
