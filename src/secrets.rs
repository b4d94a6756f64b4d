//! The secrets of this process, known by value, and the one redactor that every writer uses.
//!
//! A plan's options may hold passwords and tokens. They are needed to drive a target, and they must not stand in what a
//! run leaves behind: run.json, the stored plan, reports, JUnit, summaries, logs, stdout, stderr. A secret is known by a
//! recipe's `secret: true`, by the name of its key, as the userinfo of a URL, or because dsfuzz logged in with it.
//!
//! Words that dsfuzz itself writes (names of nodes, kinds of fault, checkers) are left alone wherever they stand, and a secret
//! that is such a word is hidden under its key only. Never: data whose names were redacted so that it means something else, or
//! data that is given out as it was because it could not be redacted.
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

/// Stands in the place of a secret.
pub const REDACTED: &str = "(redacted)";

/// A shorter value is hidden under its key alone: looked for everywhere, it would blank out ordinary words.
pub const CHARS_MIN: usize = 4;

static ANY: AtomicBool = AtomicBool::new(false);
/// The longest first, so that a secret that holds another one goes whole. Each in the forms in which it may be written.
static KNOWN: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// Names of this run: never redacted.
static NAMES: RwLock<BTreeSet<String>> = RwLock::new(BTreeSet::new());

/// Words of records and verdicts beside the names of checkers, models, faults and kinds of findings.
const WORDS: &[&str] = &[
    "availability",
    "candidate",
    "crash",
    "etcd",
    "evidence",
    "fail",
    "fault",
    "follower",
    "info",
    "invalid",
    "invoke",
    "leader",
    "load",
    "master",
    "node",
    "note",
    "primary",
    "process",
    "replica",
    "role",
    "unknown",
    "valid",
    "violation",
];

/// Keys of records, accounts and verdicts whose texts are names or one of a few words.
const NAMED: &[&str] = &[
    "checker",
    "claim",
    "cut",
    "final_reads",
    "kind",
    "name",
    "node",
    "nodes",
    "phase",
    "plan",
    "process",
    "role",
    "severity",
    "source",
    "step",
    "target",
    "type",
    "validity",
    "workload",
];

/// Whether dsfuzz itself writes this word.
fn is_name(text: &str) -> bool {
    WORDS.contains(&text)
        || dsfuzz_checkers::CHECKERS.iter().any(|doc| doc.name == text)
        || dsfuzz_checkers::ANOMALIES.iter().any(|(kind, _)| *kind == text)
        || dsfuzz_checkers::MODELS.iter().any(|doc| doc.name == text)
        || dsfuzz_nemesis::facts(text).is_some()
        || NAMES.read().unwrap_or_else(PoisonError::into_inner).contains(text)
}

/// From now on these names (of nodes, of the target, its processes and roles, of workloads) are left alone, also where a secret
/// is such a name.
pub fn keep<'a>(names: impl IntoIterator<Item = &'a str>) {
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    KNOWN.write().unwrap_or_else(PoisonError::into_inner).retain(|form| !names.contains(form));
    NAMES.write().unwrap_or_else(PoisonError::into_inner).extend(names);
}

/// From now on this value is redacted wherever it is written.
pub fn learn(secret: &str) {
    if secret.chars().count() < CHARS_MIN || secret == REDACTED || is_name(secret) {
        return;
    }
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    for form in forms(secret) {
        if !known.contains(&form) {
            known.push(form);
        }
    }
    known.sort_by_key(|form| std::cmp::Reverse(form.len()));
    ANY.store(true, Ordering::Release);
}

/// Learns every text below this value.
pub fn learn_all(value: &Value) {
    match value {
        Value::String(text) => learn(text),
        Value::Number(number) => learn(&number.to_string()),
        Value::Array(items) => items.iter().for_each(learn_all),
        Value::Object(map) => map.values().for_each(learn_all),
        Value::Null | Value::Bool(_) => {}
    }
}

/// Learns what stands under keys that name secrets, and the userinfo of URLs, at any depth.
pub fn learn_named(value: &Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                learn_option(key, value);
            }
        }
        Value::Array(items) => items.iter().for_each(learn_named),
        Value::String(text) => {
            if let Some((_, password)) = userinfo(text).and_then(|range| text[range].split_once(':')) {
                learn(password);
                // Up to an earlier `@` it may be the password, too.
                password.match_indices('@').for_each(|(at, _)| learn(&password[..at]));
            }
        }
        _ => {}
    }
}

/// Learns one option of a plan.
pub fn learn_option(name: &str, value: &Value) {
    if names_a_secret(name) { learn_all(value) } else { learn_named(value) }
}

/// The text without secrets.
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut text = without_userinfo(text);
    if ANY.load(Ordering::Acquire) {
        for form in KNOWN.read().unwrap_or_else(PoisonError::into_inner).iter() {
            if text.contains(form.as_str()) {
                text = Cow::Owned(text.replace(form.as_str(), REDACTED));
            }
        }
    }
    text
}

/// The text without secrets, where there were some in it.
pub fn changed(text: &str) -> Option<String> {
    match redact(text) {
        Cow::Owned(clean) => Some(clean),
        Cow::Borrowed(_) => None,
    }
}

/// The value with every text in it redacted, and every text hidden whose key names a secret.
pub fn redact_value(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if names_a_secret(key) && !matches!(value, Value::Null | Value::Bool(_)) {
                    *value = REDACTED.into();
                } else {
                    redact_value(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact_value),
        other => redact_texts(other),
    }
}

/// The same data with every text in it redacted but names, so that it keeps its meaning.
///
/// # Errors
/// Where it cannot be read back: then nothing of it may be written.
pub fn redacted<T: Serialize + DeserializeOwned>(data: &T) -> Result<T, String> {
    let say = |error: serde_json::Error| format!("it cannot be written without its secrets: {error}");
    let mut tree = serde_json::to_value(data).map_err(say)?;
    redact_texts(&mut tree);
    serde_json::from_value(tree).map_err(say)
}

fn redact_texts(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(clean) = redact(text) {
                *text = clean;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact_texts),
        Value::Object(map) => {
            for (key, value) in map {
                if !(NAMED.contains(&key.as_str()) && is_named(value)) {
                    redact_texts(value);
                }
            }
        }
        _ => {}
    }
}

/// Whether this is a name, or lists of names: words without a blank.
fn is_named(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.contains(char::is_whitespace) && !text.contains("://"),
        Value::Array(items) => items.iter().all(is_named),
        _ => false,
    }
}

/// Whether a key of this name holds a secret. The name of an environment variable is none.
pub fn names_a_secret(key: &str) -> bool {
    let words = words(key);
    if words.last().is_some_and(|word| word == "env") {
        return false;
    }
    let joined = words.concat();
    let anywhere = ["password", "passwd", "passphrase", "secret", "credential", "apikey", "privatekey", "accesskey"];
    let whole = ["pass", "pwd", "pw", "token", "tokens", "bearer", "dsn"];
    anywhere.iter().any(|word| joined.contains(word)) || words.iter().any(|word| whole.contains(&word.as_str()))
}

/// `rootPassword`, `api-key` and `API_KEY` in words of small letters.
fn words(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_small = false;
    for character in key.chars() {
        if !character.is_alphanumeric() || (after_small && character.is_uppercase()) {
            words.push(String::new());
        }
        after_small = character.is_lowercase() || character.is_numeric();
        if let (true, Some(word)) = (character.is_alphanumeric(), words.last_mut()) {
            word.extend(character.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Where a text has a URL's userinfo with a password: `user:password` in `scheme://user:password@host`. A password may hold
/// `/` and `@`, though a URL should have them in another form: the userinfo goes up to the last `@`. What looks like a port and
/// a path (`h:80/x@y`) is none.
fn userinfo(text: &str) -> Option<std::ops::Range<usize>> {
    let mut from = 0;
    while let Some(at) = text[from..].find("://") {
        let start = from + at + 3;
        let url = url(&text[start..]);
        if let Some(end) = url.rfind('@')
            && let Some((user, password)) = url[..end].split_once(':')
            && !password.is_empty()
            && !user.contains(['/', '?', '#'])
            && !is_port_and_path(password)
            && !password.ends_with(REDACTED)
        {
            return Some(start..start + end);
        }
        from = start;
    }
    None
}

/// The text up to the end of the URL with which it begins, its scheme left out: a blank, a quote, or a list's next URL.
fn url(text: &str) -> &str {
    let end = text.find(|c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>')).unwrap_or(text.len());
    let url = &text[..end];
    let next = url.find("://").and_then(|next| url[..next].rfind([',', ';', '|']));
    &url[..next.unwrap_or(url.len())]
}

fn is_port_and_path(text: &str) -> bool {
    text.split_once(['/', '?'])
        .is_some_and(|(port, _)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn without_userinfo(text: &str) -> Cow<'_, str> {
    let mut clean = Cow::Borrowed(text);
    while let Some(range) = userinfo(&clean) {
        let user = clean[range.clone()].split(':').next().unwrap_or_default().to_owned();
        let mut owned = clean.into_owned();
        owned.replace_range(range, &format!("{user}:{REDACTED}"));
        clean = Cow::Owned(owned);
    }
    clean
}

/// A secret as it is, and as JSON, HTML, a URL and a shell write it.
fn forms(secret: &str) -> Vec<String> {
    let json = Value::from(secret).to_string();
    let percent: String = secret
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect();
    let mut forms = vec![
        secret.to_owned(),
        json[1..json.len() - 1].to_owned(),
        secret.replace('\'', r"'\''"),
        crate::harmless::escape(secret),
        percent,
    ];
    // A secret of several lines, such as a key, may be written line by line.
    forms.extend(secret.lines().filter(|line| line.chars().count() >= 16).map(str::to_owned));
    forms.sort();
    forms.dedup();
    forms
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_that_name_secrets_are_known_by_their_words() {
        for secret in [
            "password",
            "rootPassword",
            "DB_PASSWD",
            "api_key",
            "apiKey",
            "API-KEY",
            "token",
            "auth_token",
            "pwd",
            "pass",
            "dsn",
            "client_secret",
            "private_key",
            "aws-access-key",
            "credentials",
            "sasl.passphrase",
        ] {
            assert!(names_a_secret(secret), "{secret}");
        }
        for plain in ["password_env", "tokenizer", "bypass", "key", "keys", "compass", "keyboard", "pass_through_env"] {
            assert!(!names_a_secret(plain), "{plain}");
        }
    }

    #[test]
    fn a_secret_is_redacted_in_every_form_in_which_it_is_written() {
        let secret = "hunter'2 <\"&> end-7Q";
        learn(secret);
        let json = serde_json::to_string(&json!({"cause": format!("login {secret} refused")})).unwrap();
        let html = format!("<p>{}</p>", crate::harmless::escape(secret));
        for text in [format!("x {secret} y"), json, html, secret.replace('\'', r"'\''")] {
            let clean = redact(&text);
            assert!(clean.contains(REDACTED) && !clean.contains("hunter"), "{clean}");
        }
        let data = vec![format!("with {secret}"), "without".to_owned()];
        assert_eq!(redacted(&data).unwrap(), [format!("with {REDACTED}"), "without".to_owned()]);
    }

    #[test]
    fn userinfo_of_urls_is_hidden_without_being_known() {
        let text = "postgres://u:dsnpass@h/db and http://plain@h and http://a:b@c:1, http://h:80/x@y";
        let clean = "postgres://u:(redacted)@h/db and http://plain@h and http://a:(redacted)@c:1, http://h:80/x@y";
        assert_eq!(redact(text), clean);
        assert_eq!(redact(clean), clean, "twice is once");
    }

    #[test]
    fn a_password_with_slashes_and_at_signs_is_hidden_whole() {
        for (text, clean) in [
            ("postgres://u:pa/ss@h/db", "postgres://u:(redacted)@h/db"),
            ("postgres://u:p@s/s@h/db", "postgres://u:(redacted)@h/db"),
            ("a://u:x/1@h,b://v:y/2@i end", "a://u:(redacted)@h,b://v:(redacted)@i end"),
            ("http://h:80/x@y", "http://h:80/x@y"),
            ("http://h/x:y@z", "http://h/x:y@z"),
        ] {
            assert_eq!(redact(text), clean);
        }
        learn_named(&json!({"url": "postgres://u:learnt/with@slash@h/db"}));
        assert_eq!(redact("login learnt/with@slash refused"), "login (redacted) refused");
    }

    #[test]
    fn names_and_words_of_records_survive_a_secret_that_is_one_or_a_part_of_one() {
        use dsfuzz_checkers::history::{FaultEvent, FaultStep, Record};
        // A part of a kind and of a node's name; and whole ones.
        ["zqki", "zqmember-", "partition", "zqmember-7"].into_iter().for_each(learn);
        keep(["zqmember-7"]);
        let record = Record::Fault(FaultEvent {
            index: 0,
            time: 0,
            fault: 0,
            kind: "zqkind".into(),
            step: FaultStep::Proven,
            what: "the password zqki of a partition of zqmember-7".into(),
            nodes: vec!["zqmember-7".into()],
            cut: vec![("zqmember-7".into(), "zqmember-8".into())],
            detail: Vec::new(),
            ended: None,
            problem: None,
            name: String::new(),
            entry: None,
            damages: false,
        });
        let Record::Fault(clean) = redacted(&record).unwrap() else { panic!("another record") };
        assert_eq!(
            (&*clean.kind, clean.step, clean.nodes),
            ("zqkind", FaultStep::Proven, vec!["zqmember-7".to_owned()])
        );
        assert_eq!(clean.cut, [("zqmember-7".to_owned(), "zqmember-8".to_owned())]);
        assert_eq!(clean.what, "the password (redacted) of a partition of (redacted)7");
    }

    #[test]
    fn a_certificate_survives_a_secret_that_is_its_claim_or_its_model() {
        use dsfuzz_checkers::{Certificate, Claim};
        ["no-linearization", "ineariz", "cas-register"].into_iter().for_each(learn);
        let claim = Claim::NoLinearization { model: "cas-register".into(), weakened: Vec::new() };
        let history = dsfuzz_checkers::History::default();
        let certificate = Certificate::new(&history, claim, &[]);
        assert_eq!(redacted(&certificate).expect("redacted"), certificate);
    }

    #[test]
    fn what_cannot_be_redacted_is_not_given_out() {
        learn("strange-enum-text");
        #[derive(serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "kebab-case")]
        enum Strange {
            StrangeEnumText,
        }
        assert!(redacted(&Strange::StrangeEnumText).is_err());
    }

    #[test]
    fn what_stands_under_a_key_is_learnt_and_hidden_elsewhere() {
        let mut options = json!({
            "db": {"dbPassword": "learnt-from-key-1", "port": 5432, "url": "x://u:learnt-from-url-2@h"},
            "list": [{"token": 83_121_977_u64}], "password_env": "VARIABLE", "secret": true,
        });
        learn_named(&options);
        assert_eq!(
            redact("a learnt-from-key-1 b learnt-from-url-2 c 83121977"),
            "a (redacted) b (redacted) c (redacted)"
        );
        redact_value(&mut options);
        let text = options.to_string();
        assert!(!text.contains("learnt") && text.contains("VARIABLE") && text.contains("5432"), "{text}");
    }
}
