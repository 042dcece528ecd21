//! Who may use the server: names and passwords, from the configuration and by AUTH.
//!
//! What AUTH changes holds until the server ends, and for sockets that come from then on.
//!
//! spec: samv3 §HELLO, §Authorization Configuration

use parking_lot::Mutex;
use ramson_crypto::hash::sha256;
use ramson_protocol::sam::Params;
use ramson_protocol::sam::reply::{Outcome, Reply};
use std::collections::HashMap;

/// Users at a time.
const MAX_USERS: usize = 64;

const SUBJECT: &str = "AUTH STATUS";

/// The users of a server.
#[derive(Debug, Default)]
pub struct Users(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Nobody else may use it.
    required: bool,
    /// The hashes of their passwords.
    passwords: HashMap<String, [u8; 32]>,
}

impl Users {
    /// These, with their passwords; nobody else may use the server. Without any, everybody may.
    pub fn new<'a>(users: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let passwords: HashMap<_, _> =
            users.into_iter().map(|(name, password)| (name.to_owned(), sha256(&[password.as_bytes()]))).collect();
        Self(Mutex::new(State { required: !passwords.is_empty(), passwords }))
    }

    /// True if whoever says this HELLO may use the server.
    pub(super) fn admit(&self, hello: &Params) -> bool {
        let state = self.0.lock();
        let (user, password) = (hello.get("USER").unwrap_or_default(), hello.get("PASSWORD").unwrap_or_default());
        !state.required || state.passwords.get(user) == Some(&sha256(&[password.as_bytes()]))
    }

    /// Does what AUTH wants.
    pub(super) fn command(&self, action: &str, params: &Params) -> Reply {
        match self.perform(action, params) {
            Ok(()) => Reply::new(SUBJECT, Outcome::Ok),
            Err(why) => Reply::new(SUBJECT, Outcome::I2pError).saying(why),
        }
    }

    fn perform(&self, action: &str, params: &Params) -> Result<(), &'static str> {
        let mut state = self.0.lock();
        let user = || params.filled("USER").ok_or("USER is missing");
        match action {
            // Everybody would be shut out until the next start.
            "ENABLE" if state.passwords.is_empty() => return Err("there are no users: add one first"),
            "ENABLE" => state.required = true,
            "DISABLE" => state.required = false,
            "ADD" => {
                let (user, password) = (user()?, params.filled("PASSWORD").ok_or("PASSWORD is missing")?);
                if state.passwords.contains_key(user) {
                    return Err("there is a user of this name already");
                }
                if state.passwords.len() >= MAX_USERS {
                    return Err("there are too many users: remove one");
                }
                state.passwords.insert(user.to_owned(), sha256(&[password.as_bytes()]));
            }
            "REMOVE" => {
                let user = user()?;
                if state.required && state.passwords.len() == 1 && state.passwords.contains_key(user) {
                    return Err("this is the last user: disable the authorization first");
                }
                state.passwords.remove(user).ok_or("there is no such user")?;
            }
            _ => return Err("write ENABLE, DISABLE, ADD or REMOVE"),
        }
        Ok(())
    }
}
