//! The files of a run as its snapshots name them, and what was installed beside them.

use super::RunState;
use crate::network::Install;
use crate::snapshot::SnapshotRef;

impl RunState {
    /// The files after so many steps; `None` where there is no such step, or it was made before there were snapshots.
    pub fn snapshot_at(&self, steps: u64) -> Option<&SnapshotRef> {
        let behind = self.snapshots.partition_point(|(at, _)| *at <= steps);
        (steps <= self.steps).then(|| self.snapshots[..behind].last().map(|(_, snapshot)| snapshot)).flatten()
    }

    /// The newest files.
    pub fn snapshot(&self) -> Option<&SnapshotRef> {
        self.snapshots.last().map(|(_, snapshot)| snapshot)
    }

    pub(super) fn note_snapshot(&mut self, snapshot: Option<&SnapshotRef>) {
        let Some(snapshot) = snapshot else { return };
        let is_same = |known: &SnapshotRef| known.root == snapshot.root && known.unstable == snapshot.unstable;
        if !self.snapshot().is_some_and(is_same) {
            self.snapshots.push((self.steps, snapshot.clone()));
        }
    }

    pub(super) fn take_install(&mut self, install: &Install) {
        self.image = Some(install.image.clone());
        self.image_digest = Some(install.image_digest.clone());
        self.container = Some(install.container.clone());
        self.installs.push((install.manager, install.packages.clone()));
    }

    /// ` with X 1.0 (pip) installed`, or nothing: what a verdict in a clean container depends on beside the tree.
    pub(super) fn added_packages(&self) -> String {
        const SHOWN_MAX: usize = 8;
        let all: Vec<String> = self
            .installs
            .iter()
            .flat_map(|(manager, packages)| {
                packages.iter().map(move |p| format!("{} {} ({manager})", p.name, p.version))
            })
            .collect();
        match all.len() {
            0 => String::new(),
            1..=SHOWN_MAX => format!(" with {} installed", all.join(", ")),
            count => format!(" with {} and {} more packages installed", all[..SHOWN_MAX].join(", "), count - SHOWN_MAX),
        }
    }
}
