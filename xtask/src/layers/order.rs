//! The order of the layers, from top to bottom.

use super::graph::Graph;

/// Directories and files of `proc-connector/src`. A file belongs to the longest entry that its path
/// starts with, and imports from entries further down or from its own.
const LAYERS: [&str; 27] = [
    "main.rs",
    "cli/mod.rs",
    "cli/command_line.rs",
    "cli/commands/",
    "cli/pipeline/",
    "cli/options/",
    "cli/export/",
    "cli/output/",
    "cli/",
    "lib.rs",
    "process/",
    "capture/",
    "clock.rs",
    "live/diagnose.rs",
    "live/program.rs",
    "live/runtime/",
    "live/",
    "live/handshake.rs",
    "live/transport/",
    "live/host/",
    "unsupported.rs",
    "compat.rs",
    "owned.rs",
    "event.rs",
    "error.rs",
    "",
    "sys/",
];

/// The only files that may import each other: a builder opens a connector, which has a function
/// that returns a builder.
const PAIR: [&str; 2] =
    ["proc-connector/src/live/builder.rs", "proc-connector/src/live/connector.rs"];

pub(super) fn is_allowed(circle: &[String]) -> bool {
    circle == PAIR
}

/// The imports against the order.
pub(super) fn upward(graph: &Graph) -> Vec<(&str, &str)> {
    let goes_up = |&(from, to): &(&str, &str)| match (layer(from), layer(to)) {
        (Some(from), Some(to)) => to < from,
        _ => false,
    };
    graph.imports().filter(goes_up).collect()
}

/// The position of a file in the list; `None` for files of other crates.
fn layer(file: &str) -> Option<usize> {
    let file = file.strip_prefix("proc-connector/src/")?;
    let matches = LAYERS.iter().enumerate().filter(|(_, entry)| file.starts_with(**entry));
    matches.max_by_key(|(_, entry)| entry.len()).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::layer;

    #[test]
    fn the_longest_entry_decides() {
        let place = |file: &str| layer(&format!("proc-connector/src/{file}")).expect("a place");
        assert!(place("cli/commands/watch.rs") < place("cli/pipeline/flow.rs"));
        assert!(place("cli/output/json.rs") < place("cli/shown/json.rs"));
        assert!(place("process/table.rs") < place("capture/reader.rs"));
        assert!(place("live/diagnose.rs") < place("live/connector.rs"));
        assert!(place("live/connector.rs") < place("live/transport/socket.rs"));
        assert!(place("error.rs") < place("stream.rs"));
        assert!(place("stream.rs") < place("sys/poll.rs"));
        assert_eq!(layer("xtask/src/main.rs"), None);
    }
}
