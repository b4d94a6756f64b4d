//! The table in which every bench ends: what was measured, the figure, the aim, and whether it was met.
use tabled::builder::Builder;
use tabled::settings::Style;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Padding};

/// Rows of figures; some have an aim.
pub(crate) struct Table {
    name: &'static str,
    rows: Vec<[String; 4]>,
    missed: usize,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(name: &'static str) -> Table {
        Table { name, rows: Vec::new(), missed: 0 }
    }

    /// A figure that has no aim: what the others are compared with.
    pub(crate) fn row(&mut self, what: impl Into<String>, figure: impl Into<String>) {
        self.rows.push([what.into(), figure.into(), String::new(), String::new()]);
    }

    /// A figure with its aim.
    pub(crate) fn aimed(&mut self, what: impl Into<String>, figure: impl Into<String>, aim: &str, met: bool) {
        self.missed += usize::from(!met);
        let word = if met { "met" } else { "missed" };
        self.rows.push([what.into(), figure.into(), aim.to_owned(), word.to_owned()]);
    }

    /// Prints it.
    pub(crate) fn print(self) {
        let mut table = Builder::with_capacity(self.rows.len() + 1, 4);
        table.push_record([self.name, "measured", "aim", "verdict"]);
        self.rows.into_iter().for_each(|row| table.push_record(row));
        let mut table = table.build();
        table.with(Style::sharp()).with(Padding::new(1, 1, 0, 0));
        table.modify(Columns::one(1), Alignment::right());
        println!("\n{table}");
        match self.missed {
            0 => println!("every aim is met"),
            missed => println!("{missed} missed"),
        }
    }
}
