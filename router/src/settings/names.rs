//! `[names]`

use super::section::section;
use crate::units::Span;
use std::time::Duration;

/// A list is fetched no more often. INTEROP: Java does not either.
const LEAST_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Lists that can be followed, and services that can be named.
const MOST: usize = 64;

section! {
    /// The address book. `ramson name` reads and changes it.
    Names = "names" {
        /// Lists of names that are followed, by their URLs within I2P, such as `http://….b32.i2p/hosts.txt`. They change no name
        /// that is known, unless the name's holder has signed that.
        subscriptions: Vec<String> = Vec::new() => Start;
        /// How long a list is left alone when it was read.
        interval: Span = Span(Duration::from_secs(12 * 60 * 60)) => Start;
        /// Services that know names, each as `"URL"` or `"NAME URL"`: the HTTP proxy's page about a name that is not known links to them.
        /// What is looked for is written at the end. Those that there are without this are three of i2pd's.
        jump_services: Vec<String> = jump_services() => Start;
    }
}

fn jump_services() -> Vec<String> {
    [
        "reg.i2p http://shx5vqsw7usdaunyzr2qmes2fq37oumybpudrd4jjj4e4vk4uusa.b32.i2p/jump/",
        "stats.i2p http://7tbay5p4kzeekxvyvbf6v7eauazemsnnl2aoyqhg5jzpr5eke7tq.b32.i2p/cgi-bin/jump.cgi?a=",
        "notbob.i2p http://nytzrhrjjfsutowojvxi7hphesskpqqr65wpistz6wa7cpajhp7a.b32.i2p/cgi-bin/jump.cgi?q=",
    ]
    .map(str::to_owned)
    .to_vec()
}

impl Names {
    /// # Errors
    /// What cannot be, and what to write.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (key, urls) in [("subscriptions", &self.subscriptions), ("jump_services", &self.jump_services)] {
            if urls.len() > MOST {
                return Err(format!("names.{key}: {} of them: {MOST} at most", urls.len()));
            }
            for entry in urls {
                let url =
                    entry.rsplit_once(' ').filter(|_| key == "jump_services").map_or(entry.as_str(), |(_, url)| url);
                ramson_apps::subscriptions::check(url).map_err(|error| format!("names.{key}: {url:?}: {error}"))?;
            }
        }
        if self.interval.0 < LEAST_INTERVAL {
            return Err("names.interval: an hour at least; \"12h\" is usual".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;

    #[test]
    fn what_is_outside_of_i2p_or_asked_too_often_is_refused() {
        let check = |text: &str| Settings::parse(text).and_then(|settings| settings.names.check());
        assert_eq!(check(""), Ok(()));
        for (text, words) in [
            ("subscriptions = [\"https://example.com/hosts.txt\"]", "names.subscriptions"),
            ("jump_services = [\"http://192.0.2.1/\"]", "names.jump_services"),
            ("interval = \"5min\"", "an hour at least"),
        ] {
            let error = check(&format!("[names]\n{text}\n")).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
