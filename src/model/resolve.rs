//! From what the operator typed and the environment to a backend: which provider, which key, which address.
//!
//! Without a model id the first provider of the catalogue whose key is set is taken with its default model; without
//! any key it is `autofix`. A key is demanded only for a provider's own address: behind another base URL there may be
//! a server that needs none.

use std::path::PathBuf;

use secrecy::SecretString;

use super::anthropic::{Anthropic, AnthropicConfig};
use super::catalog::{Known, PROVIDERS, Provider, Row, WireFormat};
use super::http::HttpOptions;
use super::openai::{OpenAi, OpenAiConfig, ToolMode};
use super::plain::Plain;
use super::scripted::Scripted;
use super::{Model, ModelError};
use crate::error::{Error, Result};

/// Looks up one environment variable; the edge passes the real one.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

pub enum ModelChoice {
    Autofix,
    Scripted(PathBuf),
    Remote(Remote),
}

/// A model behind a server. Deliberately without `Debug`: the address may hold a password.
pub struct Remote {
    pub provider: &'static Provider,
    /// With the provider's own name, also where an alias was typed.
    pub id: String,
    pub model: String,
    pub base_url: String,
    pub key: Option<SecretString>,
}

#[derive(Debug, Clone)]
pub struct ModelOptions {
    pub http: HttpOptions,
    pub tools: ToolMode,
    /// What the operator says of models, beside the catalogue.
    pub models: Vec<Row>,
}

impl Default for ModelOptions {
    fn default() -> Self {
        ModelOptions { http: HttpOptions::default(), tools: ToolMode::Native, models: Vec::new() }
    }
}

/// `autofix` is passed in because backends do not see one another.
pub fn resolve(
    model_id: Option<&str>,
    env: Env<'_>,
    options: &ModelOptions,
    autofix: fn() -> Box<dyn Model>,
) -> Result<Box<dyn Model>> {
    ModelChoice::from_id(model_id, env)?.open(options, autofix)
}

impl ModelChoice {
    pub fn from_id(model_id: Option<&str>, env: Env<'_>) -> Result<Self> {
        let Some(id) = model_id.map(str::trim).filter(|id| !id.is_empty()) else {
            return ModelChoice::from_environment(env);
        };
        if id == "autofix" {
            return Ok(ModelChoice::Autofix);
        }
        if let Some(path) = id.strip_prefix("scripted:") {
            return match path {
                "" => Err(Error::usage("`scripted:` names no file").hint("write `--model scripted:FILE`")),
                path => Ok(ModelChoice::Scripted(path.into())),
            };
        }
        let (name, model) = match id.split_once('/') {
            Some((name, model)) if !model.is_empty() => (name, model),
            Some(_) | None => return Err(not_an_id(id)),
        };
        let provider = Provider::named(name).ok_or_else(|| unknown_provider(name, model))?;
        Ok(ModelChoice::Remote(Remote::new(provider, model, env)?))
    }

    fn from_environment(env: Env<'_>) -> Result<Self> {
        let with_key = PROVIDERS.iter().find_map(|provider| {
            let model = provider.default_model?;
            first_set(provider.key_names, env)?;
            Some((provider, model))
        });
        match with_key {
            Some((provider, model)) => Ok(ModelChoice::Remote(Remote::new(provider, model, env)?)),
            None => Ok(ModelChoice::Autofix),
        }
    }

    pub fn id(&self) -> String {
        match self {
            ModelChoice::Autofix => "autofix".to_string(),
            ModelChoice::Scripted(path) => format!("scripted:{}", path.display()),
            ModelChoice::Remote(remote) => remote.id.clone(),
        }
    }

    pub fn open(self, options: &ModelOptions, autofix: fn() -> Box<dyn Model>) -> Result<Box<dyn Model>> {
        match self {
            ModelChoice::Autofix => Ok(autofix()),
            ModelChoice::Scripted(path) => {
                let what = format!("cannot play the script {}", path.display());
                let script = Scripted::open(&path).map_err(|error| {
                    Error::usage(what).because(error).hint("name a file with one answer a line: `scripted:FILE`")
                })?;
                Ok(Box::new(script))
            }
            ModelChoice::Remote(remote) => remote.open(options),
        }
    }
}

impl Remote {
    fn new(provider: &'static Provider, model: &str, env: Env<'_>) -> Result<Self> {
        let id = format!("{}/{model}", provider.name);
        let own_url = first_set(provider.base_url_names, env);
        let key = first_set(provider.key_names, env).map(SecretString::from);
        if let (None, None, Some(name)) = (&key, &own_url, provider.key_names.first()) {
            return Err(Error::usage(format!("no key for {id}: {} is not set", provider.key_names.join(" or ")))
                .hint(format!("export {name}=…, or choose another model with --model"))
                .hint("`--model autofix` needs no key"));
        }
        let base_url = own_url.or(provider.base_url.map(str::to_string)).ok_or_else(|| {
            Error::usage(format!("no address for {id}: {} is not set", provider.base_url_names.join(" or ")))
                .hint(format!("export {}=http://127.0.0.1:8080/v1", provider.base_url_names[0]))
        })?;
        Ok(Remote { provider, id, model: model.to_string(), base_url, key })
    }

    fn open(self, options: &ModelOptions) -> Result<Box<dyn Model>> {
        let names = self.provider.base_url_names.iter().chain(self.provider.key_names);
        let names = names.copied().collect::<Vec<_>>().join(", ");
        let what = format!("cannot use {}", self.id);
        let unusable = |error: ModelError| Error::usage(what).because(error).hint(format!("look at {names}"));
        let known = Known::of_these(&self.id, &options.models);
        let model: Box<dyn Model> = match self.provider.wire_for(&self.model, &self.base_url) {
            WireFormat::Messages => {
                let (id, model, base_url, key) = (self.id, self.model, self.base_url, self.key);
                let config = AnthropicConfig { id, model, base_url, key, known };
                Box::new(Anthropic::new(config, options.http.clone()).map_err(unusable)?)
            }
            WireFormat::ChatCompletions { reasoning, output_limit } => {
                let (id, model, base_url, key) = (self.id, self.model, self.base_url, self.key);
                let config = OpenAiConfig { id, model, base_url, key, reasoning, output_limit, known };
                Box::new(OpenAi::new(config, options.http.clone()).map_err(unusable)?)
            }
        };
        Ok(match options.tools {
            ToolMode::Native => model,
            ToolMode::Plain => Box::new(Plain::new(model)),
        })
    }
}

fn first_set(names: &[&str], env: Env<'_>) -> Option<String> {
    names.iter().find_map(|name| env(name).map(|value| value.trim().to_string()).filter(|value| !value.is_empty()))
}

fn provider_names() -> String {
    PROVIDERS.iter().map(|provider| provider.name).collect::<Vec<_>>().join(", ")
}

fn not_an_id(id: &str) -> Error {
    let error = Error::usage(format!("`{id}` is not a model id"));
    let error = match nearest(id, ["autofix"]) {
        Some(name) => error.hint(format!("did you mean `{name}`?")),
        None => error,
    };
    error.hint(format!("write PROVIDER/MODEL with one of {}; or `autofix`, or `scripted:FILE`", provider_names()))
}

fn unknown_provider(name: &str, model: &str) -> Error {
    let error = Error::usage(format!("unknown model provider `{name}`"));
    let error = match nearest(name, PROVIDERS.iter().flat_map(|p| p.aliases.iter().copied().chain([p.name]))) {
        Some(name) => error.hint(format!("did you mean `{name}/{model}`?")),
        None => error,
    };
    error
        .hint(format!("known: {}; or `autofix`, or `scripted:FILE`", provider_names()))
        .hint(format!("any server that speaks Chat Completions: OPENAI_BASE_URL=… with `openai/{model}`"))
}

/// The candidate that differs least, if it differs little.
fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_ascii_lowercase();
    let distances = candidates.into_iter().map(|candidate| (edit_distance(&typed, candidate), candidate));
    let (distance, candidate) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= candidate.len() / 3 + 1 && distance < candidate.len()).then_some(candidate)
}

/// Levenshtein's, one row at a time.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use secrecy::ExposeSecret;

    use super::*;
    use crate::error::ExitCode;

    fn choose(id: Option<&str>, vars: &[(&str, &str)]) -> Result<ModelChoice> {
        let env = |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        ModelChoice::from_id(id, &env)
    }

    fn remote(id: Option<&str>, vars: &[(&str, &str)]) -> Remote {
        match choose(id, vars) {
            Ok(ModelChoice::Remote(remote)) => remote,
            Ok(other) => panic!("{} is not remote", other.id()),
            Err(error) => panic!("{error}"),
        }
    }

    fn refusal(id: &str, vars: &[(&str, &str)]) -> Error {
        match choose(Some(id), vars) {
            Ok(choice) => panic!("{} was accepted", choice.id()),
            Err(error) => error,
        }
    }

    #[test]
    fn the_environment_decides_when_no_model_is_named() {
        assert_eq!(choose(None, &[]).ok().unwrap().id(), "autofix");
        assert_eq!(choose(None, &[("OPENAI_API_KEY", "  ")]).ok().unwrap().id(), "autofix");
        assert_eq!(remote(None, &[("MIMO_API_KEY", "k")]).id, "xiaomi/mimo-v2.5-pro");
        let both = [("OPENAI_API_KEY", "o"), ("ANTHROPIC_API_KEY", "a")];
        assert_eq!(remote(None, &both).id, "anthropic/claude-sonnet-5");
    }

    #[test]
    fn keys_and_addresses_come_from_the_usual_names() {
        let mimo =
            remote(Some("mimo/mimo-v2-flash"), &[("XIAOMI_API_KEY", " k\n"), ("XIAOMI_BASE_URL", "http://x/v1")]);
        assert_eq!((mimo.id.as_str(), mimo.base_url.as_str()), ("xiaomi/mimo-v2-flash", "http://x/v1"));
        assert_eq!(mimo.key.unwrap().expose_secret(), "k");
        let vllm = remote(Some("openai/org/model"), &[("OPENAI_API_BASE", "http://127.0.0.1:8000/v1")]);
        assert_eq!((vllm.model.as_str(), vllm.key.is_none()), ("org/model", true));
        let gemini = remote(Some("gemini/gemini-2.5-pro"), &[("GOOGLE_API_KEY", "g")]);
        assert_eq!(gemini.base_url, "https://generativelanguage.googleapis.com/v1beta/openai");
        assert!(remote(Some("ollama/qwen3"), &[("OPENAI_API_KEY", "secret")]).key.is_none());
    }

    #[test]
    fn refusals_name_what_is_wrong_and_what_to_type() {
        let typo = refusal("antropic/claude-sonnet-5", &[]);
        assert_eq!(typo.exit, ExitCode::Usage);
        assert_eq!(typo.hints[0], "did you mean `anthropic/claude-sonnet-5`?");
        assert!(typo.hints[1].contains("openrouter"), "{:?}", typo.hints);
        assert!(refusal("zzzzqqqq/m", &[]).hints[0].starts_with("known:"));
        assert_eq!(refusal("autofx", &[]).hints[0], "did you mean `autofix`?");
        assert!(refusal("gpt-5", &[]).hints[0].contains("PROVIDER/MODEL"));
        assert_eq!(refusal("openai/gpt-5", &[]).what, "no key for openai/gpt-5: OPENAI_API_KEY is not set");
        assert!(refusal("local/m", &[]).what.contains("LOCAL_BASE_URL"));
        assert_eq!(refusal("scripted:", &[]).exit, ExitCode::Usage);
    }

    #[test]
    fn a_key_no_header_can_carry_and_an_address_that_is_none_are_usage_errors_without_the_key() {
        let options = ModelOptions::default();
        let open = |vars: &[(&str, &str)]| match remote(Some("openai/m"), vars).open(&options) {
            Ok(_) => panic!("opened"),
            Err(error) => error,
        };
        let error = open(&[("OPENAI_API_KEY", "se\ncret"), ("OPENAI_BASE_URL", "http://x/v1")]);
        assert_eq!(error.exit, ExitCode::Usage);
        assert!(!error.to_string().contains("cret") && error.hints[0].contains("OPENAI_API_KEY"), "{error}");
        assert_eq!(open(&[("OPENAI_BASE_URL", "nonsense")]).exit, ExitCode::Usage);
    }
}
