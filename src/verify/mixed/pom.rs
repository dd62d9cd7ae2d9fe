//! `pom.xml`: how it is built and tested; dependencies may change.

use regex::Regex;

use super::ByKey;

const SECTIONS: [&str; 5] = ["build", "profiles", "reporting", "modules", "parent"];

pub(super) fn splice(before: &str, after: &str) -> Option<ByKey> {
    let mut text = after.to_owned();
    let mut keys = Vec::new();
    for name in SECTIONS {
        let (old, new) = (section(before, name), section(&text, name));
        if words(old) != words(new) {
            text = replace(&text, new, old);
            keys.push(name.to_owned());
        }
    }
    let (old, new) = (section(before, "properties"), section(&text, "properties"));
    if of_tests(old) != of_tests(new) {
        text = replace(&text, new, old);
        keys.push("properties".into());
    }
    (!keys.is_empty()).then_some(ByKey { text, keys })
}

/// From the first of these elements to the last end of one; empty where there is none.
fn section<'a>(text: &'a str, name: &str) -> &'a str {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    match (text.find(&open), text.rfind(&close)) {
        (Some(start), Some(end)) if start < end => &text[start..end + close.len()],
        _ => "",
    }
}

fn replace(text: &str, now: &str, by: &str) -> String {
    match now.is_empty() {
        true => text.replacen("</project>", &format!("{by}\n</project>"), 1),
        false => text.replacen(now, by, 1),
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// Properties that decide what is tested.
fn of_tests(text: &str) -> Vec<&str> {
    let named = Regex::new(r"(?i)skip|test|surefire|failsafe|argline|groups").expect("a literal");
    text.lines().map(str::trim).filter(|line| named.is_match(line)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const BEFORE: &str = "<project>\n<properties>\n<a.version>1</a.version>\n</properties>\n</project>";

    #[test]
    fn a_version_may_change_and_skipping_tests_may_not() {
        assert!(splice(BEFORE, &BEFORE.replace(">1<", ">2<")).is_none());
        let skipping = BEFORE.replace("</properties>", "<skipTests>true</skipTests>\n</properties>");
        assert_eq!(splice(BEFORE, &skipping).unwrap().text, BEFORE);
        let plugin = BEFORE.replace("</project>", "<build><plugins/></build>\n</project>");
        assert_eq!(splice(BEFORE, &plugin).unwrap().keys, ["build"]);
    }
}
