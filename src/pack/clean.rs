//! [`Cleaner`]: takes secrets, and on request the names of hosts, out of the texts of a run.
use crate::document;
use crate::secrets::{self, REDACTED};
use crate::store::{RunDir, RunInfo};
use anyhow::Result;
use regex_lite::Regex;
use serde_json::Value;
use std::borrow::Cow;

/// Shortest value of an environment variable that is looked for: a shorter one may be an ordinary word.
const VARIABLE_CHARS_MIN: usize = 8;

/// Knows what must not be in an archive.
pub(super) struct Cleaner {
    /// What is replaced, and by what; the longest first.
    hosts: Vec<(String, String)>,
    home: Option<String>,
    private_key: Regex,
    setting: Regex,
    /// Secrets in commands, each with the word before it and what stands behind it.
    in_commands: Vec<Regex>,
    line: Regex,
}

impl Cleaner {
    /// Learns the secrets of a run's plan and recipe and of the environment, and the names of its hosts if they are hidden.
    pub(super) fn of(dir: &RunDir, info: &RunInfo, hide_hosts: bool) -> Result<Cleaner> {
        let (mut hosts, mut documents) = (Vec::new(), Vec::new());
        if let Ok(text) = std::fs::read_to_string(dir.plan()) {
            let plan = document::parse("plan.yaml", &text)?;
            learn(&plan, false);
            if hide_hosts {
                hosts = names_of_hosts(&plan, info);
            }
            documents.push(plan);
        }
        if let Some(inputs) = info.inputs.as_ref().filter(|inputs| inputs.builtin.is_empty())
            && let Ok(text) = std::fs::read_to_string(dir.inputs().join(&inputs.recipe))
            && let Ok(recipe) = document::parse("recipe", &text)
        {
            learn(&recipe, false);
            learn_defaults(&recipe);
            documents.push(recipe);
        }
        for (name, value) in std::env::vars_os() {
            let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
            // `PWD` names the working folder.
            let path = value.starts_with('/');
            if secrets::names_a_secret(&name) && !path && value.chars().count() >= VARIABLE_CHARS_MIN {
                secrets::learn(&value);
            }
        }
        let (setting, mut in_commands) = (setting()?, Vec::new());
        for document in &documents {
            learn_commands(document, false, &setting, &mut in_commands);
        }
        let home = std::env::var("HOME").ok().filter(|home| home.len() > 1 && home.starts_with('/'));
        Ok(Cleaner {
            hosts,
            home,
            private_key: Regex::new(r"(?s)-----BEGIN ([A-Z ]*)PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----")?,
            setting,
            in_commands,
            line: Regex::new(
                r#"(?m)^([ \t-]*["']?([A-Za-z0-9_.-]+)["']?[ \t]*:[ \t]+)([^\s{\[#|>&*][^\n#]*?)([ \t]*(?:#.*)?)$"#,
            )?,
        })
    }

    /// A text without the known secrets.
    pub(super) fn text(&self, text: &str, count: &mut u64) -> String {
        let clean = without_places(secrets::redact(text), &self.in_commands);
        let clean =
            self.private_key.replace_all(&clean, format!("-----BEGIN ${{1}}PRIVATE KEY----- {REDACTED}").as_str());
        *count += (clean.matches(REDACTED).count() as u64).saturating_sub(text.matches(REDACTED).count() as u64);
        self.without_hosts(&clean)
    }

    /// A log: also without what stands behind words such as `password=`.
    pub(super) fn log(&self, text: &str, count: &mut u64) -> String {
        let clean = self.text(text, count);
        let replaced = self.setting.replace_all(&clean, |found: &regex_lite::Captures<'_>| {
            if found[2].starts_with("(redacted") || is_plain(&found[1], &found[2]) {
                return found[0].to_owned();
            }
            *count += 1;
            format!("{}{REDACTED}", &found[1])
        });
        replaced.into_owned()
    }

    /// A recipe: also without the values of keys that name secrets, however short.
    pub(super) fn recipe(&self, text: &str, count: &mut u64) -> String {
        let clean = self.text(text, count);
        let replaced = self.line.replace_all(&clean, |found: &regex_lite::Captures<'_>| {
            let value = found[3].trim();
            let plain = value.contains("{{")
                || value.contains(REDACTED)
                || matches!(value, "true" | "false" | "null" | "\"\"" | "''");
            if !secrets::names_a_secret(&found[2]) || plain {
                return found[0].to_owned();
            }
            *count += 1;
            format!("{}{REDACTED:?}{}", &found[1], &found[4])
        });
        replaced.into_owned()
    }

    fn without_hosts(&self, text: &str) -> String {
        let mut clean = Cow::Borrowed(text);
        for (name, instead) in &self.hosts {
            clean = replace_word(clean, name, instead);
        }
        if let Some(home) = &self.home {
            clean = replace_word(clean, home, "~");
        }
        clean.into_owned()
    }
}

/// Learns the texts under keys that name secrets. What a template fills in is no secret itself.
fn learn(tree: &Value, secret: bool) {
    match tree {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            let plain = value.is_string() || value.is_number() || value.is_array();
            learn(value, secret || (plain && secrets::names_a_secret(key)));
        }),
        Value::Array(items) => items.iter().for_each(|item| learn(item, secret)),
        Value::String(text) if secret && !text.contains("{{") => secrets::learn(text),
        Value::Number(number) if secret => secrets::learn(&number.to_string()),
        Value::String(_) => secrets::learn_named(tree),
        _ => {}
    }
}

/// `password=x`, `"token": "x"`, `X-Api-Key: x`, `--pass=x`, `requirepass x`, `--token x`, `Authorization: Bearer x`.
fn setting() -> Result<Regex> {
    let named = "[a-z0-9_.-]*(?:password|passwd|passphrase|pwd|secret|credential|api[_-]?key|private[_-]?key|access[_-]?key|token|\
                 requirepass|masterauth)[a-z0-9_.-]*[\"']?\\s*[:=]\\s*[\"']?";
    let flag = r#"(?:\b(?:requirepass|masterauth|bearer)|(?:^|[\s"'(\[])--?[a-z-]*(?:pass(?:word|wd)?|secret|token|api-?key))\s+["']?"#;
    let pass = r#"[a-z0-9_.-]*[_-]pass=["']?"#;
    Ok(Regex::new(&format!(r#"(?i)({named}|{flag}|{pass})([^\s"',;}})\]]+)"#))?)
}

/// Whether the value behind such a word is no secret.
fn is_plain(word: &str, value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    // `PWD` names the working folder.
    let folder = value.starts_with('/') && word.to_ascii_lowercase().contains("pwd");
    folder || matches!(value.as_str(), "true" | "false" | "null" | "none" | "yes" | "no" | "on" | "off")
}

/// Whether a template or the shell fills in this value, or it is the next flag.
fn is_filled_in(value: &str) -> bool {
    value.starts_with(['$', '`', '-']) || ["{{", "${", "$("].iter().any(|begin| value.contains(begin))
}

/// Keys of the commands of a custom fault, and of the functions that they share.
const COMMANDS: [&str; 5] = ["begin", "prove", "heal", "healed", "shell"];

/// Learns what stands behind words such as `--password` in commands of custom faults, and its places in them. A value that may be an
/// ordinary word or number is no secret elsewhere.
fn learn_commands(tree: &Value, command: bool, setting: &Regex, places: &mut Vec<Regex>) {
    let learn = |text: &str, places: &mut Vec<Regex>| {
        for found in setting.captures_iter(text) {
            let (word, value) = (&found[1], &found[2]);
            if is_plain(word, value) || is_filled_in(value) {
                continue;
            }
            places.extend(place(word, value));
            if value.chars().count() >= VARIABLE_CHARS_MIN && !value.bytes().all(|byte| byte.is_ascii_digit()) {
                secrets::learn(value);
            }
        }
    };
    match tree {
        Value::Object(map) => {
            for (key, value) in map {
                learn_commands(value, COMMANDS.contains(&key.as_str()), setting, places);
            }
        }
        Value::Array(items) => {
            if command {
                // Program and arguments.
                let words = items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned));
                learn(&words.collect::<Vec<_>>().join(" "), places);
            }
            items.iter().for_each(|item| learn_commands(item, command, setting, places));
        }
        Value::String(text) if command => learn(text, places),
        _ => {}
    }
}

/// The place of a value behind its word, in a command's text or list, as YAML, JSON and HTML write it.
fn place(word: &str, value: &str) -> Option<Regex> {
    let word = word.trim_matches(|c: char| c.is_whitespace() || "\"'([=:".contains(c));
    let between = r#"(?:[\s"',:=\\-]|&quot;|&#39;)+"#;
    let (word, value) = (regex_lite::escape(word), regex_lite::escape(value));
    Regex::new(&format!("({word}{between}){value}([^A-Za-z0-9_]|$)")).ok()
}

/// The text without the values in these places.
fn without_places<'t>(text: Cow<'t, str>, places: &[Regex]) -> Cow<'t, str> {
    places.iter().fold(text, |text, place| match place.is_match(&text) {
        true => Cow::Owned(place.replace_all(&text, format!("${{1}}{REDACTED}${{2}}")).into_owned()),
        false => text,
    })
}

/// Learns the defaults of a recipe's options that are secrets, by their names or by `secret: true`.
fn learn_defaults(recipe: &Value) {
    let Some(options) = recipe["options"].as_object() else { return };
    for (name, option) in options {
        if option["secret"] == true || secrets::names_a_secret(name) {
            secrets::learn_all(&option["default"]);
        }
    }
}

/// The names and addresses of the nodes, of the hosts in the plan and of this machine, each with its replacement. The names of
/// a lab's nodes say nothing.
fn names_of_hosts(plan: &Value, info: &RunInfo) -> Vec<(String, String)> {
    let mut names: Vec<(String, String)> = Vec::new();
    let mut add = |name: &str, instead: String| {
        let of_a_lab = name.strip_prefix('n').is_some_and(|number| number.parse::<u16>().is_ok());
        if name.len() > 1 && !of_a_lab && !names.iter().any(|(known, _)| known == name) {
            names.push((name.to_owned(), instead));
        }
    };
    for (position, node) in info.nodes.iter().enumerate() {
        let number = position + 1;
        add(&node.name, format!("node-{number}"));
        add(&node.address, format!("address-{number}"));
    }
    let cluster = &plan["cluster"];
    let listed = cluster["nodes"]
        .as_array()
        .into_iter()
        .flatten()
        .chain(cluster["exec"]["nodes"].as_array().into_iter().flatten());
    for (position, node) in listed.filter_map(Value::as_str).enumerate() {
        let number = position + 1;
        let host = node.rsplit_once('@').map_or(node, |(user, host)| {
            add(user, "user".to_owned());
            host
        });
        add(host.split(':').next().unwrap_or(host), format!("node-{number}"));
    }
    for (key, instead) in [("jump", "jump-host"), ("user", "user")] {
        if let Some(text) = cluster["ssh"][key].as_str().filter(|text| *text != "root") {
            add(text, instead.to_owned());
        }
    }
    if let Ok(name) = nix::unistd::gethostname() {
        add(&name.to_string_lossy(), "control".to_owned());
    }
    names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    names
}

/// The text with this word replaced, wherever it is no part of another word.
fn replace_word<'t>(text: Cow<'t, str>, word: &str, instead: &str) -> Cow<'t, str> {
    if word.is_empty() || !text.contains(word) {
        return text;
    }
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let (mut clean, mut from) = (String::with_capacity(text.len()), 0);
    for (at, _) in text.match_indices(word) {
        let end = at + word.len();
        let apart = !text[..at].ends_with(part) && !text[end..].starts_with(part);
        clean.push_str(&text[from..at]);
        clean.push_str(if apart { instead } else { word });
        from = end;
    }
    clean.push_str(&text[from..]);
    Cow::Owned(clean)
}

/// The text with about `most` bytes at the most: the lines of its begin and, three times as many, of its end. Also how many bytes
/// were left out.
pub(super) fn shortened(text: &str, most: u64) -> (String, u64) {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    if text.len() <= most {
        return (text.to_owned(), 0);
    }
    let head = floor(text, most / 4);
    let head = text[..head].rfind('\n').map_or(head, |at| at + 1);
    let tail = floor(text, text.len() - (most - most / 4));
    let tail = text[tail..].find('\n').map_or(tail, |at| tail + at + 1).max(head);
    let cut = (tail - head) as u64;
    (format!("{}... ({cut} bytes left out by dsfuzz pack)\n{}", &text[..head], &text[tail..]), cut)
}

/// The nearest boundary of a character at or before this byte.
fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_logs_lose_their_middle_in_whole_lines() {
        let text: String = (0..1000).map(|line| format!("line {line} é\n")).collect();
        let (short, cut) = shortened(&text, 400);
        assert!(short.len() < 500 && short.starts_with("line 0 é\n") && short.ends_with("line 999 é\n"), "{short}");
        assert!(short.contains(&format!("... ({cut} bytes left out by dsfuzz pack)\nline ")), "{short}");
        assert_eq!(
            cut as usize,
            text.len() - (short.len() - format!("... ({cut} bytes left out by dsfuzz pack)\n").len())
        );
        assert_eq!(shortened("short", 5), ("short".to_owned(), 0));
        let (one, _) = shortened(&"é".repeat(1000), 101);
        assert!(one.len() < 200, "one long line: {one}");
    }

    /// A text after the secrets of this custom fault were learnt.
    fn cleaned(fault: &Value, text: &str) -> String {
        let (setting, mut places) = (setting().expect("a pattern"), Vec::new());
        learn_commands(fault, false, &setting, &mut places);
        without_places(secrets::redact(text), &places).into_owned()
    }

    #[test]
    fn secrets_in_commands_are_found_behind_every_form_of_flag_and_setting() {
        for (command, value) in [
            ("ctl --token s.8Qabc-zq1 stop", "s.8Qabc-zq1"),
            ("ctl --secret 'zq2-secret-value'", "zq2-secret-value"),
            ("ctl --passwd zq3-passwd-value", "zq3-passwd-value"),
            ("ctl --pass=zq4-pass-value", "zq4-pass-value"),
            ("curl -H 'X-Api-Key: zq5-header-value' h", "zq5-header-value"),
            ("MYSQL_PWD=zq6-variable-value mysql", "zq6-variable-value"),
            ("ctl --password zq7$with-a-dollar", "zq7$with-a-dollar"),
        ] {
            let clean = cleaned(&serde_json::json!({"begin": command}), &format!("{command}; it said {value}"));
            assert!(!clean.contains(value), "{command}: {clean}");
        }
        let clean =
            cleaned(&serde_json::json!({"shell": "api() { curl --token zq8-shared-value; }"}), "a zq8-shared-value b");
        assert_eq!(clean, "a (redacted) b");
    }

    #[test]
    fn secrets_in_lists_of_arguments_are_found_in_every_form() {
        let fault = serde_json::json!({"begin": ["ctl", "--password", "zqhunt", "--token", "zq9-of-a-list", "--pin-token", 4711]});
        let yaml = "begin: [ctl, --password, zqhunt]\nbegin:\n  - --password\n  - zqhunt\n";
        let json = serde_json::to_string_pretty(&fault).expect("JSON");
        let clean = cleaned(&fault, &format!("{yaml}{json}zq9-of-a-list"));
        assert!(!clean.contains("zqhunt") && !clean.contains("zq9-of-a-list"), "{clean}");
        assert_eq!(
            cleaned(&fault, "4711 of zqhunts"),
            "4711 of zqhunts",
            "a short value is a secret in its place only"
        );
    }

    #[test]
    fn ordinary_words_and_numbers_in_commands_leave_a_document_as_it_is() {
        let fault = serde_json::json!({
            "begin": "ctl set allow_empty_password=true --token-bucket=12345678", "prove": "psql --no-password --list; ctl --password $KEPT",
            "heal": "ctl --password ${KEPT} --token $(cat f)", "healed": "cd $OLDPWD; PWD=/zq-working-folder ctl",
        });
        let json = r#"{"a": true, "bytes": 12345678, "b": "--list of /zq-working-folder"}"#;
        assert_eq!(cleaned(&fault, json), json);
        let texts = fault.to_string();
        assert_eq!(cleaned(&fault, &texts), texts.replace("=12345678", "=(redacted)"));
    }

    #[test]
    fn only_whole_words_are_replaced() {
        let replaced = |text: &'static str| replace_word(Cow::Borrowed(text), "db", "node-1").into_owned();
        assert_eq!(replaced("db database my-db db.x db:1 (db)"), "node-1 database my-db node-1.x node-1:1 (node-1)");
    }
}
