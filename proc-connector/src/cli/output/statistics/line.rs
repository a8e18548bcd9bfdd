//! A line of a report.

use std::fmt;

use anstyle::Style;
use console::{measure_text_width, truncate_str};

use crate::cli::shown::{Styles, screened};

/// Spaces between columns and between lists.
pub(super) const GAP: usize = 2;

/// A line and its style.
#[derive(Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) text: String,
    style: Style,
}

impl Line {
    pub(super) fn new(text: impl Into<String>, style: Style, width: usize) -> Self {
        let text = screened(text.into().trim_end(), Styles::Escaped);
        Self { text: truncate_str(&text, width, "…").into_owned(), style }
    }

    pub(crate) fn width(&self) -> usize {
        measure_text_width(&self.text)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, style } = self;
        write!(f, "{style}{text}{style:#}")
    }
}
