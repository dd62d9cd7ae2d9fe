//! The providers by name, with the environment names their users already have, and what is known of some models.

use std::sync::LazyLock;

use serde::Deserialize;

use super::Limits;
use super::openai::{OutputLimit, ReasoningEcho};
use crate::message::Usage;

pub struct Provider {
    /// What stands before the first `/` of a model id.
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    /// The first that is set counts.
    pub key_names: &'static [&'static str],
    pub base_url_names: &'static [&'static str],
    /// `None`: the user must say.
    pub base_url: Option<&'static str>,
    pub wire: WireFormat,
    /// Taken when this provider's key is set and no model is named.
    pub default_model: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireFormat {
    Messages,
    ChatCompletions { reasoning: ReasoningEcho, output_limit: OutputLimit },
}

const CHAT: WireFormat =
    WireFormat::ChatCompletions { reasoning: ReasoningEcho::Omit, output_limit: OutputLimit::MaxTokens };
const CHAT_WITH_REASONING: WireFormat =
    WireFormat::ChatCompletions { reasoning: ReasoningEcho::ReasoningContent, output_limit: OutputLimit::MaxTokens };

/// In the order in which a set key makes its provider the default.
pub static PROVIDERS: &[Provider] = &[
    Provider {
        name: "anthropic",
        aliases: &[],
        key_names: &["ANTHROPIC_API_KEY"],
        base_url_names: &["ANTHROPIC_BASE_URL"],
        base_url: Some("https://api.anthropic.com"),
        wire: WireFormat::Messages,
        default_model: Some("claude-sonnet-5"),
    },
    Provider {
        name: "openai",
        aliases: &[],
        key_names: &["OPENAI_API_KEY"],
        base_url_names: &["OPENAI_BASE_URL", "OPENAI_API_BASE"],
        base_url: Some("https://api.openai.com/v1"),
        wire: CHAT,
        default_model: Some("gpt-5.2"),
    },
    Provider {
        name: "gemini",
        aliases: &["google"],
        key_names: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
        base_url_names: &["GEMINI_BASE_URL", "GOOGLE_BASE_URL"],
        base_url: Some("https://generativelanguage.googleapis.com/v1beta/openai"),
        wire: CHAT,
        default_model: Some("gemini-3.5-flash"),
    },
    Provider {
        name: "deepseek",
        aliases: &[],
        key_names: &["DEEPSEEK_API_KEY"],
        base_url_names: &["DEEPSEEK_BASE_URL"],
        base_url: Some("https://api.deepseek.com"),
        wire: CHAT_WITH_REASONING,
        default_model: Some("deepseek-v4-pro"),
    },
    Provider {
        name: "xiaomi",
        aliases: &["mimo"],
        key_names: &["XIAOMI_API_KEY", "MIMO_API_KEY"],
        base_url_names: &["XIAOMI_BASE_URL", "MIMO_BASE_URL"],
        base_url: Some("https://api.xiaomimimo.com/v1"),
        wire: CHAT_WITH_REASONING,
        default_model: Some("mimo-v2.5-pro"),
    },
    Provider {
        name: "mistral",
        aliases: &[],
        key_names: &["MISTRAL_API_KEY"],
        base_url_names: &["MISTRAL_BASE_URL"],
        base_url: Some("https://api.mistral.ai/v1"),
        wire: CHAT,
        default_model: Some("devstral-latest"),
    },
    Provider {
        name: "groq",
        aliases: &[],
        key_names: &["GROQ_API_KEY"],
        base_url_names: &["GROQ_BASE_URL"],
        base_url: Some("https://api.groq.com/openai/v1"),
        wire: CHAT,
        default_model: Some("openai/gpt-oss-120b"),
    },
    Provider {
        name: "openrouter",
        aliases: &[],
        key_names: &["OPENROUTER_API_KEY"],
        base_url_names: &["OPENROUTER_BASE_URL"],
        base_url: Some("https://openrouter.ai/api/v1"),
        wire: CHAT,
        default_model: Some("anthropic/claude-sonnet-5"),
    },
    Provider {
        name: "ollama",
        aliases: &[],
        key_names: &[],
        base_url_names: &["OLLAMA_BASE_URL"],
        base_url: Some("http://127.0.0.1:11434/v1"),
        wire: CHAT,
        default_model: None,
    },
    Provider {
        name: "local",
        aliases: &[],
        key_names: &[],
        base_url_names: &["LOCAL_BASE_URL", "OPENAI_BASE_URL", "OPENAI_API_BASE"],
        base_url: None,
        wire: CHAT,
        default_model: None,
    },
];

impl Provider {
    pub fn named(name: &str) -> Option<&'static Provider> {
        PROVIDERS.iter().find(|provider| provider.name == name || provider.aliases.contains(&name))
    }

    /// The wire format for one model: some models keep their demands behind whatever server runs them, and only
    /// OpenAI's own insists on its new name for the output limit.
    pub fn wire_for(&self, model: &str, base_url: &str) -> WireFormat {
        match self.wire {
            WireFormat::Messages => WireFormat::Messages,
            WireFormat::ChatCompletions { reasoning, output_limit } => {
                let model = model.to_ascii_lowercase();
                let wants_reasoning = model.contains("mimo") || model.contains("deepseek");
                let is_openais_own = base_url.starts_with("https://api.openai.com/");
                WireFormat::ChatCompletions {
                    reasoning: if wants_reasoning { ReasoningEcho::ReasoningContent } else { reasoning },
                    output_limit: if is_openais_own { OutputLimit::MaxCompletionTokens } else { output_limit },
                }
            }
        }
    }
}

/// Every environment name that may hold a key: what must never be seen inside a sandbox.
pub fn key_names() -> impl Iterator<Item = &'static str> {
    PROVIDERS.iter().flat_map(|provider| provider.key_names.iter().copied())
}

/// What the table says of a model; nothing of one it does not hold.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub limits: Limits,
    prices: Option<Prices>,
}

#[derive(Debug, Clone, Copy)]
struct Prices {
    base: Price,
    above: Option<PriceAbove>,
}

/// US dollars for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Price {
    input: f64,
    output: f64,
    cache_read: Option<f64>,
    cache_write: Option<f64>,
}

/// The price of a whole request whose prompt is longer than this.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceAbove {
    input_tokens: u64,
    price: Price,
}

impl Known {
    /// `id` with the provider's own name: `xiaomi/mimo-v2.5-pro`.
    pub fn of(id: &str) -> Self {
        Known::of_these(id, &[])
    }

    /// What the operator says of a model stands before what the table says.
    pub fn of_these(id: &str, operators: &[Row]) -> Self {
        let mut rows = operators.iter().chain(&TABLE.model);
        let Some(row) = rows.find(|row| row.id == id) else { return Known::default() };
        Known {
            limits: Limits { context_tokens: Some(row.context_tokens), output_tokens: Some(row.output_tokens) },
            prices: row.price.map(|base| Prices { base, above: row.price_above }),
        }
    }

    pub fn cost_usd(&self, usage: &Usage) -> Option<f64> {
        let prices = self.prices?;
        let (input, output) = (usage.input_tokens?, usage.output_tokens?);
        let price = match prices.above {
            Some(above) if input > above.input_tokens => above.price,
            Some(_) | None => prices.base,
        };
        let read = usage.cache_read_tokens.unwrap_or(0).min(input);
        let written = usage.cache_write_tokens.unwrap_or(0).min(input - read);
        let of = |tokens: u64, dollars: f64| tokens as f64 * dollars / 1e6;
        Some(
            of(input - read - written, price.input)
                + of(read, price.cache_read.unwrap_or(price.input))
                + of(written, price.cache_write.unwrap_or(price.input))
                + of(output, price.output),
        )
    }
}

static TABLE: LazyLock<Table> =
    LazyLock::new(|| toml::from_str(include_str!("catalog.toml")).expect("a test reads the embedded table"));

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    model: Vec<Row>,
}

/// One model, as the embedded table and the operator's file write it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    id: String,
    context_tokens: u64,
    output_tokens: u64,
    price: Option<Price>,
    price_above: Option<PriceAbove>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_row_belongs_to_a_provider_and_every_default_is_known() {
        for row in &TABLE.model {
            let provider = row.id.split_once('/').and_then(|(provider, _)| Provider::named(provider));
            assert!(provider.is_some(), "{}", row.id);
            assert!(row.output_tokens <= row.context_tokens, "{}", row.id);
        }
        for provider in PROVIDERS {
            if let Some(model) = provider.default_model {
                let id = format!("{}/{model}", provider.name);
                assert!(Known::of(&id).limits.context_tokens.is_some(), "{id}");
            }
        }
    }

    #[test]
    fn cost_counts_the_cache_apart_and_long_prompts_dearer() {
        let usage = Usage {
            input_tokens: Some(100_000),
            output_tokens: Some(1_000),
            cache_read_tokens: Some(80_000),
            cache_write_tokens: Some(10_000),
        };
        let cost = Known::of("anthropic/claude-sonnet-4-5").cost_usd(&usage).unwrap();
        assert!((cost - (0.03 + 0.024 + 0.0375 + 0.015)).abs() < 1e-9, "{cost}");
        let long = Usage { input_tokens: Some(300_000), output_tokens: Some(0), ..Usage::default() };
        let cost = Known::of("gemini/gemini-2.5-pro").cost_usd(&long).unwrap();
        assert!((cost - 0.75).abs() < 1e-9, "{cost}");
        assert_eq!(Known::of("openai/never-heard-of").cost_usd(&usage), None);
        let own = "model = [{ id = 'openai/never-heard-of', context_tokens = 9000, output_tokens = 900,
            price = { input = 1.0, output = 2.0 } }]";
        let own: Table = toml::from_str(own).unwrap();
        let known = Known::of_these("openai/never-heard-of", &own.model);
        assert_eq!(known.limits.context_tokens, Some(9_000));
        assert!(known.cost_usd(&usage).is_some_and(|cost| (cost - 0.102).abs() < 1e-9));
        assert!(Known::of_these("openai/gpt-5", &own.model).limits.context_tokens > Some(9_000));
        assert_eq!(Known::of("openai/gpt-5").cost_usd(&Usage::default()), None);
    }

    #[test]
    fn models_keep_their_demands_behind_any_server() {
        let openai = Provider::named("openai").unwrap();
        let wire = |model, url| match openai.wire_for(model, url) {
            WireFormat::ChatCompletions { reasoning, output_limit } => (reasoning, output_limit),
            WireFormat::Messages => panic!("not a Messages provider"),
        };
        assert_eq!(wire("XiaomiMiMo/MiMo-7B", "http://gpu:8000/v1").0, ReasoningEcho::ReasoningContent);
        assert_eq!(wire("gpt-5.2", "http://proxy/v1"), (ReasoningEcho::Omit, OutputLimit::MaxTokens));
        assert_eq!(wire("gpt-5.2", "https://api.openai.com/v1").1, OutputLimit::MaxCompletionTokens);
    }
}
