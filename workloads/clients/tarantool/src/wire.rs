//! The messages of Tarantool's binary protocol (iproto): greeting, login, `eval`, and the reply to a request.
use base64::Engine;
use rmpv::Value;
use sha1::{Digest, Sha1};

/// The length of a greeting.
pub(crate) const GREETING: usize = 128;
/// The length of the prefix that says how long a message is.
pub(crate) const PREFIX: usize = 5;
/// The longest reply that is read.
const LONGEST: u32 = 1 << 30;

const REQUEST_TYPE: u64 = 0x00;
const SYNC: u64 = 0x01;
const TUPLE: u64 = 0x21;
const USER_NAME: u64 = 0x23;
const EXPRESSION: u64 = 0x27;
const DATA: u64 = 0x30;
const ERROR: u64 = 0x31;
const AUTH: u64 = 0x07;
const EVAL: u64 = 0x08;
/// The code of a reply with an error is this plus the code of the error.
const ERROR_REPLY: u64 = 0x8000;

/// What an instance says first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Greeting {
    /// Major and minor version.
    pub(crate) version: (u64, u64),
    /// The line with the version, as it is.
    pub(crate) line: String,
    salt: Vec<u8>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Response {
    /// The number of the request.
    pub(crate) sync: u64,
    /// What the script returned, or the code and words of the error.
    pub(crate) result: Result<Vec<Value>, (u64, String)>,
}

impl Greeting {
    /// Reads a greeting: a line with the version, a line with the salt.
    pub(crate) fn read(bytes: &[u8]) -> Result<Greeting, String> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.lines();
        let line = lines.next().unwrap_or_default().trim().to_owned();
        let Some(version) = line.strip_prefix("Tarantool ").filter(|line| line.contains("(Binary)")) else {
            return Err(format!("no greeting of Tarantool's binary protocol: {line:?}"));
        };
        let mut parts = version.split(['.', '-', ' ']).map_while(|part| part.parse::<u64>().ok());
        let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        let salt = base64::engine::general_purpose::STANDARD.decode(lines.next().unwrap_or_default().trim());
        match salt {
            Ok(salt) if salt.len() >= 20 => Ok(Greeting { version, line, salt: salt[..20].to_vec() }),
            _ => Err("the greeting has no salt".to_owned()),
        }
    }

    /// The login of a user, as a message.
    pub(crate) fn login(&self, user: &str, password: &str, sync: u64) -> Vec<u8> {
        let tuple = Value::Array(vec!["chap-sha1".into(), Value::Binary(self.scramble(password))]);
        message(AUTH, sync, vec![(USER_NAME.into(), user.into()), (TUPLE.into(), tuple)])
    }

    /// sha1(password), hidden by sha1(salt, sha1(sha1(password))).
    fn scramble(&self, password: &str) -> Vec<u8> {
        let first = Sha1::digest(password);
        let second = Sha1::digest(first);
        let mask = Sha1::new().chain_update(&self.salt).chain_update(second).finalize();
        first.iter().zip(mask.iter()).map(|(byte, mask)| byte ^ mask).collect()
    }
}

/// The request to carry out a script with one argument, as a message.
pub(crate) fn eval(script: &str, argument: Value, sync: u64) -> Vec<u8> {
    message(EVAL, sync, vec![(EXPRESSION.into(), script.into()), (TUPLE.into(), Value::Array(vec![argument]))])
}

fn message(kind: u64, sync: u64, body: Vec<(Value, Value)>) -> Vec<u8> {
    let header = Value::Map(vec![(REQUEST_TYPE.into(), kind.into()), (SYNC.into(), sync.into())]);
    let mut payload = Vec::new();
    for part in [header, Value::Map(body)] {
        rmpv::encode::write_value(&mut payload, &part).expect("a Vec takes all");
    }
    let length = u32::try_from(payload.len()).expect("a request of less than 4 GiB");
    let mut message = Vec::with_capacity(PREFIX + payload.len());
    message.push(0xce);
    message.extend(length.to_be_bytes());
    message.extend(payload);
    message
}

/// How many bytes follow a prefix.
pub(crate) fn length(prefix: &[u8]) -> Result<usize, String> {
    match *prefix {
        [0xce, a, b, c, d] if u32::from_be_bytes([a, b, c, d]) <= LONGEST => {
            Ok(u32::from_be_bytes([a, b, c, d]) as usize)
        }
        _ => Err(format!("no length of a reply: {prefix:02x?}")),
    }
}

/// Reads a reply without its prefix.
pub(crate) fn response(mut payload: &[u8]) -> Result<Response, String> {
    let mut map =
        || rmpv::decode::read_value(&mut payload).map_err(|error| format!("a reply that is malformed: {error}"));
    let header = map()?;
    // A reply may end with its header.
    let body = map().unwrap_or(Value::Map(Vec::new()));
    let number = |key| field(&header, key).and_then(Value::as_u64);
    let (Some(code), Some(sync)) = (number(REQUEST_TYPE), number(SYNC)) else {
        return Err(format!("a reply without code and number: {header}"));
    };
    let result = if code < ERROR_REPLY {
        Ok(field(&body, DATA).and_then(Value::as_array).cloned().unwrap_or_default())
    } else {
        let text = field(&body, ERROR).and_then(Value::as_str).unwrap_or_default();
        Err((code - ERROR_REPLY, text.to_owned()))
    };
    Ok(Response { sync, result })
}

fn field(map: &Value, key: u64) -> Option<&Value> {
    map.as_map()?.iter().find(|(name, _)| name.as_u64() == Some(key)).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(version: &str) -> Vec<u8> {
        let salt = base64::engine::general_purpose::STANDARD.encode([7; 32]);
        format!("{version:<63}\n{salt:<63}\n").into_bytes()
    }

    #[test]
    fn a_greeting_says_version_and_salt() {
        let read =
            Greeting::read(&greeting("Tarantool 2.6.0 (Binary) 8c1ed3a2-7ce2-4eb0-a1c5-94d1eb2b2a9d")).expect("read");
        assert_eq!((read.version, read.salt), ((2, 6), vec![7; 20]));
        let error = Greeting::read(&greeting("SSH-2.0-OpenSSH_9.2")).expect_err("another protocol");
        assert!(error.contains("SSH-2.0"), "{error}");
        assert!(Greeting::read(b"Tarantool 2.6.0 (Binary) x\nAAAA\n").is_err(), "a salt that is too short");
    }

    #[test]
    fn a_message_says_its_length_and_number() {
        let message = eval("return 1", Value::Nil, 9);
        assert_eq!(length(&message[..PREFIX]), Ok(message.len() - PREFIX));
        let read = response(&message[PREFIX..]).expect("read");
        assert_eq!(read.sync, 9);
        assert!(length(&[0xce, 0xff, 0xff, 0xff, 0xff]).is_err(), "longer than any reply");
        assert!(length(b"HTTP/").is_err());
    }

    #[test]
    fn an_error_has_a_code() {
        let mut reply = Vec::new();
        let header = Value::Map(vec![(0.into(), (0x8000 + 7).into()), (1.into(), 3.into())]);
        let body = Value::Map(vec![(0x31.into(), "read-only".into())]);
        for part in [header, body] {
            rmpv::encode::write_value(&mut reply, &part).expect("written");
        }
        assert_eq!(response(&reply), Ok(Response { sync: 3, result: Err((7, "read-only".to_owned())) }));
        assert!(response(&[0xc1]).is_err());
    }
}
