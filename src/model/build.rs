//! Writes a table: lanes from splits, leaves in fixed point, everything in execution layout.

use super::arrange::{arranged, by_form};
use super::check::{check_ensemble, check_steps};
use super::ensemble::Ensemble;
use super::error::BuildError;
use super::fixed_point::FixedPoint;
use super::lanes::Lanes;
use super::options::{BuildOptions, check_options};
use super::sections::SectionWriter;
use super::{bots, detections, shapes};
use crate::schema::check_features;
use crate::table::format::Section;

/// A table, as bytes, and what became of the ensemble.
#[derive(Debug, Clone, PartialEq)]
pub struct Built {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// The largest possible distance between a margin of the table and the exact sum of the
    /// ensemble's leaves, in the ensemble's units.
    pub margin_error_max: f64,
}

/// Writes the table of an ensemble.
///
/// # Errors
/// Where the ensemble is malformed, holds a number that is not finite, or is over a capacity.
pub fn build(ensemble: &Ensemble, options: &BuildOptions) -> Result<Built, BuildError> {
    check_features(&ensemble.features).map_err(BuildError::Features)?;
    check_ensemble(ensemble)?;
    check_options(ensemble, options)?;
    let lanes = Lanes::of(ensemble)?;
    let written = shapes::in_writable_form(ensemble, &lanes)?;
    let fixed = FixedPoint::of(ensemble)?;

    let mut sections = SectionWriter::new(ensemble, options, &lanes, &fixed);
    let (oblivious, any) = by_form(&written);
    check_steps(&oblivious, &any)?;
    let arranged = arranged(&oblivious, &lanes)?;
    sections.add_oblivious(&arranged, &fixed)?;
    sections.add_any(&any, &lanes, &fixed)?;
    sections.add_golden(ensemble, options, &fixed);
    sections.add_all(
        detections::records(&options.detections, &ensemble.features)?,
        [Section::Detections, Section::Conditions],
    );
    sections.add_all(
        bots::records(&options.bots)?,
        [Section::Bots, Section::BotRanges],
    );
    sections.header.oblivious_trees = oblivious.len() as u32;
    let bytes = sections.lay_out(&options.provenance)?;
    Ok(Built {
        bytes,
        margin_error_max: fixed.error_max(ensemble),
    })
}
