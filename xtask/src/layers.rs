//! `cargo xtask layers`: lists the imports between files, and checks their direction.

mod graph;
mod imports;
mod modules;
mod order;

use std::path::PathBuf;

use anyhow::{Result, bail};

use self::graph::Graph;
use crate::workspace;

/// Count the imports between source files, and check their direction
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Args {
    /// Print every import
    #[arg(long)]
    list: bool,
    /// Count in another checkout, without checking the order of layers there
    #[arg(long, value_name = "DIRECTORY")]
    of: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let root = args.of.as_deref().unwrap_or(workspace::root());
    let graph = Graph::read(root)?;
    if args.list {
        for (from, to) in graph.imports() {
            println!("{from} -> {to}");
        }
    }
    let circles = graph.circles();
    let upward = order::upward(&graph);
    println!("{} files, {} imports between them", graph.files().count(), graph.imports().count());
    println!("{} circles", circles.len());
    for circle in &circles {
        println!("  {} files: {}", circle.len(), circle.join(", "));
    }
    if args.of.is_some() {
        return Ok(());
    }
    println!("{} imports against the order of the layers", upward.len());
    for (from, to) in &upward {
        println!("  {from} -> {to}");
    }
    let forbidden = circles.iter().filter(|circle| !order::is_allowed(circle)).count();
    if forbidden > 0 || !upward.is_empty() {
        bail!(
            "imports have to go down the list in xtask/src/layers/order.rs: move what both files \
             need to a file below them"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Args, run};

    #[test]
    fn imports_of_this_workspace_go_down_only() {
        run(&Args::default()).expect("no circle and no import against the order");
    }
}
