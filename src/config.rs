//! Flags, environment and the user's file, resolved once into what a run works with.
//!
//! Nothing here comes from the repository: it cannot choose its own image, model, limits or environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use etcetera::BaseStrategy;
use serde::Deserialize;

use crate::cli::values;
use crate::error::{Error, Result};
use crate::event::{Limits, Mark};
use crate::model::catalog::Row;
use crate::sandbox::ResourceLimits;
use crate::sandbox::proxy::Entry;
use crate::score::StyleRules;

/// Where Greenroom keeps things on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Journals and blobs: worth keeping.
    pub state: PathBuf,
    /// What can be made again.
    pub cache: PathBuf,
    pub config_file: PathBuf,
}

impl Paths {
    /// `GREENROOM_HOME`, or the XDG folders.
    pub fn from_environment() -> Result<Self> {
        if let Some(home) = std::env::var_os("GREENROOM_HOME").filter(|home| !home.is_empty()) {
            let home = std::path::absolute(&home)
                .map_err(|error| Error::usage("GREENROOM_HOME is not a usable path").because(error))?;
            let config_file = home.join("config.toml");
            return Ok(Paths { state: home.join("state"), cache: home.join("cache"), config_file });
        }
        let base = etcetera::base_strategy::choose_base_strategy().map_err(|error| {
            Error::usage("cannot find your home folder").because(error).hint("set HOME, or GREENROOM_HOME")
        })?;
        let state = base.state_dir().unwrap_or_else(|| base.data_dir());
        Ok(Paths {
            state: state.join("greenroom"),
            cache: base.cache_dir().join("greenroom"),
            config_file: base.config_dir().join("greenroom").join("config.toml"),
        })
    }
}

/// The user's `config.toml`. Every key is optional; a key that is not here is an error.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    pub model: Option<String>,
    pub image: Option<String>,
    pub steps: Option<u64>,
    pub tokens_max: Option<u64>,
    pub cost_usd_max: Option<f64>,
    pub time_max: Option<TypedDuration>,
    pub check_timeout: Option<TypedDuration>,
    pub command_timeout: Option<TypedDuration>,
    pub writer_model: Option<String>,
    pub context_tokens: Option<u64>,
    pub checkpoint_at: Option<TypedMarks>,
    /// Windows and prices of models, in the form of the catalogue.
    #[serde(default)]
    pub models: Vec<Row>,
    /// What every command in a sandbox gets as environment, beside the image's own.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    #[serde(default)]
    pub sandbox: SandboxConfig,
    #[serde(default)]
    pub setup: SetupConfig,
    /// What lowers the style part of the score.
    #[serde(default)]
    pub style: StyleRules,
}

/// What one sandbox may use of this machine.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxConfig {
    pub memory: Option<TypedSize>,
    pub cpus: Option<f64>,
    pub pids: Option<u32>,
    pub tmp: Option<TypedSize>,
    pub file_size: Option<TypedSize>,
    pub disk: Option<TypedSize>,
    pub disk_files: Option<u64>,
}

/// What a set-up phase may reach beside what the image's package managers fetch from.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetupConfig {
    /// `host:port`, `host` (443 and 80), or either below `*.`. Only `host:port` may lead into this machine's network.
    #[serde(default)]
    pub allow: Vec<Entry>,
    /// Wins over everything that allows.
    #[serde(default)]
    pub deny: Vec<Entry>,
    /// Of one command.
    pub timeout: Option<TypedDuration>,
}

/// `"5m"` in the file.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct TypedDuration(pub Duration);

impl TryFrom<String> for TypedDuration {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        values::duration(&text).map(TypedDuration)
    }
}

/// `"20,45,70"` in the file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct TypedMarks(pub Vec<Mark>);

impl TryFrom<String> for TypedMarks {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        values::marks(&text).map(TypedMarks)
    }
}

/// `"4g"` in the file.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct TypedSize(pub u64);

impl TryFrom<String> for TypedSize {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        values::size(&text).map(TypedSize)
    }
}

impl FileConfig {
    /// An absent file is an empty one.
    pub fn load(path: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| Error::usage(format!("cannot read `{}`", path.display())).because(error);
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(FileConfig::default()),
            Err(error) => return Err(failed(error)),
        };
        let config: FileConfig = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            Error::usage(format!("the configuration file `{}` is wrong at line {line}", path.display()))
                .because(error.message().to_owned())
                .hint("correct the line, or remove it: every key is optional")
        })?;
        config.check().map_err(|what| Error::usage(format!("{what} in `{}`", path.display())))?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        for name in self.env.keys() {
            values::variable(&format!("{name}="))?;
        }
        if let Some(tokens) = self.context_tokens.filter(|tokens| *tokens < values::CONTEXT_TOKENS_MIN) {
            return Err(format!("`context_tokens` is {tokens}, less than {}", values::CONTEXT_TOKENS_MIN));
        }
        crate::feedback::score::check_rules(&self.style)?;
        match (self.cost_usd_max, self.sandbox.cpus) {
            (Some(cost), _) if !(cost.is_finite() && cost > 0.0) => Err("`cost_usd_max` must be more than 0".into()),
            (_, Some(cpus)) if !(0.05..=1024.0).contains(&cpus) => Err("`sandbox.cpus` must be at least 0.05".into()),
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }
}

/// What was typed, by flag or environment: each `None` falls through to the file, then to the default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Typed {
    pub model: Option<String>,
    pub image: Option<String>,
    pub steps: Option<u64>,
    pub tokens_max: Option<u64>,
    pub cost_usd_max: Option<f64>,
    pub time_max: Option<Duration>,
    pub writer_model: Option<String>,
    pub context_tokens: Option<u64>,
    pub checkpoint_at: Option<Vec<Mark>>,
    pub may_idle: bool,
    pub review: bool,
    pub helpers: u32,
    pub env: Vec<(String, String)>,
}

/// What a run or a command works with. Nothing later asks what was typed.
#[derive(Debug, Clone, PartialEq)]
pub struct RunConfig {
    /// Absolute, a folder with something in it.
    pub repo: PathBuf,
    /// `URL@COMMIT`, where the folder is only the clone of that.
    pub origin: Option<String>,
    /// `None`: what the environment's keys suggest.
    pub model: Option<String>,
    /// `None`: the run's own, where that has words; `none`: nobody.
    pub writer_model: Option<String>,
    /// `None`: what the repository's manifests suggest.
    pub image: Option<String>,
    pub limits: Limits,
    pub resources: ResourceLimits,
    /// The user's own additions; later entries win over the image's.
    pub env: Vec<(String, String)>,
    pub setup: SetupConfig,
    pub style: StyleRules,
}

impl RunConfig {
    /// What the repository is called: for people, and to tell it from others.
    pub fn repository(&self) -> String {
        self.origin.clone().unwrap_or_else(|| self.repo.display().to_string())
    }

    pub fn resolve(repo: &Path, typed: Typed, file: FileConfig) -> Result<Self> {
        let repo = repository(repo)?;
        let defaults = Limits::default();
        let limits = Limits {
            steps_max: typed.steps.or(file.steps).unwrap_or(defaults.steps_max),
            tokens_max: typed.tokens_max.or(file.tokens_max),
            cost_usd_max: typed.cost_usd_max.or(file.cost_usd_max),
            wall_time_max_ms: typed.time_max.or(file.time_max.map(|time| time.0)).map(milliseconds),
            check_timeout_ms: file.check_timeout.map_or(defaults.check_timeout_ms, |time| milliseconds(time.0)),
            command_timeout_ms: file.command_timeout.map_or(defaults.command_timeout_ms, |time| milliseconds(time.0)),
            context_tokens_max: typed.context_tokens.or(file.context_tokens).unwrap_or(defaults.context_tokens_max),
            checkpoint_at: typed.checkpoint_at.or(file.checkpoint_at.map(|marks| marks.0)).unwrap_or_default(),
            may_idle: typed.may_idle,
            review: typed.review,
            helpers_max: typed.helpers,
        };
        let mut env: BTreeMap<String, String> = file.env;
        env.extend(typed.env);
        Ok(RunConfig {
            repo,
            origin: None,
            model: typed.model.or(file.model),
            writer_model: typed.writer_model.or(file.writer_model),
            image: typed.image.or(file.image),
            limits,
            resources: resources(&file.sandbox),
            env: env.into_iter().collect(),
            setup: file.setup,
            style: file.style,
        })
    }
}

pub(crate) fn resources(config: &SandboxConfig) -> ResourceLimits {
    ResourceLimits {
        memory_bytes: config.memory.map_or(4 << 30, |size| size.0),
        pids: config.pids.unwrap_or(1024),
        cpu_millis: config.cpus.map_or(2000, |cpus| (cpus * 1000.0) as u32),
        tmp_bytes: config.tmp.map_or(512 << 20, |size| size.0),
        file_bytes: config.file_size.map_or(4 << 30, |size| size.0),
        disk_bytes: config.disk.map_or(8 << 30, |size| size.0),
        disk_inodes: config.disk_files.unwrap_or(1 << 20),
    }
}

/// Looks at the folder's name and first entry only; reads nothing in it.
fn repository(path: &Path) -> Result<PathBuf> {
    let hint = "name the project's folder with `--repo DIR`";
    let absolute = path
        .canonicalize()
        .map_err(|error| Error::usage(format!("no repository at `{}`", path.display())).because(error).hint(hint))?;
    if absolute.parent().is_none() {
        return Err(Error::usage("the repository cannot be `/`: all of this machine would be copied").hint(hint));
    }
    let unreadable = |error| Error::usage(format!("cannot list `{}`", path.display())).because(error).hint(hint);
    if !absolute.is_dir() {
        return Err(Error::usage(format!("`{}` is not a folder", path.display())).hint(hint));
    }
    let mut entries = std::fs::read_dir(&absolute).map_err(unreadable)?;
    if !entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != ".git")) {
        return Err(Error::usage(format!("`{}` is empty: there is nothing to work on", path.display())).hint(hint));
    }
    Ok(absolute)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn file(text: &str) -> Result<FileConfig> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        FileConfig::load(&path)
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "").unwrap();
        let file =
            file("model = 'm/file'\nsteps = 7\ntime_max = '5m'\n[env]\nA = '1'\nB = '1'\n[sandbox]\nmemory = '1g'\n");
        let typed = Typed { steps: Some(9), env: vec![("B".into(), "2".into())], ..Typed::default() };
        let config = RunConfig::resolve(folder.path(), typed, file.unwrap()).unwrap();
        assert_eq!(config.model.as_deref(), Some("m/file"));
        assert_eq!((config.limits.steps_max, config.limits.wall_time_max_ms), (9, Some(300_000)));
        assert_eq!(config.resources.memory_bytes, 1 << 30);
        assert_eq!(config.env, [("A".into(), "1".into()), ("B".into(), "2".into())]);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_file_and_line() {
        let error = file("model = 'x'\nmodle = 'y'\n").unwrap_err();
        assert_eq!(error.exit, crate::error::ExitCode::Usage);
        let text = error.to_string();
        assert!(text.contains("config.toml") && text.contains("line 2") && text.contains("modle"), "{text}");
    }

    #[test]
    fn values_are_checked() {
        for bad in [
            "time_max = 'soon'",
            "[sandbox]\nmemory = 'much'",
            "[sandbox]\ncpus = 0",
            "[env]\n'A B' = 'x'",
            "[setup]\nallow = ['*']",
            "[setup]\nallow = ['user@index.example']",
            "[setup]\ndeny = ['index.example:0']",
            "cost_usd_max = -1",
        ] {
            assert!(file(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_folder_must_be_there_and_hold_something() {
        let folder = tempfile::tempdir().unwrap();
        let empty = repository(folder.path()).unwrap_err();
        assert!(empty.what.contains("is empty"), "{empty}");
        std::fs::create_dir(folder.path().join(".git")).unwrap();
        assert!(repository(folder.path()).is_err(), "a bare `.git` is nothing to work on");
        assert!(repository(&folder.path().join("absent")).unwrap_err().what.contains("no repository"));
        assert!(repository(Path::new("/")).is_err());
    }
}
