//! `[i2pcontrol]`

use super::Endpoint;
use super::section::section;

section! {
    /// I2PControl, by which programs that show how a router fares ask it, and end it. They speak JSON-RPC over TLS with the certificate
    /// `local/https.crt` of the data folder.
    I2pControl = "i2pcontrol" {
        /// Where it listens, such as `"127.0.0.1:7650"`; `false` is nowhere.
        listen: Endpoint = Endpoint(None) => Start;
        /// The password that programs must give. There is none unless you set it.
        password: String = String::new() => Start;
    }
}

impl I2pControl {
    /// # Errors
    /// What cannot be, and what to write.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.listen.0.is_some() && self.password.is_empty() {
            return Err("i2pcontrol.listen needs i2pcontrol.password: whoever has it can end the router".to_owned());
        }
        Ok(())
    }
}
