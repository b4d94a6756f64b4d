//! Logging in by the plan's key, the ssh agent, the keys of the user's configuration and the password, in this order. After a
//! partial success (two factors) the host is asked again for its methods.
use super::connect::Deadline;
use super::connect_error::NodeConnectError;
use super::target::{Secret, SshTarget};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ssh2::{ErrorCode, KeyboardInteractivePrompt, Prompt, Session};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const STEP: Duration = Duration::from_secs(20);
/// LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED: the host knows the key, but the signature did not end the login.
const UNVERIFIED: ErrorCode = ErrorCode::Session(-19);

const KEYBOARD: &str = "keyboard-interactive";
/// Questions quoted in an error.
const QUESTIONS_MAX: usize = 8;
/// Methods in a row that a host may ask for (`AuthenticationMethods a,b,c`).
const FACTORS_MAX: usize = 4;

pub(super) fn log_in(
    session: &Session,
    target: &SshTarget,
    node: &Arc<str>,
    deadline: &Deadline,
) -> Result<(), NodeConnectError> {
    let Some(mut allowed) = methods(session, target, deadline)? else { return Ok(()) };
    let mut attempt = Attempt { session, target, deadline, tried: Vec::new(), accepted: Vec::new(), asked: Vec::new() };
    // A partial success changes the methods that the host takes next.
    for _ in 0..FACTORS_MAX {
        let before = attempt.accepted.len();
        if attempt.by_keys(&allowed) || attempt.by_password(&allowed) {
            return Ok(());
        }
        if deadline.left().is_zero() {
            return Err(deadline.timed_out());
        }
        if attempt.accepted.len() == before {
            break;
        }
        match methods(session, target, deadline)? {
            Some(next) => allowed = next,
            None => return Ok(()),
        }
    }
    let Attempt { mut tried, accepted, asked, .. } = attempt;
    if !accepted.is_empty() && allowed.split(',').any(|method| method == KEYBOARD) {
        let (node, user) = (Arc::clone(node), target.user.clone());
        return Err(NodeConnectError::SecondFactor {
            node,
            user,
            accepted: accepted.into(),
            allowed,
            asked: asked.into(),
            tried,
        });
    }
    if !allowed.contains("publickey") && target.key.is_some() && accepted.is_empty() {
        tried.push("no key (the host takes none)".into());
    }
    if !accepted.is_empty() {
        allowed = format!("{allowed}, after {} was accepted", accepted.join(" and "));
    }
    Err(NodeConnectError::AuthFailed { node: Arc::clone(node), user: target.user.clone(), tried, allowed })
}

/// The methods that the host takes now; none once the login is done.
fn methods(session: &Session, target: &SshTarget, deadline: &Deadline) -> Result<Option<String>, NodeConnectError> {
    deadline.limit(session, STEP);
    match session.auth_methods(&target.user) {
        Ok(allowed) => Ok(Some(allowed.to_owned())),
        // The host asked for nothing more.
        Err(_) if session.authenticated() => Ok(None),
        Err(error) => Err(deadline.failed(error)),
    }
}

/// A login under way.
struct Attempt<'a> {
    session: &'a Session,
    target: &'a SshTarget,
    deadline: &'a Deadline,
    /// Each method that was tried, with its outcome.
    tried: Vec<String>,
    /// Methods with partial success.
    accepted: Vec<String>,
    /// The questions of keyboard-interactive.
    asked: Vec<String>,
}

/// The outcome of one method.
enum MethodOutcome {
    Done,
    /// Partial success: the host wants another method too.
    InPart,
    Refused,
}

impl Attempt<'_> {
    /// Whether the login is done. Stops at the first partial success, since the host then takes other methods.
    fn by_keys(&mut self, allowed: &str) -> bool {
        if !allowed.contains("publickey") {
            return false;
        }
        let given: Vec<PathBuf> = self.target.key.iter().cloned().collect();
        let others = self.target.identities.iter().filter(|key| !given.contains(key) && key.is_file());
        let others: Vec<PathBuf> = others.cloned().collect();
        for key in &given {
            match self.by_file(key, allowed) {
                MethodOutcome::Done => return true,
                MethodOutcome::InPart => return false,
                MethodOutcome::Refused => {}
            }
        }
        match self.by_agent(allowed) {
            MethodOutcome::Done => return true,
            MethodOutcome::InPart => return false,
            MethodOutcome::Refused => {}
        }
        for key in &others {
            match self.by_file(key, allowed) {
                MethodOutcome::Done => return true,
                MethodOutcome::InPart => return false,
                MethodOutcome::Refused => {}
            }
        }
        false
    }

    /// Whether a success was partial: then the host takes other methods than before.
    fn in_part(&mut self, way: &str, allowed: &str) -> bool {
        let now = methods(self.session, self.target, self.deadline).ok().flatten();
        let in_part = now.is_some_and(|now| now != allowed);
        if in_part {
            self.tried.push(format!("{way}: accepted, and not enough"));
            self.accepted.push(way.to_owned());
        }
        in_part
    }

    fn by_file(&mut self, key: &Path, allowed: &str) -> MethodOutcome {
        let way = format!("key {}", key.display());
        if self.accepted.contains(&way) {
            return MethodOutcome::Refused;
        }
        self.deadline.limit(self.session, STEP);
        let passphrase = self.target.passphrase.as_ref().map(Secret::reveal);
        let answer = match std::fs::metadata(key) {
            Err(error) => error.to_string(),
            Ok(_) => match self.session.userauth_pubkey_file(&self.target.user, None, key, passphrase) {
                Ok(()) if self.session.authenticated() => return MethodOutcome::Done,
                Ok(()) => "not enough".to_owned(),
                Err(error) => {
                    if error.code() == UNVERIFIED && self.in_part(&way, allowed) {
                        return MethodOutcome::InPart;
                    }
                    error.message().to_owned()
                }
            },
        };
        let locked = ["passphrase", "private key"].iter().any(|words| answer.contains(words));
        let hint = if locked && passphrase.is_none() {
            " (is it encrypted? then name a variable with its passphrase in ssh.passphrase_env)"
        } else {
            ""
        };
        self.tried.push(format!("{way}: {answer}{hint}"));
        MethodOutcome::Refused
    }

    fn by_agent(&mut self, allowed: &str) -> MethodOutcome {
        let Some(socket) = &self.target.ssh_agent else {
            return MethodOutcome::Refused;
        };
        self.deadline.limit(self.session, STEP);
        let mut asked = || -> Result<MethodOutcome, ssh2::Error> {
            let mut agent = self.session.agent()?;
            agent.set_identity_path(socket)?;
            agent.connect()?;
            agent.list_identities()?;
            for identity in agent.identities()?.iter().filter(|identity| wanted(self.target, identity.blob())) {
                let way = format!("agent key {}", identity.comment());
                if self.accepted.contains(&way) {
                    continue;
                }
                self.deadline.limit(self.session, STEP);
                match agent.userauth(&self.target.user, identity) {
                    Ok(()) => return Ok(MethodOutcome::Done),
                    Err(error) if error.code() == UNVERIFIED && self.in_part(&way, allowed) => {
                        return Ok(MethodOutcome::InPart);
                    }
                    Err(error) => self.tried.push(format!("{way}: {}", error.message())),
                }
            }
            Ok(MethodOutcome::Refused)
        };
        match asked() {
            Ok(way) => way,
            Err(error) => {
                self.tried.push(format!("ssh agent: {}", error.message()));
                MethodOutcome::Refused
            }
        }
    }

    /// Whether the login is done.
    fn by_password(&mut self, allowed: &str) -> bool {
        let Some(secret) = self.target.password.as_ref() else { return false };
        self.deadline.limit(self.session, STEP);
        let user = &self.target.user;
        let takes = |method: &str| allowed.split(',').any(|one| one == method);
        if takes("password") && !self.accepted.contains(&"password".to_owned()) {
            match self.session.userauth_password(user, secret.reveal()) {
                Ok(()) if self.session.authenticated() => return true,
                Ok(()) => self.tried.push("password: not enough".into()),
                Err(_) if self.in_part("password", allowed) => return false,
                Err(error) => self.tried.push(format!("password: {}", error.message())),
            }
        }
        if takes(KEYBOARD) && !self.accepted.contains(&KEYBOARD.to_owned()) {
            let mut prompted = Prompted { password: secret.reveal(), asked: Vec::new() };
            let answer = self.session.userauth_keyboard_interactive(user, &mut prompted);
            self.asked = prompted.asked;
            match answer {
                Ok(()) if self.session.authenticated() => return true,
                Ok(()) => self.tried.push(format!("{KEYBOARD}: not enough")),
                Err(_) if self.in_part(KEYBOARD, allowed) => return false,
                Err(error) => self.tried.push(format!("{KEYBOARD}: {}", error.message())),
            }
        }
        if !takes("password") && !takes(KEYBOARD) && !allowed.contains("publickey") {
            self.tried.push("no password (the host takes none)".into());
        }
        false
    }
}

/// Answers every question with the password, and keeps the questions.
struct Prompted<'a> {
    password: &'a str,
    asked: Vec<String>,
}

impl KeyboardInteractivePrompt for Prompted<'_> {
    fn prompt<'b>(&mut self, _: &str, instructions: &str, prompts: &[Prompt<'b>]) -> Vec<String> {
        let words = std::iter::once(instructions).chain(prompts.iter().map(|prompt| prompt.text.as_ref()));
        let words = words.map(str::trim).filter(|words| !words.is_empty()).map(str::to_owned);
        self.asked.extend(words.take(QUESTIONS_MAX.saturating_sub(self.asked.len())));
        prompts.iter().map(|_| self.password.to_owned()).collect()
    }
}

/// Whether a key of the agent may be tried. After too many wrong keys the host hangs up.
fn wanted(target: &SshTarget, blob: &[u8]) -> bool {
    let encoded = BASE64.encode(blob);
    let named = |key: &Path| {
        let mut public = key.as_os_str().to_owned();
        public.push(".pub");
        std::fs::read_to_string(public).is_ok_and(|text| text.split_whitespace().nth(1) == Some(&encoded))
    };
    !target.named_only || target.key.iter().chain(&target.identities).any(|key| named(key))
}
