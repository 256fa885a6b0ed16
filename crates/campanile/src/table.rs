//! Pure. Rows of cells to lines of text in columns, and text from elsewhere made harmless. Prints nothing, knows no colours.

/// A heading and rows, each column as wide as its widest cell. Cells are made `plain`; a row may be shorter than the heading.
pub fn lay_out(heading: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let heading = heading.iter().map(|cell| (*cell).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(heading)
        .chain(rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect()))
        .collect();
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        for (i, cell) in row.iter().enumerate() {
            let width = cell.chars().count();
            match widths.get_mut(i) {
                Some(widest) => *widest = width.max(*widest),
                None => widths.push(width),
            }
        }
    }
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// One line without control characters: what users, far ends and files hold must not steer a terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if steers(c) { ' ' } else { c }).collect()
}

/// As `plain`, with its lines and tabs.
pub fn plain_lines(text: &str) -> String {
    text.chars().map(|c| if steers(c) && !matches!(c, '\n' | '\t') { ' ' } else { c }).collect()
}

fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["mary".to_owned(), "1".to_owned()], vec!["zoë é".to_owned(), String::new()]];
        assert_eq!(lay_out(&["USER", "N"], &rows), ["USER   N", "mary   1", "zoë é"]);
        assert_eq!(lay_out(&["A", "B"], &[vec!["x".to_owned()]]), ["A  B", "x"]);
    }

    #[test]
    fn what_a_far_end_answered_cannot_steer_a_terminal() {
        let rows = [vec!["a\u{1b}[2Jb\nc\u{202e}d".to_owned()]];
        assert_eq!(lay_out(&["X"], &rows), ["X", "a [2Jb c d"]);
        assert_eq!(plain_lines("a\n\tb\u{1b}[1m"), "a\n\tb [1m");
    }
}
