//! `package.json`: the scripts that are there, hooks around them, and the configuration of test tools.

use serde_json::{Map, Value};

use super::ByKey;

const KEYS: [&str; 12] =
    ["jest", "mocha", "vitest", "ava", "nyc", "c8", "tap", "eslintConfig", "eslintIgnore", "config", "babel", "xo"];

pub(super) fn splice(before: &str, after: &str) -> Option<ByKey> {
    let old: Map<String, Value> = serde_json::from_str(before).unwrap_or_default();
    let Ok(mut new) = serde_json::from_str::<Map<String, Value>>(after) else {
        return Some(ByKey { text: before.to_owned(), keys: vec!["all of it".into()] });
    };
    let mut keys = Vec::new();
    for key in KEYS {
        if old.get(key) != new.get(key) {
            put(&mut new, key, old.get(key));
            keys.push(key.to_owned());
        }
    }
    let empty = Map::new();
    let scripts = |manifest: &Map<String, Value>| manifest.get("scripts").and_then(Value::as_object).cloned();
    let (old_scripts, mut new_scripts) = (scripts(&old).unwrap_or_default(), scripts(&new).unwrap_or(empty));
    let hook_of_old = |name: &str| {
        let hooked = name.strip_prefix("pre").or_else(|| name.strip_prefix("post"));
        hooked.is_some_and(|hooked| old_scripts.contains_key(hooked) || matches!(hooked, "test" | "install"))
    };
    let names: Vec<String> = old_scripts.keys().chain(new_scripts.keys()).cloned().collect();
    let mut differing: Vec<String> = names
        .into_iter()
        .filter(|name| old_scripts.get(name) != new_scripts.get(name))
        // A script that is new is nobody's check.
        .filter(|name| old_scripts.contains_key(name) || hook_of_old(name))
        .collect();
    differing.sort();
    differing.dedup();
    for name in &differing {
        put(&mut new_scripts, name, old_scripts.get(name));
    }
    if !differing.is_empty() {
        new.insert("scripts".into(), Value::Object(new_scripts));
    }
    keys.extend(differing.into_iter().map(|name| format!("scripts.{name}")));
    (!keys.is_empty()).then(|| ByKey { text: serde_json::to_string_pretty(&new).expect("it was JSON"), keys })
}

fn put(map: &mut Map<String, Value>, key: &str, value: Option<&Value>) {
    match value {
        Some(value) => drop(map.insert(key.to_owned(), value.clone())),
        None => drop(map.remove(key)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const BEFORE: &str = r#"{"scripts": {"test": "node --test"}, "dependencies": {}}"#;

    #[test]
    fn a_new_script_and_a_new_dependency_are_no_business_of_the_checks() {
        let after = r#"{"scripts": {"test": "node --test", "dev": "x"}, "dependencies": {"a": "1"}}"#;
        assert!(splice(BEFORE, after).is_none());
    }

    #[test]
    fn the_test_script_its_hooks_and_jest_are() {
        let after = r#"{"scripts": {"test": "true", "pretest": "rm -r test"}, "jest": {}, "dependencies": {}}"#;
        let spliced = splice(BEFORE, after).unwrap();
        assert_eq!(spliced.keys, ["jest", "scripts.pretest", "scripts.test"]);
        let (old, new): (Value, Value) =
            (serde_json::from_str(BEFORE).unwrap(), serde_json::from_str(&spliced.text).unwrap());
        assert_eq!(old, new);
    }
}
