//! ruff's rules by name: newer versions print `unused-import` where older ones, and the JSON of all, say `F401`.

/// `name code` a line, sorted by name; from `ruff rule --all --output-format json` of 0.17.6.
const RULES: &str = include_str!("rules.txt");

/// The code of a rule, by which findings of all versions and formats are the same; a name that is unknown stays.
pub(in super::super) fn code(name: &str) -> &str {
    let (mut from, mut to) = (0, RULES.len());
    while from < to {
        let middle = from + (to - from) / 2;
        let start = RULES[..middle].rfind('\n').map_or(0, |at| at + 1);
        let end = RULES[middle..].find('\n').map_or(RULES.len(), |at| middle + at);
        let Some((rule, code)) = RULES[start..end].split_once(' ') else { return name };
        match rule.cmp(name) {
            std::cmp::Ordering::Equal => return code,
            std::cmp::Ordering::Less => from = end + 1,
            std::cmp::Ordering::Greater => to = start,
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_found_by_its_name_and_nothing_else_is() {
        for line in RULES.lines() {
            let (name, expected) = line.split_once(' ').expect("a name and a code");
            assert_eq!(code(name), expected);
        }
        for other in ["invalid-syntax", "F401", "", "zzz-zzz", "aaa-aaa", "a b"] {
            assert_eq!(code(other), other);
        }
    }
}
