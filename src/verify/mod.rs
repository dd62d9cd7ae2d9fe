//! "Done" is proven here: the frozen checks in a fresh container on the pristine tree plus the patch.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::id::CallToken;
use crate::sandbox::{Launcher, SandboxSpec, TarStream};
use crate::store::Store;
use crate::task::{Check, CheckResult};
use crate::tools::{ToolFailure, run_checks};

/// Tokens of verification commands; steps never reach them.
const VERIFY_TOKEN: CallToken = CallToken(u64::MAX);

/// Runs the checks in a container of their own, which is gone when this returns. `None` where `stop` broke them off.
pub async fn verify(
    launcher: &dyn Launcher,
    store: &Arc<dyn Store>,
    spec: &SandboxSpec,
    tree: TarStream,
    checks: &[Check],
    timeout: Duration,
    stop: &CancellationToken,
) -> Result<Option<Vec<CheckResult>>, ToolFailure> {
    let sandbox = launcher.start(spec, tree).await?;
    let results = tokio::select! {
        biased;
        () = stop.cancelled() => Ok(None),
        results = run_checks(sandbox.as_ref(), store.as_ref(), checks, VERIFY_TOKEN, timeout) => results.map(Some),
    };
    sandbox.stop().await?;
    results
}
