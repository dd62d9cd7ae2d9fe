//! Why an answer did not come, in the classes that decide whether asking again can help.

use std::time::Duration;

use serde_json::Value;

use super::ModelError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Network, 5xx, overload, truncated or unreadable stream.
    Transient,
    RateLimited,
    /// Money or a quota that waiting does not refill.
    Quota,
    Authentication,
    ContextOverflow,
    /// The server or model does not take `tools`; the plain protocol may do.
    ToolsRejected,
    BadRequest,
    /// Ours or the operator's: an address that is none, an answer beyond its limit.
    Invalid,
}

#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) class: Class,
    pub(crate) detail: String,
    pub(crate) retry_after: Option<Duration>,
}

impl Failure {
    pub(crate) fn new(class: Class, detail: impl Into<String>) -> Self {
        Failure { class, detail: detail.into(), retry_after: None }
    }

    pub(crate) fn transient(detail: impl Into<String>) -> Self {
        Failure::new(Class::Transient, detail)
    }

    pub(crate) fn is_retryable(&self) -> bool {
        match self.class {
            Class::Transient | Class::RateLimited => true,
            Class::Quota
            | Class::Authentication
            | Class::ContextOverflow
            | Class::ToolsRejected
            | Class::BadRequest
            | Class::Invalid => false,
        }
    }

    pub(crate) fn into_error(self, model: &str) -> ModelError {
        let (model, detail) = (model.to_string(), self.detail);
        match self.class {
            Class::Transient => ModelError::Unavailable { model, detail },
            Class::RateLimited | Class::Quota => ModelError::Quota { model, detail },
            Class::Authentication => ModelError::Authentication { model, detail },
            Class::ContextOverflow => ModelError::ContextOverflow { model, detail },
            Class::ToolsRejected | Class::BadRequest => ModelError::BadRequest { model, detail },
            Class::Invalid => ModelError::Invalid { model, detail },
        }
    }

    /// From a status that is not a success, and whatever body came with it.
    pub(crate) fn from_status(status: u16, body: &str) -> Self {
        let said = match serde_json::from_str::<Value>(body) {
            Ok(value) => Said::read(&value),
            Err(_) if body.trim_start().starts_with('<') => {
                Said { message: "a web page instead of an answer".into(), ..Said::default() }
            }
            Err(_) => Said { message: body.trim().into(), ..Said::default() },
        };
        let mut failure = said.classify(Some(status));
        failure.detail = if failure.detail.is_empty() {
            format!("HTTP {status}")
        } else {
            format!("HTTP {status}: {}", failure.detail)
        };
        failure
    }

    /// From an error object that arrived where an answer belongs: inside a 200 or in the middle of a stream.
    pub(crate) fn from_error_value(value: &Value) -> Self {
        let said = Said::read(value);
        let status = said.code.parse::<u16>().ok().filter(|code| (400..600).contains(code));
        said.classify(status)
    }
}

/// What an error body says, whichever of the usual shapes it has.
#[derive(Default)]
struct Said {
    message: String,
    kind: String,
    code: String,
    retry_after: Option<Duration>,
}

impl Said {
    fn read(value: &Value) -> Self {
        // Gemini's compatible endpoint wraps its error in an array.
        let value = value.get(0).unwrap_or(value);
        let error = value.get("error").filter(|error| !error.is_null()).unwrap_or(value);
        let text = |key: &str| match error.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Null | Value::Bool(_)) | None => String::new(),
            Some(other) => other.to_string(),
        };
        let message = match error {
            Value::String(message) => message.clone(),
            _ => [text("message"), text("detail")].into_iter().find(|text| !text.is_empty()).unwrap_or_default(),
        };
        let message = if message.is_empty() { error.to_string() } else { message };
        Said { message, kind: text("type"), code: text("code"), retry_after: retry_delay(error) }
    }

    fn classify(self, status: Option<u16>) -> Failure {
        let words = format!("{} {} {}", self.message, self.kind, self.code).to_lowercase();
        let has = |needles: &[&str]| needles.iter().any(|needle| words.contains(needle));
        let credentials = matches!(status, Some(401 | 403));
        let rate = status == Some(429) || has(&["rate_limit", "too many requests"]);
        let class = if has(NO_MONEY) || (rate && self.retry_after.is_none() && has(&["billing", "quota exceeded"])) {
            Class::Quota
        } else if !credentials && (has(TOO_LONG) || (rate && has(&["request too large"]))) {
            Class::ContextOverflow
        } else if has(BAD_KEY) {
            Class::Authentication
        } else if rate {
            Class::RateLimited
        } else if !credentials && rejects_tools(&words) {
            Class::ToolsRejected
        } else {
            match status {
                Some(401 | 403 | 407) => Class::Authentication,
                Some(402) => Class::Quota,
                Some(413) => Class::ContextOverflow,
                Some(408 | 409 | 425) => Class::Transient,
                Some(501 | 505) => Class::BadRequest,
                Some(500..=599) => Class::Transient,
                Some(_) => Class::BadRequest,
                None if has(&["invalid_request", "bad_request", "badrequest", "not_found", "notfound"]) => {
                    Class::BadRequest
                }
                None => Class::Transient,
            }
        };
        Failure { class, detail: self.message, retry_after: self.retry_after }
    }
}

const NO_MONEY: &[&str] = &[
    "insufficient_quota",
    "insufficient balance",
    "credit balance is too low",
    "billing_error",
    "insufficient credits",
];
const BAD_KEY: &[&str] =
    &["authentication_error", "permission_error", "invalid_api_key", "api key not valid", "api_key_invalid"];
const TOO_LONG: &[&str] = &[
    "context_length_exceeded",
    "exceed_context_size",
    "maximum context length",
    "context window",
    "context length",
    "context size",
    "prompt is too long",
    "input is too long",
    "prompt too long",
    "request_too_large",
    "maximum prompt length",
    "reduce the length of the messages",
    "input token count",
];

/// Servers word it in many ways: a mention of tools, and a refusal. A complaint about one message (`role 'tool'`) or
/// one schema is not a refusal of tools.
fn rejects_tools(words: &str) -> bool {
    let subject = ["tools", "tool use", "tool choice", "tool_choice", "function call", "tool call"];
    let refusal = [
        "not support",
        "n't support",
        "unsupported",
        "unrecognized",
        "unknown field",
        "unknown parameter",
        "not permitted",
        "not allowed",
        "not enabled",
        "that support tool use",
        "requires --",
    ];
    subject.iter().any(|word| words.contains(word))
        && refusal.iter().any(|word| words.contains(word))
        && !words.contains("schema")
        && !words.contains("role")
}

/// Google's `RetryInfo`: `"retryDelay": "34s"`.
fn retry_delay(error: &Value) -> Option<Duration> {
    let details = error.get("details")?.as_array()?;
    let delay = details.iter().find_map(|detail| detail.get("retryDelay")?.as_str())?;
    Duration::try_from_secs_f64(delay.strip_suffix('s')?.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_bodies_fall_into_their_classes() {
        let cases = [
            (429, r#"{"error":{"message":"Rate limit reached","type":"tokens"}}"#, Class::RateLimited),
            (
                429,
                r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","code":"insufficient_quota"}}"#,
                Class::Quota,
            ),
            (
                429,
                r#"[{"error":{"code":429,"message":"You exceeded your current quota, check billing","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s"}]}}]"#,
                Class::RateLimited,
            ),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low"}}"#,
                Class::Quota,
            ),
            (402, r#"{"error":{"message":"Insufficient Balance"}}"#, Class::Quota),
            (401, r#"{"error":{"message":"Incorrect API key provided"}}"#, Class::Authentication),
            (
                400,
                r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key."}}]"#,
                Class::Authentication,
            ),
            (
                400,
                r#"{"error":{"message":"This model's maximum context length is 8192 tokens.","code":"context_length_exceeded"}}"#,
                Class::ContextOverflow,
            ),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
                Class::ContextOverflow,
            ),
            (
                413,
                r#"{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}"#,
                Class::ContextOverflow,
            ),
            (
                400,
                r#"{"error":{"message":"registry.ollama.ai/library/gemma:2b does not support tools"}}"#,
                Class::ToolsRejected,
            ),
            (404, r#"{"error":{"message":"No endpoints found that support tool use."}}"#, Class::ToolsRejected),
            (
                400,
                r#"{"object":"error","message":"\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set"}"#,
                Class::ToolsRejected,
            ),
            (500, r#"{"error":{"code":500,"message":"tools param requires --jinja flag"}}"#, Class::ToolsRejected),
            (
                400,
                r#"{"error":{"message":"messages with role 'tool' must follow tool_calls: not allowed here with tools"}}"#,
                Class::BadRequest,
            ),
            (404, r#"{"error":{"message":"The model `nope` does not exist"}}"#, Class::BadRequest),
            (529, r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, Class::Transient),
            (502, "<html><body>Bad gateway</body></html>", Class::Transient),
            (503, "", Class::Transient),
        ];
        for (status, body, class) in cases {
            assert_eq!(Failure::from_status(status, body).class, class, "{status} {body}");
        }
    }

    #[test]
    fn errors_inside_a_success_are_classified_by_what_they_say() {
        let class = |json: &str| Failure::from_error_value(&serde_json::from_str(json).expect("test JSON")).class;
        assert_eq!(class(r#"{"error":{"type":"overloaded_error","message":"Overloaded"}}"#), Class::Transient);
        assert_eq!(class(r#"{"error":{"code":429,"message":"slow down"}}"#), Class::RateLimited);
        assert_eq!(class(r#"{"error":{"code":502,"message":"Provider returned error"}}"#), Class::Transient);
        assert_eq!(class(r#"{"error":{"type":"authentication_error","message":"no"}}"#), Class::Authentication);
        assert_eq!(class(r#"{"error":"prompt is too long"}"#), Class::ContextOverflow);
    }

    #[test]
    fn googles_retry_delay_is_read() {
        let body = r#"[{"error":{"code":429,"message":"quota","details":[{"retryDelay":"1.5s"}]}}]"#;
        assert_eq!(Failure::from_status(429, body).retry_after, Some(Duration::from_millis(1500)));
    }
}
