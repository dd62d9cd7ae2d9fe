//! The provider fault matrix: every fault at every moment at which it can strike, over real HTTP, against the simulated
//! model of `bench endurance`. Each fault proves that it struck; what the client made of it is the verdict.

#![allow(clippy::unwrap_used)]

#[path = "support/litellm.rs"]
mod litellm;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use greenroom::bench::endurance::faults::{Fault, Phase, Schedule};
use greenroom::bench::endurance::server::{Rules, Simllm};
use greenroom::bench::endurance::simllm::{Mind, Persona, WriterPersona};
use greenroom::message::{Message, ModelRequest, ModelResponse, StopReason, ToolSpec};
use greenroom::model::http::HttpOptions;
use greenroom::model::resolve::{ModelOptions, resolve};
use greenroom::model::{Model, ModelError};
use litellm::LiteLlm;
use serde_json::json;

const KEY: &str = "sk-canary-0123456789";
/// Waits that the server may ask for, at most.
const RETRY_AFTER_MAX: Duration = Duration::from_millis(1_200);

/// Every fault of FAULTS 40 to 58 that a server can make, apart from its moment.
const FAULTS: [Fault; 27] = [
    Fault::Cut,
    Fault::Stall,
    Fault::Drip,
    Fault::ErrorEvent,
    Fault::Garbage,
    Fault::RateLimited { retry_after_ms: 150 },
    Fault::RetryAfterSeconds { seconds: 1 },
    Fault::RetryAfterSeconds { seconds: 4_000_000_000 },
    Fault::QuotaGone,
    Fault::Status { status: 500 },
    Fault::Status { status: 502 },
    Fault::Status { status: 503 },
    Fault::Status { status: 529 },
    Fault::Status { status: 401 },
    Fault::Status { status: 403 },
    Fault::ErrorIn200,
    Fault::Html { status: 200 },
    Fault::Html { status: 502 },
    Fault::NoDone,
    Fault::SplitBytes,
    Fault::NoToolIds,
    Fault::SameToolIds,
    Fault::ArgumentsAsObject,
    Fault::Length,
    Fault::Overflow,
    Fault::Redirect,
    Fault::Status { status: 408 },
];

/// What a client must make of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The answer of the same request, complete.
    Used,
    /// The answer of the next request.
    AskedAgain,
    Authentication,
    Quota,
    Overflow,
    Rejected,
    /// No answer within the time for one request with all its retries.
    Unavailable,
    /// An answer without anything to carry out.
    NothingToDo,
}

fn expected(fault: Fault, phase: Phase) -> Verdict {
    match fault {
        Fault::QuotaGone => Verdict::Quota,
        Fault::Status { status: 401 | 403 } => Verdict::Authentication,
        Fault::Overflow => Verdict::Overflow,
        Fault::Redirect => Verdict::Rejected,
        Fault::Length => Verdict::NothingToDo,
        _ if fault.is_harmless(phase) => Verdict::Used,
        // Something always comes, so that only the deadline of the whole can end it.
        Fault::Drip => Verdict::Unavailable,
        _ => Verdict::AskedAgain,
    }
}

/// Short waits, so that no test has to be patient; long enough for a good answer on a busy machine.
fn options() -> ModelOptions {
    let mut http = HttpOptions::default();
    http.deadlines.headers = Duration::from_secs(1);
    http.deadlines.idle = Duration::from_secs(1);
    http.deadlines.tail = Duration::from_millis(200);
    http.deadlines.total = Duration::from_secs(5);
    http.retry.delay_base = Duration::from_millis(2);
    http.retry.retry_after_max = RETRY_AFTER_MAX;
    ModelOptions { http, ..ModelOptions::default() }
}

fn rules(schedule: Schedule) -> Rules {
    let writer = WriterPersona::Drops { share: 0.0 };
    let mind = Mind { seed: 1, persona: Persona::Perfect, writer, submits_early: false, steps: 100 };
    Rules { mind, window_tokens: 100_000, refuses: true, schedule, canary: KEY.into() }
}

fn model_at(base_url: &str, key: &str) -> Box<dyn Model> {
    let (base_url, key) = (base_url.to_owned(), key.to_owned());
    let env = move |name: &str| match name {
        "OPENAI_BASE_URL" => Some(base_url.clone()),
        "OPENAI_API_KEY" => Some(key.clone()),
        _ => None,
    };
    resolve(Some("openai/scripted"), &env, &options(), || panic!("nobody asked for autofix")).unwrap()
}

/// A step of the chain: the model has all it needs, and answers with text and one call.
fn request() -> ModelRequest {
    let tool = |name| ToolSpec { name, description: "x", input_schema: json!({"type": "object"}) };
    let told = "RULE 1: every call ends with --careful\nstep 0: TAG is now größer-0\nstep 6: V00006 is ab\n\
                step 3: F00003r1 is cd\nnext: step 7 takes H(V00006, F00003r1)";
    ModelRequest {
        system: "be brief".into(),
        messages: vec![Message::user(told)],
        tools: vec![tool("bash"), tool("submit")],
        output_tokens_max: 1000,
        ..ModelRequest::default()
    }
}

fn command(answer: &ModelResponse) -> Vec<String> {
    answer.tool_uses().map(|call| call.input["command"].as_str().unwrap_or("no command").to_owned()).collect()
}

fn verdict(answer: Result<ModelResponse, ModelError>, clean: &ModelResponse, requests: usize) -> Verdict {
    match answer {
        Ok(answer) if answer.stop_reason == StopReason::MaxTokens => {
            assert_eq!(answer.tool_uses().count(), 0, "cut off, and yet to be carried out");
            Verdict::NothingToDo
        }
        Ok(answer) => {
            assert_eq!((answer.text(), command(&answer)), (clean.text(), command(clean)), "not the whole answer");
            if requests == 1 { Verdict::Used } else { Verdict::AskedAgain }
        }
        Err(ModelError::Authentication { .. }) => Verdict::Authentication,
        Err(ModelError::Quota { .. }) => Verdict::Quota,
        Err(ModelError::ContextOverflow { .. }) => Verdict::Overflow,
        Err(ModelError::BadRequest { .. }) => Verdict::Rejected,
        Err(ModelError::Unavailable { .. }) => Verdict::Unavailable,
        Err(error @ ModelError::Invalid { .. }) => panic!("{error}"),
    }
}

async fn clean_answer() -> ModelResponse {
    let server = Simllm::start(rules(Schedule::None)).await.unwrap();
    let clean = model_at(&server.base_url(), KEY).respond(&request()).await.unwrap();
    assert_eq!((clean.tool_uses().count(), server.log().len()), (1, 1));
    assert!(command(&clean)[0].contains("größer-0 --careful"), "{clean:?}");
    clean
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_at_every_moment_costs_at_most_one_request_more() {
    let clean = clean_answer().await;
    let (mut cells, mut asked_again, mut requests_for_those) = (0, 0, 0);
    for fault in FAULTS {
        for &phase in fault.phases() {
            let what = format!("{fault:?} {phase:?}");
            let server = Simllm::start(rules(Schedule::Script(vec![Some((fault, phase))]))).await.unwrap();
            let answer = model_at(&server.base_url(), KEY).respond(&request()).await;
            let log = server.log();
            // Vacuity: a fault that did not strike proves nothing.
            assert_eq!(log[0].fault, Some((fault, phase)), "{what} did not strike");
            assert!(log[1..].iter().all(|exchange| exchange.fault.is_none()), "{what}");
            assert!(!log.iter().any(|exchange| exchange.canary), "{what}: the key stood in a body");
            assert_eq!(verdict(answer, &clean, log.len()), expected(fault, phase), "{what}: {} requests", log.len());
            assert!(log.len() <= 2, "{what}: {} requests", log.len());
            if let (Some(wait), [first, second]) = (fault.retry_after_ms(), &log[..]) {
                let waited = second.began.duration_since(first.ended);
                let asked = Duration::from_millis(wait).min(RETRY_AFTER_MAX);
                assert!(waited >= asked, "{what}: waited {waited:?}");
                assert!(waited < RETRY_AFTER_MAX + Duration::from_secs(5), "{what}: {waited:?} is not clipped");
            }
            cells += 1;
            if expected(fault, phase) == Verdict::AskedAgain {
                asked_again += 1;
                requests_for_those += log.len() - 1;
            }
        }
    }
    assert!(cells >= 40, "{cells}");
    assert!(requests_for_those as f64 <= 1.2 * asked_again as f64, "{requests_for_those} for {asked_again} faults");
}

/// The control: the matrix can tell a client that takes what it gets from one that does not.
#[tokio::test]
async fn a_half_answer_would_be_noticed() {
    let clean = clean_answer().await;
    let mut half = clean.clone();
    half.content.truncate(1);
    let verdict = std::panic::catch_unwind(|| verdict(Ok(half), &clean, 1));
    assert!(verdict.is_err());
}

#[tokio::test]
async fn a_provider_that_stays_broken_is_given_up_within_its_budget_of_tries() {
    let fault = Some((Fault::Status { status: 503 }, Phase::BeforeHeaders));
    let server = Simllm::start(rules(Schedule::Script(vec![fault; 50]))).await.unwrap();
    let error = model_at(&server.base_url(), KEY).respond(&request()).await.unwrap_err();
    assert!(matches!(error, ModelError::Unavailable { .. }), "{error}");
    assert_eq!(server.log().len(), options().http.retry.attempts_max as usize);
}

#[tokio::test]
async fn nobody_there_and_no_certificate_are_unavailable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let server = Simllm::start(rules(Schedule::None)).await.unwrap();
    let plain = server.base_url().replace("http://", "https://");
    for url in [format!("http://{address}/v1"), "http://no-such-host.invalid/v1".into(), plain] {
        let error = model_at(&url, KEY).respond(&request()).await.unwrap_err();
        assert!(matches!(error, ModelError::Unavailable { .. }), "{url}: {error}");
    }
}

/// What a proxy in between makes of the faults is its own affair; that an answer is whole or none, and that there is an
/// end, is ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_litellm_an_answer_is_whole_or_none() {
    if !litellm::is_asked_for() {
        return;
    }
    let clean = clean_answer().await;
    let armed = Arc::new(Mutex::new(None));
    let server = Simllm::start(rules(Schedule::Armed(armed.clone()))).await.unwrap();
    let proxy = LiteLlm::start(&server.base_url()).await;
    let (mut whole, mut struck, mut asked_more, mut empty) = (0, 0, 0, Vec::new());
    for fault in FAULTS {
        for &phase in fault.phases() {
            let what = format!("{fault:?} {phase:?}");
            let before = server.log().len();
            *armed.lock().unwrap() = Some((fault, phase));
            let answer = model_at(&proxy.url("/v1"), LiteLlm::KEY).respond(&request()).await;
            let log = server.log();
            assert_eq!(log[before].fault, Some((fault, phase)), "{what} did not strike");
            assert!(log.len() - before <= options().http.retry.attempts_max as usize, "{what}");
            struck += 1;
            asked_more += log.len() - before - 1;
            match answer {
                Ok(answer) if answer.stop_reason == StopReason::MaxTokens => assert_eq!(answer.tool_uses().count(), 0),
                // It makes an empty answer of a page of HTML, which a run asks for again.
                Ok(answer) if answer.text().is_empty() && answer.tool_uses().count() == 0 => empty.push(what),
                Ok(answer) => {
                    assert_eq!((answer.text(), command(&answer)), (clean.text(), command(&clean)), "{what}");
                    whole += 1;
                }
                Err(_) => {}
            }
        }
    }
    assert!(empty.len() <= 2, "{empty:?}");
    assert!(whole > struck / 2, "the proxy let {whole} of {struck} through");
    assert!(asked_more as f64 <= 1.2 * struck as f64, "{asked_more} requests more for {struck} faults");
    proxy.stop().await;
}
