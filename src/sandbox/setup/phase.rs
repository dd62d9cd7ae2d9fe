//! What commands of a set-up see and no later command does: the proxy, the certificates, and package managers told to
//! give up at the first refusal.

use super::super::profile::SET_UP_FILES;
use super::PROXY_PORT;

const CA_FILE: &str = "ca.crt";
const APT_FILE: &str = "apt.conf";
const MAVEN_FILE: &str = "maven-settings.xml";
pub(super) const TREE_FILES: &str = "tree-files";
pub(super) const TREE_FOLDERS: &str = "tree-folders";

/// Programs that read the bundle of certificates from a variable, each from its own.
const CA_VARIABLES: [&str; 11] = [
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NIX_SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "YARN_HTTPS_CA_FILE_PATH",
    "npm_config_cafile",
];

/// Variables by which an operator names a mirror. Their hosts go on the list, and they themselves into the phase.
const MIRRORS: [&str; 12] = [
    "GOPROXY",
    "GOSUMDB",
    "NPM_CONFIG_REGISTRY",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_INDEX_URL",
    "YARN_NPM_REGISTRY_SERVER",
    "YARN_REGISTRY",
    "npm_config_registry",
];

/// The environment of the phase: `image` without its offline switches, then what the phase needs, then the operator's.
pub(super) fn environment(
    image: &[(String, String)],
    operator: &[(String, String)],
    ca_bundle: &[u8],
) -> Vec<(String, String)> {
    let mut env: Vec<(String, String)> = image.to_vec();
    let mut set = |name: &str, value: &str| env.push((name.to_owned(), value.to_owned()));
    let proxy = format!("http://127.0.0.1:{PROXY_PORT}");
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        set(name, &proxy);
        set(&name.to_ascii_lowercase(), &proxy);
    }
    for name in ["NO_PROXY", "no_proxy"] {
        set(name, "localhost,127.0.0.1,::1");
    }
    if !ca_bundle.is_empty() {
        for name in CA_VARIABLES {
            set(name, &format!("{SET_UP_FILES}/{CA_FILE}"));
        }
    }
    set("APT_CONFIG", &format!("{SET_UP_FILES}/{APT_FILE}"));
    // Java reads no proxy from the environment. The mirrors of the image's global settings still count.
    set("MAVEN_ARGS", &format!("--batch-mode --settings {SET_UP_FILES}/{MAVEN_FILE}"));
    set("DEBIAN_FRONTEND", "noninteractive");
    // A refusal does not go away by asking again, and the proxy itself has tried every address of a host. The first
    // retry of pip comes at once, and prints the reason, which is not printed without one.
    set("PIP_RETRIES", "1");
    set("CARGO_NET_RETRY", "0");
    set("npm_config_fetch_retries", "0");
    // The image is the environment: there is no other Python in it to protect from this one.
    set("PIP_BREAK_SYSTEM_PACKAGES", "1");
    set("PIP_ROOT_USER_ACTION", "ignore");
    set("PIP_NO_CACHE_DIR", "1");
    set("npm_config_cache", "/tmp/npm-cache");
    // The workspace belongs to the user of later commands.
    for (name, value) in [("COUNT", "1"), ("KEY_0", "safe.directory"), ("VALUE_0", "*")] {
        set(&format!("GIT_CONFIG_{name}"), value);
    }
    env.extend(operator.iter().cloned());
    if let Some((_, path)) = env.iter_mut().rev().find(|(name, _)| name == "PATH") {
        for folder in ["/usr/local/sbin", "/usr/sbin", "/sbin"] {
            // Package managers keep their helpers there; an image for ordinary users may leave them out.
            if !path.split(':').any(|known| known == folder) {
                path.push(':');
                path.push_str(folder);
            }
        }
    }
    env
}

/// What the environment points to.
pub(super) fn files(ca_bundle: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut apt = "Acquire::Retries \"0\";\nAPT::Install-Recommends \"false\";\nDpkg::Use-Pty \"0\";\n".to_owned();
    let mut files = Vec::new();
    if !ca_bundle.is_empty() {
        apt.push_str(&format!("Acquire::https::CAInfo \"{SET_UP_FILES}/{CA_FILE}\";\n"));
        files.push((CA_FILE, ca_bundle.to_vec()));
    }
    files.push((APT_FILE, apt.into_bytes()));
    files.push((MAVEN_FILE, maven_settings().into_bytes()));
    files
}

fn maven_settings() -> String {
    let proxy = |protocol: &str| {
        format!(
            "<proxy><id>{protocol}</id><active>true</active><protocol>{protocol}</protocol>\
             <host>127.0.0.1</host><port>{PROXY_PORT}</port></proxy>"
        )
    };
    format!("<settings><proxies>{}{}</proxies></settings>\n", proxy("http"), proxy("https"))
}

/// The operator's own mirrors among `environment`. One that carries a password stays out: a set-up holds no secrets.
pub fn mirrors(environment: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let is_mirror =
        |name: &str| MIRRORS.contains(&name) || (name.starts_with("CARGO_REGISTRIES_") && name.ends_with("_INDEX"));
    let mut found: Vec<_> =
        environment.filter(|(name, value)| is_mirror(name) && value.contains("://") && !value.contains('@')).collect();
    found.sort();
    found
}

/// `host:port` of every web address in a text: configuration values and what package managers print of theirs.
pub(super) fn web_targets(text: &str) -> Vec<crate::sandbox::proxy::Target> {
    let mut found = Vec::new();
    for word in text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '|' | '\'' | '"' | '<' | '>' | '(' | ')')) {
        let word = word.strip_prefix("sparse+").or_else(|| word.strip_prefix("registry+")).unwrap_or(word);
        let (rest, port) = match (word.strip_prefix("https://"), word.strip_prefix("http://")) {
            (Some(rest), _) => (rest, 443),
            (None, Some(rest)) => (rest, 80),
            (None, None) => continue,
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        if let Ok(target) = crate::sandbox::proxy::Target::parse(authority, Some(port))
            && !found.contains(&target)
        {
            found.push(target);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn web_addresses_are_found_where_managers_print_them() {
        let text = "'http://mirror.example/debian/dists/x/InRelease' x 0 \n https://proxy.example,direct sum.example \
                    sparse+https://index.example:8443/ https://user@evil.example/ ftp://old.example";
        let found: Vec<String> = web_targets(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["mirror.example:80", "proxy.example:443", "index.example:8443"]);
    }

    #[test]
    fn mirrors_of_the_operator_are_taken_and_passwords_are_not() {
        let env = [
            pair("PIP_INDEX_URL", "https://mirror.example/simple"),
            pair("npm_config_registry", "https://me:secret@mirror.example/"),
            pair("CARGO_REGISTRIES_OWN_INDEX", "sparse+https://crates.example/"),
            pair("CARGO_REGISTRIES_OWN_TOKEN", "https://secret"),
            pair("GOPROXY", "off"),
            pair("AWS_SECRET_ACCESS_KEY", "x"),
        ];
        let names: Vec<_> = mirrors(env.into_iter()).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["CARGO_REGISTRIES_OWN_INDEX", "PIP_INDEX_URL"]);
    }

    #[test]
    fn tools_of_the_administrator_are_found() {
        let env = environment(&[pair("PATH", "/usr/bin:/sbin")], &[], b"");
        assert!(env.contains(&pair("PATH", "/usr/bin:/sbin:/usr/local/sbin:/usr/sbin")));
        assert!(!env.iter().any(|(name, _)| name == "SSL_CERT_FILE"), "no bundle, no variable");
    }
}
