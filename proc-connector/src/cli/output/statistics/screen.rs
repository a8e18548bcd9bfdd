//! A terminal on which each report replaces the previous one.

use std::io;

use anstream::ColorChoice;
use console::Term;

use super::block::{self, View};
use super::line::Line;
use super::report::Report;

pub(crate) struct Screen {
    term: Term,
    has_color: bool,
    view: View,
    /// The widths of the lines that were drawn last.
    drawn: Vec<usize>,
}

impl Screen {
    /// Draws on standard output.
    pub(crate) fn new(view: View) -> Self {
        let choice = anstream::AutoStream::choice(&io::stdout());
        let has_color = choice != ColorChoice::Never;
        Self { term: Term::buffered_stdout(), has_color, view, drawn: Vec::new() }
    }

    pub(crate) fn draw(&mut self, report: &Report) -> io::Result<()> {
        // The window may have changed its size.
        let (height, width) = self.term.size();
        let (height, width) = (usize::from(height).max(2), usize::from(width).max(2));
        // Writing to the last column or line may scroll the terminal.
        let lines = block::lines(report, self.view, width - 1, height - 1);
        self.term.move_cursor_up(rows(&self.drawn, width).min(height - 1))?;
        for line in &lines {
            self.term.clear_line()?;
            let text = if self.has_color { line.to_string() } else { line.text.clone() };
            self.term.write_line(&text)?;
        }
        self.term.clear_to_end_of_screen()?;
        self.drawn = lines.iter().map(Line::width).collect();
        self.term.flush()
    }
}

/// The number of rows that lines of these widths occupy on a terminal that may have become narrower.
fn rows(widths: &[usize], width: usize) -> usize {
    widths.iter().map(|drawn| drawn.div_ceil(width).max(1)).sum()
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn lines_are_found_again_on_a_terminal_that_became_narrower() {
        assert_eq!(rows(&[79, 0, 40], 80), 3);
        assert_eq!(rows(&[79, 0, 40], 40), 4);
        assert_eq!(rows(&[79, 0, 40], 20), 7);
    }
}
