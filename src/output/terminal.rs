//! What stdout and stderr can take: colour, moving progress, or plain lines. Decided once, from the environment.

use std::io::IsTerminal;
use std::path::PathBuf;

use super::Channel;
use super::github::Actions;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    On,
    Off,
}

/// Whether progress may rewrite its own line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Live {
    Spinner,
    Lines,
}

#[derive(Debug, Clone)]
pub struct Surface {
    out: Stream,
    err: Stream,
    pub live: Live,
    pub github_actions: bool,
    github: Actions,
}

#[derive(Debug, Clone, Copy)]
struct Stream {
    is_terminal: bool,
    colour: Colour,
}

impl Surface {
    pub fn detect() -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        Surface::resolve(&variable, std::io::stdout().is_terminal(), std::io::stderr().is_terminal())
    }

    /// `NO_COLOR` beats `FORCE_COLOR` beats `TERM=dumb` beats whether it is a terminal.
    fn resolve(variable: &dyn Fn(&str) -> Option<String>, out: bool, err: bool) -> Self {
        let set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let dumb = variable("TERM").is_some_and(|term| term == "dumb");
        let forced = variable("FORCE_COLOR").is_some_and(|value| !value.is_empty() && value != "0" && value != "false");
        let colour = |is_terminal: bool| {
            if !set("NO_COLOR") && (forced || (is_terminal && !dumb)) { Colour::On } else { Colour::Off }
        };
        Surface {
            out: Stream { is_terminal: out, colour: colour(out) },
            err: Stream { is_terminal: err, colour: colour(err) },
            live: if err && !dumb && !set("CI") { Live::Spinner } else { Live::Lines },
            github_actions: variable("GITHUB_ACTIONS").is_some_and(|value| value == "true"),
            github: Actions { step_summary: path("GITHUB_STEP_SUMMARY"), workspace: path("GITHUB_WORKSPACE") },
        }
    }

    /// `None` elsewhere than under GitHub Actions.
    pub fn github(&self) -> Option<&Actions> {
        self.github_actions.then_some(&self.github)
    }

    pub fn colour(&self, channel: Channel) -> Colour {
        self.of(channel).colour
    }

    pub fn is_terminal(&self, channel: Channel) -> bool {
        self.of(channel).is_terminal
    }

    fn of(&self, channel: Channel) -> Stream {
        match channel {
            Channel::Out => self.out,
            Channel::Err => self.err,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surface(variables: &[(&str, &str)], terminal: bool) -> Surface {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Surface::resolve(&variable, terminal, terminal)
    }

    #[test]
    fn colour_follows_the_environment_before_the_terminal() {
        for (variables, terminal, expected) in [
            (&[][..], true, Colour::On),
            (&[], false, Colour::Off),
            (&[("NO_COLOR", "1")], true, Colour::Off),
            (&[("NO_COLOR", "")], true, Colour::On),
            (&[("TERM", "dumb")], true, Colour::Off),
            (&[("FORCE_COLOR", "1")], false, Colour::On),
            (&[("FORCE_COLOR", "0")], false, Colour::Off),
            (&[("NO_COLOR", "1"), ("FORCE_COLOR", "1")], true, Colour::Off),
        ] {
            assert_eq!(surface(variables, terminal).colour(Channel::Out), expected, "{variables:?} {terminal}");
        }
    }

    #[test]
    fn a_spinner_turns_only_where_somebody_watches() {
        assert_eq!(surface(&[], true).live, Live::Spinner);
        assert_eq!(surface(&[], false).live, Live::Lines);
        assert_eq!(surface(&[("CI", "true")], true).live, Live::Lines);
        assert_eq!(surface(&[("TERM", "dumb")], true).live, Live::Lines);
    }
}
