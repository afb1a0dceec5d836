//! Rows in columns, as kubectl sets them.
//!
//! Owns: widths and gaps. Must not know: what the cells say.

/// Between two columns.
const GAP: usize = 3;
/// No column but the last is narrower, with its gap.
const WIDTH_MIN: usize = 6;

/// Widths that only grow: rows that come later stand below those that came before.
#[derive(Debug, Default)]
pub(super) struct Columns {
    widths: Vec<usize>,
}

impl Columns {
    /// The last cell of a row is not filled up.
    pub(super) fn set(&mut self, rows: &[Vec<String>]) -> String {
        for row in rows {
            for (column, cell) in row.iter().enumerate() {
                let width = (cell.chars().count() + GAP).max(WIDTH_MIN);
                match self.widths.get_mut(column) {
                    Some(known) => *known = width.max(*known),
                    None => self.widths.push(width),
                }
            }
        }
        rows.iter().map(|row| self.line(row)).collect()
    }

    fn line(&self, row: &[String]) -> String {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&self.widths).enumerate() {
            if column + 1 == row.len() {
                line.push_str(cell);
            } else {
                line.push_str(&format!("{cell:<width$}"));
            }
        }
        line + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_three_spaces_apart_and_do_not_shrink() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let mut columns = Columns::default();
        let rows = [row(["NAME", "A", "AGE"]), row(["batch", "", "5s"])];
        assert_eq!(columns.set(&rows), "NAME    A     AGE\nbatch         5s\n");
        assert_eq!(columns.set(&[row(["a", "b", "c"])]), "a       b     c\n");
    }
}
