//! The timeline as one page for a browser, with search and sortable tables.
//!
//! The page contains everything it needs, and its content security policy forbids all requests. The
//! processes are data in a script element of type `application/json`; its scripts insert them as text.

mod data;

use std::io::{self, Write};

use super::forest::Forest;

/// The page, with a marker for each part.
const PAGE: &str = include_str!("page.html");

/// The parts, without the data.
const PARTS: [(&str, &str); 8] = [
    ("STYLE", include_str!("style.css")),
    ("DATA.JS", include_str!("data.js")),
    ("PROGRAMS.JS", include_str!("programs.js")),
    ("TIMELINE.JS", include_str!("timeline.js")),
    ("STRIP.JS", include_str!("strip.js")),
    ("CONTROLS.JS", include_str!("controls.js")),
    ("TABLE.JS", include_str!("table.js")),
    ("PAGE.JS", include_str!("page.js")),
];

/// The marker for the data.
const DATA: &str = "DATA.JSON";

/// Writes the page.
pub(crate) fn write(forest: &Forest, title: &str, output: &mut impl Write) -> io::Result<()> {
    let mut rest = PAGE;
    // A marker is `@{NAME}` in the page.
    while let Some((before, (name, after))) =
        rest.split_once("@{").and_then(|(before, part)| Some((before, part.split_once('}')?)))
    {
        output.write_all(before.as_bytes())?;
        rest = after;
        if name == DATA {
            data::write(forest, title, output)?;
        } else if let Some((_, part)) = PARTS.iter().find(|(marker, _)| *marker == name) {
            output.write_all(part.as_bytes())?;
        }
    }
    output.write_all(rest.as_bytes())
}

#[cfg(test)]
mod tests;
