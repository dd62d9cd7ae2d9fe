//! Two harnesses that must fail, each in its own way, against the same model over the same wire: one that cuts its
//! conversation at the top, and one that never cuts it. If they do not, the bench measures nothing.

use serde::Serialize;
use serde_json::{Value, json};

use super::chain::{Chain, Oracle};
use super::faults::Schedule;
use super::reader::tokens_of;
use super::server::{Rules, Simllm};
use super::simllm::{Mind, Persona, Why, WriterPersona};
use crate::bench::round;
use crate::error::{Error, Result};

/// What a step adds to a conversation, at least: how many steps it takes to fill a window twice.
const STEP_TOKENS: u64 = 120;
const ANSWER_TOKENS: u64 = 1_000;

#[derive(Debug, Clone, Serialize)]
pub struct Control {
    pub name: &'static str,
    pub steps: usize,
    pub thread_held: bool,
    pub first_divergent_step: Option<usize>,
    pub facts_lost: usize,
    pub rules_broken: usize,
    pub request_to_window_max: f64,
    /// It failed where it should, and only there.
    pub as_designed: bool,
}

pub(super) async fn truncating(seed: u64, window_tokens: u64) -> Result<Control> {
    let control = run("truncating", seed, window_tokens, Some(window_tokens - ANSWER_TOKENS)).await?;
    let as_designed = control.facts_lost > 0 && !control.thread_held && control.request_to_window_max <= 1.0;
    Ok(Control { as_designed, ..control })
}

pub(super) async fn unlimited(seed: u64, window_tokens: u64) -> Result<Control> {
    let control = run("unlimited", seed, window_tokens, None).await?;
    let as_designed = control.facts_lost == 0 && control.thread_held && control.request_to_window_max > 1.0;
    Ok(Control { as_designed, ..control })
}

async fn run(name: &'static str, seed: u64, window_tokens: u64, keep_tokens: Option<u64>) -> Result<Control> {
    let steps = (2 * window_tokens / STEP_TOKENS) as usize;
    let chain = Chain::new(seed, steps);
    let writer = WriterPersona::Drops { share: 0.0 };
    let mind = Mind { seed, persona: Persona::Perfect, writer, submits_early: false, steps };
    let rules = Rules { mind, window_tokens, refuses: false, schedule: Schedule::None, canary: String::new() };
    let failed = |what: &str, cause: String| Error::internal(what.to_owned()).because(cause);
    let server = Simllm::start(rules).await.map_err(|error| failed("no simulated model", error.to_string()))?;
    // Whoever comes first installs it; a second attempt is refused and harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build();
    let client = client.map_err(|error| failed("no HTTP client", error.to_string()))?;
    let mut oracle = Oracle::new(&chain);
    let mut messages = vec![json!({"role": "user", "content": chain.task()})];
    let tools = json!([{"type": "function", "function": {"name": "bash", "parameters": {"type": "object"}}},
        {"type": "function", "function": {"name": "submit", "parameters": {"type": "object"}}}]);
    // Three tries a step, and something to look at now and then.
    for _ in 0..4 * steps + 10 {
        if let Some(keep) = keep_tokens {
            cut(&mut messages, keep);
        }
        let body = json!({"model": "simllm", "messages": messages, "tools": tools, "max_tokens": ANSWER_TOKENS});
        let sent = client.post(format!("{}/chat/completions", server.base_url())).body(body.to_string()).send().await;
        let answer = sent.map_err(|error| failed("the simulated model does not answer", error.to_string()))?;
        let answer = answer.bytes().await.map_err(|error| failed("its answer broke off", error.to_string()))?;
        let answer: Value =
            serde_json::from_slice(&answer).map_err(|error| failed("its answer is no JSON", error.to_string()))?;
        let message = answer["choices"][0]["message"].clone();
        let call = message["tool_calls"][0].clone();
        if call["function"]["name"] != "bash" {
            break;
        }
        let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
        let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
        let told = oracle.call(arguments["command"].as_str().unwrap_or_default());
        messages.push(message);
        messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": told}));
    }
    let log = server.log();
    let most = log.iter().map(|exchange| exchange.prompt_tokens + exchange.output_tokens_max).max().unwrap_or(0);
    let guesses: std::collections::BTreeSet<usize> = log
        .iter()
        .filter_map(|exchange| match exchange.why {
            Why::Guess { step } => Some(step),
            Why::Look | Why::Recall | Why::Step { .. } | Why::Submit { .. } | Why::Sabotage(_) | Why::Notes => None,
        })
        .collect();
    Ok(Control {
        name,
        steps,
        thread_held: oracle.is_right(),
        first_divergent_step: oracle.first_divergent,
        facts_lost: guesses.len(),
        rules_broken: oracle.broken_rules,
        request_to_window_max: round(most as f64 / window_tokens as f64, 3),
        as_designed: false,
    })
}

/// The oldest turns after the first message go.
fn cut(messages: &mut Vec<Value>, keep: u64) {
    let size = |message: &Value| tokens_of(&message.to_string());
    let mut total: u64 = messages.iter().map(size).sum();
    while total > keep && messages.len() > 3 {
        let pair: u64 = messages[1..3].iter().map(size).sum();
        messages.drain(1..3);
        total -= pair;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_controls_fail_as_designed() {
        let cut = truncating(1, 8_192).await.expect("it runs");
        assert!(cut.as_designed, "{cut:?}");
        let uncut = unlimited(1, 8_192).await.expect("it runs");
        assert!(uncut.as_designed, "{uncut:?}");
    }
}
