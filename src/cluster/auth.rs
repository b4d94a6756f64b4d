//! Logging in: the plan's key, the ssh agent, the keys of the user's configuration, the password, in this order.
use super::connect_error::ConnectError;
use super::dial::Deadline;
use super::target::{Secret, SshTarget};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ssh2::{KeyboardInteractivePrompt, Prompt, Session};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const STEP: Duration = Duration::from_secs(20);

pub(super) fn log_in(
    session: &Session,
    target: &SshTarget,
    node: &Arc<str>,
    deadline: &Deadline,
) -> Result<(), ConnectError> {
    deadline.limit(session, STEP);
    let allowed = match session.auth_methods(&target.user) {
        Ok(allowed) => allowed.to_owned(),
        // The host asked for nothing at all.
        Err(_) if session.authenticated() => return Ok(()),
        Err(error) => return Err(deadline.failed(error)),
    };
    let mut tried = Vec::new();
    let by_key = allowed.contains("publickey");
    let done = (by_key && by_keys(session, target, deadline, &mut tried))
        || target
            .password
            .as_ref()
            .is_some_and(|secret| by_password(session, target, secret, &allowed, deadline, &mut tried));
    if done {
        return Ok(());
    }
    if deadline.left().is_zero() {
        return Err(deadline.timed_out());
    }
    if !by_key && target.key.is_some() {
        tried.push("no key (the host takes none)".into());
    }
    Err(ConnectError::AuthFailed { node: Arc::clone(node), user: target.user.clone(), tried, allowed })
}

fn by_keys(session: &Session, target: &SshTarget, deadline: &Deadline, tried: &mut Vec<String>) -> bool {
    let given = target.key.as_deref();
    if given.is_some_and(|key| by_file(session, target, key, deadline, tried))
        || by_agent(session, target, deadline, tried)
    {
        return true;
    }
    let others = target.identities.iter().filter(|key| Some(key.as_path()) != given && key.is_file());
    others.into_iter().any(|key| by_file(session, target, key, deadline, tried))
}

fn by_file(session: &Session, target: &SshTarget, key: &Path, deadline: &Deadline, tried: &mut Vec<String>) -> bool {
    deadline.limit(session, STEP);
    let passphrase = target.passphrase.as_ref().map(Secret::reveal);
    let answer = match std::fs::metadata(key) {
        Err(error) => error.to_string(),
        Ok(_) => match session.userauth_pubkey_file(&target.user, None, key, passphrase) {
            Ok(()) => return session.authenticated(),
            Err(error) => error.message().to_owned(),
        },
    };
    let hint = if answer.contains("passphrase") && passphrase.is_none() {
        " (is it encrypted? then name a variable with its passphrase in ssh.passphrase_env)"
    } else {
        ""
    };
    tried.push(format!("key {}: {answer}{hint}", key.display()));
    false
}

fn by_agent(session: &Session, target: &SshTarget, deadline: &Deadline, tried: &mut Vec<String>) -> bool {
    let Some(socket) = &target.ssh_agent else {
        return false;
    };
    deadline.limit(session, STEP);
    let mut asked = || -> Result<bool, ssh2::Error> {
        let mut agent = session.agent()?;
        agent.set_identity_path(socket)?;
        agent.connect()?;
        agent.list_identities()?;
        for identity in agent.identities()?.iter().filter(|identity| wanted(target, identity.blob())) {
            deadline.limit(session, STEP);
            match agent.userauth(&target.user, identity) {
                Ok(()) => return Ok(true),
                Err(error) => tried.push(format!("agent key {}: {}", identity.comment(), error.message())),
            }
        }
        Ok(false)
    };
    match asked() {
        Ok(done) => done,
        Err(error) => {
            tried.push(format!("ssh agent: {}", error.message()));
            false
        }
    }
}

/// Whether a key of the agent may be tried: too many wrong ones, and the host hangs up.
fn wanted(target: &SshTarget, blob: &[u8]) -> bool {
    let encoded = BASE64.encode(blob);
    let named = |key: &Path| {
        let mut public = key.as_os_str().to_owned();
        public.push(".pub");
        std::fs::read_to_string(public).is_ok_and(|text| text.split_whitespace().nth(1) == Some(&encoded))
    };
    !target.named_only || target.key.iter().chain(&target.identities).any(|key| named(key))
}

fn by_password(
    session: &Session,
    target: &SshTarget,
    secret: &Secret,
    allowed: &str,
    deadline: &Deadline,
    tried: &mut Vec<String>,
) -> bool {
    struct Answer<'a>(&'a str);
    impl KeyboardInteractivePrompt for Answer<'_> {
        fn prompt<'b>(&mut self, _: &str, _: &str, prompts: &[Prompt<'b>]) -> Vec<String> {
            prompts.iter().map(|_| self.0.to_owned()).collect()
        }
    }
    deadline.limit(session, STEP);
    if allowed.contains("password") {
        match session.userauth_password(&target.user, secret.reveal()) {
            Ok(()) => return session.authenticated(),
            Err(error) => tried.push(format!("password: {}", error.message())),
        }
    }
    if allowed.contains("keyboard-interactive") {
        match session.userauth_keyboard_interactive(&target.user, &mut Answer(secret.reveal())) {
            Ok(()) => return session.authenticated(),
            Err(error) => tried.push(format!("keyboard-interactive: {}", error.message())),
        }
    }
    if !allowed.contains("password") && !allowed.contains("keyboard-interactive") {
        tried.push("no password (the host takes none)".into());
    }
    false
}
