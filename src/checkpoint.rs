//! A checkpoint: the document from which a fresh window is rebuilt. Eleven sections; the runner writes what it knows,
//! a writer model adds intent, decisions, lessons and notes, and nobody else writes. A version never changes once it
//! is in the journal.

use serde::{Deserialize, Serialize};

pub const CHECKPOINT_SCHEMA: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SectionName {
    Intent,
    NextAction,
    Rules,
    TaskTree,
    CurrentWork,
    FilesAndCode,
    DiscoveredFacts,
    ErrorsAndFixes,
    LiveResources,
    Decisions,
    OpenNotes,
}

impl SectionName {
    pub const ALL: [SectionName; 11] = [
        SectionName::Intent,
        SectionName::NextAction,
        SectionName::Rules,
        SectionName::TaskTree,
        SectionName::CurrentWork,
        SectionName::FilesAndCode,
        SectionName::DiscoveredFacts,
        SectionName::ErrorsAndFixes,
        SectionName::LiveResources,
        SectionName::Decisions,
        SectionName::OpenNotes,
    ];

    pub fn title(self) -> &'static str {
        match self {
            SectionName::Intent => "Intent",
            SectionName::NextAction => "Next action",
            SectionName::Rules => "Rules",
            SectionName::TaskTree => "Task tree",
            SectionName::CurrentWork => "Current work",
            SectionName::FilesAndCode => "Files and code",
            SectionName::DiscoveredFacts => "Discovered facts",
            SectionName::ErrorsAndFixes => "Errors and fixes",
            SectionName::LiveResources => "Live resources",
            SectionName::Decisions => "Decisions",
            SectionName::OpenNotes => "Open notes",
        }
    }

    /// How many tokens of a rebuilt window the section may take, out of 1,000.
    pub fn share_per_mille(self) -> u64 {
        match self {
            SectionName::Intent | SectionName::Rules => 160,
            SectionName::FilesAndCode | SectionName::ErrorsAndFixes => 140,
            SectionName::DiscoveredFacts => 110,
            SectionName::CurrentWork | SectionName::TaskTree => 70,
            SectionName::Decisions | SectionName::OpenNotes => 50,
            SectionName::NextAction | SectionName::LiveResources => 25,
        }
    }
}

/// One version of the document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub schema: u32,
    /// Counts from 1.
    pub version: u32,
    /// The last turn it covers.
    pub turn: u64,
    /// Committed steps at that moment.
    pub step: u64,
    /// What the runner knows, section by section; empty ones are left out.
    pub sections: Vec<Section>,
    pub notes: Notes,
    pub writer: WriterOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    pub name: SectionName,
    pub text: String,
}

/// What only the writer writes. Data wherever it is shown, never instructions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notes {
    /// The user's aim in other words; beside the words themselves.
    #[serde(default)]
    pub intent: String,
    #[serde(default)]
    pub items: Vec<Note>,
    /// Notes ever written: the next one's number.
    #[serde(default)]
    pub written: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Unique within a run: `d3` is the third note and a decision.
    pub id: String,
    pub kind: NoteKind,
    pub text: String,
    /// The checkpoint it came with.
    pub version: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    Decision,
    Lesson,
    Open,
}

impl NoteKind {
    pub fn letter(self) -> char {
        match self {
            NoteKind::Decision => 'd',
            NoteKind::Lesson => 'l',
            NoteKind::Open => 'n',
        }
    }

    pub fn section(self) -> SectionName {
        match self {
            NoteKind::Decision => SectionName::Decisions,
            NoteKind::Lesson => SectionName::ErrorsAndFixes,
            NoteKind::Open => SectionName::OpenNotes,
        }
    }
}

/// How the writer fared. In each case the notes of the version before and the runner's facts stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WriterOutcome {
    /// There is no writer, or it has not answered yet.
    Absent,
    /// `dropped` lines said something that stands nowhere in what the writer was shown.
    Wrote {
        added: u32,
        superseded: u32,
        dropped: u32,
    },
    Failed {
        detail: String,
    },
}
