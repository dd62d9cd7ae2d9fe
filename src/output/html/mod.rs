//! A run as one self-contained HTML file: no network, no script but its own, and everything of the run as data that
//! only ever becomes text.

mod data;

pub use data::Data;

use base64::Engine;

use crate::error::{Error, Result};

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

pub fn page(data: &Data) -> Result<String> {
    let json =
        serde_json::to_string(data).map_err(|error| Error::internal("cannot write the report").because(error))?;
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src '{}'; script-src '{}'; \
         base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>Greenroom run</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main></main>\n\
         <script type=\"application/json\" id=\"data\">{}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        hash(STYLE),
        hash(SCRIPT),
        inert(&json)
    ))
}

/// As a policy names what may run.
fn hash(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    format!("sha256-{}", base64::engine::general_purpose::STANDARD.encode(digest))
}

/// Inside JSON these can only stand in a string, where an escape means the same.
fn inert(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_holds_cannot_end_its_own_element() {
        let title = "</script><script>alert(1)</script><!--".to_owned();
        let html = page(&Data { title: title.clone(), ..Data::default() }).expect("a page");
        assert_eq!(html.matches("<script").count(), 2, "the data's and ours");
        assert_eq!(html.matches("</script").count(), 2);
        let start = html.find("id=\"data\">").expect("the data") + "id=\"data\">".len();
        let end = start + html[start..].find("</script>").expect("its end");
        let back: serde_json::Value = serde_json::from_str(&html[start..end]).expect("JSON");
        assert_eq!(back["title"], title);
    }

    #[test]
    fn the_policy_names_the_very_script() {
        let html = page(&Data::default()).expect("a page");
        assert!(html.contains(&format!("script-src '{}'", hash(SCRIPT))) && html.contains("default-src 'none'"));
        assert!(!SCRIPT.contains("innerHTML") && !SCRIPT.contains("eval"), "text nodes only");
    }
}
