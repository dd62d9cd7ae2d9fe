//! Bugs on purpose: what the suite must catch, or it is not to be trusted. `GREENROOM_PLANT=NAME` makes the program wrong in
//! exactly one way; `make planted` runs, for each, the test that says so, and a control without the bug.
//!
//! A bug that was reached is noted in the file that `GREENROOM_PLANT_LOG` names, so that none counts as caught because
//! something else failed. Builds without debug assertions, and so every release, hold none of this: [`has`] is `false`
//! there before anything is compiled.

/// Each a way in which a program like this one has been wrong, or is easily wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Planted {
    /// A record counts as committed before it is on the disk.
    SkipJournalSync,
    /// What a record names may be lost where the record is not.
    SkipBlobSync,
    /// After a failed sync the same file is written to again.
    RetryFailedSync,
    /// A record is believed without its hash.
    SkipRecordHash,
    /// A record is believed that does not follow the one before.
    SkipChain,
    /// Half a record stays in the middle of the journal.
    KeepTornTail,
    /// A bad record is passed over.
    SkipBadRecord,
    /// Two processes write to one run.
    SkipLock,
    /// A later owner is not told from an earlier one.
    KeepEpoch,
    /// An owner that was overtaken goes on writing.
    SkipLengthCheck,
    /// A pack's bytes are believed without their hash.
    TrustPack,
    /// A blob that was torn off counts as there.
    KeepTornBlob,
    /// Content is believed to be what its name says.
    TrustBlobName,
    /// Equal content is stored again and again.
    DropDedupe,
    /// The tool runs, then its intent is recorded.
    ActBeforeCommit,
    /// The provider is asked, then the request is charged.
    AskBeforeCharge,
    /// An edit that may have happened is made once more on the same files.
    RepeatEditInPlace,
    /// An install that nobody saw end is made again.
    RepeatUnknownInstall,
    /// A call that was under way runs as a new one.
    NewTokenForOldCall,
    /// A committed answer is asked for again.
    AskAgainWhatIsCommitted,
    /// A later runner may spend everything once more.
    ResetBudgetOnResume,
    /// A request without an answer costs nothing.
    ForgiveUnanswered,
    /// What a helper spent is nobody's.
    ForgiveHelper,
    /// A rewind gives spent budget back.
    RefundOnRewind,
    /// Half an answer is carried out.
    ExecuteCutAnswer,
    /// Exit status 0 is believed whatever the output says.
    TrustExitCode,
    /// Links in a repository are followed on the host.
    FollowLinks,
    /// A file that somebody changed meanwhile is overwritten.
    OverwriteMovedFile,
    /// A restored sandbox is used without a second look.
    SkipSettle,
    /// The audit looks at records only.
    AuditSkipsBlobs,
    /// A journal that was rewritten whole passes.
    AuditIgnoresHead,
    /// Waste is told by the newest journal alone.
    CollectForgetsRuns,
    /// Grammars read hostile source for as long as they like.
    UnlimitedComplexityTime,
    /// They may take all memory there is.
    UnlimitedComplexityMemory,
    /// They run with the operator's variables in reach.
    KeepComplexityEnvironment,
}

impl Planted {
    pub const ALL: [Planted; 35] = [
        Planted::SkipJournalSync,
        Planted::SkipBlobSync,
        Planted::RetryFailedSync,
        Planted::SkipRecordHash,
        Planted::SkipChain,
        Planted::KeepTornTail,
        Planted::SkipBadRecord,
        Planted::SkipLock,
        Planted::KeepEpoch,
        Planted::SkipLengthCheck,
        Planted::TrustPack,
        Planted::KeepTornBlob,
        Planted::TrustBlobName,
        Planted::DropDedupe,
        Planted::ActBeforeCommit,
        Planted::AskBeforeCharge,
        Planted::RepeatEditInPlace,
        Planted::RepeatUnknownInstall,
        Planted::NewTokenForOldCall,
        Planted::AskAgainWhatIsCommitted,
        Planted::ResetBudgetOnResume,
        Planted::ForgiveUnanswered,
        Planted::ForgiveHelper,
        Planted::RefundOnRewind,
        Planted::ExecuteCutAnswer,
        Planted::TrustExitCode,
        Planted::FollowLinks,
        Planted::OverwriteMovedFile,
        Planted::SkipSettle,
        Planted::AuditSkipsBlobs,
        Planted::AuditIgnoresHead,
        Planted::CollectForgetsRuns,
        Planted::UnlimitedComplexityTime,
        Planted::UnlimitedComplexityMemory,
        Planted::KeepComplexityEnvironment,
    ];

    /// As it is asked for: `skip_journal_sync`.
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }
}

/// Whether the program is to be wrong like this.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub const fn has(_: Planted) -> bool {
    false
}

#[cfg(debug_assertions)]
pub fn has(bug: Planted) -> bool {
    armed::has(bug)
}

#[cfg(debug_assertions)]
mod armed {
    use std::io::Write;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::Planted;

    static BUG: LazyLock<Option<Planted>> = LazyLock::new(|| {
        let name = std::env::var("GREENROOM_PLANT").ok()?;
        let bug = Planted::ALL.into_iter().find(|bug| bug.name() == name);
        Some(bug.unwrap_or_else(|| panic!("GREENROOM_PLANT=`{name}` names no planted bug")))
    });
    static IS_NOTED: AtomicBool = AtomicBool::new(false);

    pub(super) fn has(bug: Planted) -> bool {
        let is_planted = *BUG == Some(bug);
        if is_planted && !IS_NOTED.swap(true, Ordering::Relaxed) {
            note(bug);
        }
        is_planted
    }

    fn note(bug: Planted) {
        let Some(path) = std::env::var_os("GREENROOM_PLANT_LOG") else { return };
        let log = std::fs::File::options().create(true).append(true).open(path);
        log.and_then(|mut log| writeln!(log, "{}", bug.name())).expect("the log of planted bugs can be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<String> = Planted::ALL.into_iter().map(Planted::name).collect();
        assert_eq!(names.len(), Planted::ALL.len());
        assert_eq!(Planted::SkipJournalSync.name(), "skip_journal_sync");
    }
}
