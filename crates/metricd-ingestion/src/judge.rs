//! The judgement: what of the files may be stored, and what is to be said of the rest.

mod contracts;
mod csv_faults;
mod dashboards;
mod definitions;
mod edits;
mod judgements;
mod merge;
mod queries;
mod records;
mod references;
mod suggestions;

pub(crate) use definitions::{DraftDashboard, judge_definitions};
pub(crate) use judgements::Judgements;
pub(crate) use merge::{Located, merge};
pub(crate) use queries::judge_queries;
pub(crate) use records::{Commas, JudgedRow, RecordJudge, has_ambiguous_commas};
pub(crate) use references::{Brought, References};
