//! What a table calls its detections and bots: for logs, off the hot path.

use super::Table;
use super::bots::Category;
use super::detections::Detection;

/// The names behind what verdicts of one generation hold as numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    detections: Vec<Detection>,
    bots: Vec<(String, Category)>,
}

impl Catalog {
    /// The names of a table.
    pub fn of(table: &Table) -> Catalog {
        let bots = table.bots().into_iter();
        Catalog {
            detections: table.detections(),
            bots: bots.map(|bot| (bot.name, bot.category)).collect(),
        }
    }

    /// The detections, ascending by id.
    pub fn detections(&self) -> &[Detection] {
        &self.detections
    }

    /// The detection with this number.
    pub fn detection(&self, id: u32) -> Option<&Detection> {
        self.detections.iter().find(|detection| detection.id == id)
    }

    /// Name and category of the bot at this position.
    pub fn bot(&self, position: u16) -> Option<(&str, Category)> {
        let (name, category) = self.bots.get(usize::from(position))?;
        Some((name, *category))
    }
}
