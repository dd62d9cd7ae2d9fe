//! The JSON Schema of a [`Report`](crate::Report), as it is checked in beside the sources.

/// JSON Schema (draft 2020-12) of a [`Report`](crate::Report) as it is written, for programs in other languages:
/// `greenroom parse --schema` prints it. It is generated from the types, and a test holds that it still is.
///
/// ```
/// let schema: serde_json::Value = serde_json::from_str(greenroom_parsers::REPORT_SCHEMA).unwrap();
/// assert_eq!(schema["title"], "Report");
/// assert!(schema["properties"]["verdict"].is_object());
/// ```
pub const REPORT_SCHEMA: &str = include_str!("../schema/report.schema.json");

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use serde_json::Value;

    use super::REPORT_SCHEMA;
    use crate::Report;

    /// `UPDATE_GOLDEN=1` writes it anew: read what changed, a program somewhere depends on it.
    #[test]
    fn it_is_what_the_types_say() {
        let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
        let schema = settings.into_generator().into_root_schema_for::<Report>();
        let generated = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/report.schema.json");
            std::fs::write(path, &generated).unwrap();
        } else {
            assert_eq!(generated, REPORT_SCHEMA, "run this test with UPDATE_GOLDEN=1");
        }
    }

    #[test]
    fn every_golden_report_fits() {
        let schema: Value = serde_json::from_str(REPORT_SCHEMA).unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/output");
        let mut reports = 0;
        for tool in std::fs::read_dir(root).unwrap() {
            for case in std::fs::read_dir(tool.unwrap().path()).unwrap() {
                let path = case.unwrap().path().join("report.json");
                let report: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
                check(&schema, &schema, &report, &path.display().to_string());
                reports += 1;
            }
        }
        assert!(reports > 100, "{reports} reports");
    }

    #[test]
    fn what_is_no_report_does_not_fit() {
        let schema: Value = serde_json::from_str(REPORT_SCHEMA).unwrap();
        let whole = serde_json::to_value(Report::default()).unwrap();
        assert_eq!(misfit(&schema, &schema, &whole, "report"), None);
        for (field, wrong) in [("verdict", "green".into()), ("tools", Value::Null), ("unread_lines", (-1).into())] {
            let mut report = whole.clone();
            report[field] = wrong;
            assert!(misfit(&schema, &schema, &report, "report").is_some(), "{field}");
        }
        let mut report = whole;
        report.as_object_mut().unwrap().remove("summary");
        assert!(misfit(&schema, &schema, &report, "report").is_some());
    }

    fn check(root: &Value, schema: &Value, value: &Value, at: &str) {
        assert_eq!(misfit(root, schema, value, at), None);
    }

    /// Where `value` does not fit, as far as the keywords go that this schema uses; others are refused.
    fn misfit(root: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
        let no = |what: &str| Some(format!("{at}: {what}: {value}"));
        let Some(keywords) = schema.as_object() else { return no("no schema") };
        for (keyword, rule) in keywords {
            let found = match keyword.as_str() {
                "$schema" | "$defs" | "title" | "description" | "format" | "default" => None,
                "$ref" => {
                    let pointer = rule.as_str().unwrap().trim_start_matches('#');
                    misfit(root, root.pointer(pointer).unwrap(), value, at)
                }
                "type" => {
                    let names = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                    if names.iter().any(|name| is_a(name.as_str().unwrap(), value)) { None } else { no("wrong type") }
                }
                "const" => {
                    if rule == value {
                        None
                    } else {
                        no("not the constant")
                    }
                }
                "enum" => {
                    if rule.as_array().unwrap().contains(value) {
                        None
                    } else {
                        no("not in the list")
                    }
                }
                "minimum" => {
                    if value.is_null() || value.as_f64() >= rule.as_f64() {
                        None
                    } else {
                        no("too small")
                    }
                }
                "maximum" => {
                    if value.is_null() || value.as_f64() <= rule.as_f64() {
                        None
                    } else {
                        no("too large")
                    }
                }
                "minItems" | "maxItems" => {
                    if value.as_array().unwrap().len() as u64 == rule.as_u64().unwrap() {
                        None
                    } else {
                        no("length")
                    }
                }
                "anyOf" | "oneOf" => {
                    let fits = rule.as_array().unwrap().iter().any(|rule| misfit(root, rule, value, at).is_none());
                    if fits { None } else { no("fits none") }
                }
                "required" => rule
                    .as_array()
                    .unwrap()
                    .iter()
                    .find(|name| value.get(name.as_str().unwrap()).is_none())
                    .and_then(|name| no(&format!("{name} is missing"))),
                "properties" => value.as_object().and_then(|object| {
                    object.iter().find_map(|(name, value)| match rule.get(name) {
                        Some(rule) => misfit(root, rule, value, &format!("{at}.{name}")),
                        None => no(&format!("{name} is unknown")),
                    })
                }),
                "additionalProperties" => {
                    value.as_object().and_then(|object| object.values().find_map(|value| misfit(root, rule, value, at)))
                }
                "items" => value
                    .as_array()
                    .and_then(|items| items.iter().find_map(|value| misfit(root, rule, value, &format!("{at}[]")))),
                "prefixItems" => value.as_array().and_then(|items| {
                    items.iter().zip(rule.as_array().unwrap()).find_map(|(value, rule)| misfit(root, rule, value, at))
                }),
                other => panic!("{at}: the schema says `{other}`, which this test does not know"),
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn is_a(name: &str, value: &Value) -> bool {
        match name {
            "null" => value.is_null(),
            "string" => value.is_string(),
            "number" => value.is_number(),
            "integer" => value.is_u64() || value.is_i64(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            other => panic!("type `{other}`"),
        }
    }
}
