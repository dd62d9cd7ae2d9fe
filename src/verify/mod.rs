//! "Done" is proven here: the frozen checks in a fresh container on the pristine tree plus the patch.

use std::sync::Arc;
use std::time::Duration;

use crate::id::CallToken;
use crate::sandbox::{Launcher, SandboxSpec, TarStream};
use crate::store::Store;
use crate::task::{Check, CheckResult};
use crate::tools::{ToolFailure, run_checks};

/// Tokens of verification commands; steps never reach them.
const VERIFY_TOKEN: CallToken = CallToken(u64::MAX);

/// Runs the checks in a container of their own, which is gone when this returns.
pub async fn verify(
    launcher: &dyn Launcher,
    store: &Arc<dyn Store>,
    spec: &SandboxSpec,
    tree: TarStream,
    checks: &[Check],
    timeout: Duration,
) -> Result<Vec<CheckResult>, ToolFailure> {
    let sandbox = launcher.start(spec, tree).await?;
    let results = run_checks(sandbox.as_ref(), store.as_ref(), checks, VERIFY_TOKEN, timeout).await;
    sandbox.stop().await?;
    results
}
