//! `ramson site`: a router with a site on it.

use crate::Failure;
use crate::data_dir::DataDir;
use crate::settings::router::Role;
use crate::settings::tunnel::Tunnel;
use crate::settings::{Endpoint, Settings};
use crate::tunnels;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What the command line says beside the configuration, at the start and whenever that is read again.
#[derive(Default)]
pub(crate) struct Said {
    /// A site that is shown.
    pub(crate) site: Option<Site>,
    /// Whom the router is for.
    pub(crate) role: Option<Role>,
}

impl Said {
    /// The settings of a file with what was said.
    ///
    /// # Errors
    /// If they do not go together, or cannot be read.
    pub(crate) fn settings(&self, config: Option<&Path>) -> Result<Settings, Failure> {
        let mut settings = Settings::load(config)?;
        settings.router.role = self.role.unwrap_or(settings.router.role);
        if let Some(site) = &self.site {
            settings.tunnel.push(site.tunnel()?);
        }
        settings.check()?;
        Ok(settings)
    }
}

/// What is shown, as the command line says it.
pub(crate) struct Site {
    pub(crate) directory: Option<PathBuf>,
    pub(crate) proxy: Option<SocketAddr>,
    pub(crate) spa: bool,
    pub(crate) name: String,
}

impl Site {
    /// The tunnel that shows it.
    ///
    /// # Errors
    /// If there is no such folder.
    pub(crate) fn tunnel(&self) -> Result<Tunnel, Failure> {
        let mut tunnel = Tunnel { name: self.name.clone(), ..Tunnel::default() };
        match (&self.directory, self.proxy) {
            (Some(folder), _) => {
                let found = folder.canonicalize().ok().filter(|path| path.is_dir());
                let path = found.ok_or_else(|| format!("there is no folder {}: name one", folder.display()))?;
                (tunnel.r#type, tunnel.spa) = ("site".to_owned(), self.spa);
                tunnel.directory = path.to_str().ok_or("the folder's name is not UTF-8: give it another")?.to_owned();
            }
            (None, target) => {
                (tunnel.r#type, tunnel.target) = ("http-server".to_owned(), Endpoint(target));
            }
        }
        Ok(tunnel)
    }

    /// Says where it is, for whoever started it.
    ///
    /// # Errors
    /// If its keys cannot be read.
    #[expect(clippy::print_stdout, reason = "it is what the command is for")]
    pub(crate) fn tell(&self, settings: &Settings, data: &DataDir) -> Result<(), Failure> {
        let address = tunnels::address(&self.name, data)?;
        println!("http://{address}/");
        if let Some(proxy) = settings.http_proxy.listen.0 {
            println!("curl -x http://{proxy} http://{address}/");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_a_tunnel_beside_those_of_the_configuration_and_one_that_cannot_be_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let site = |directory: Option<PathBuf>, name: &str| Said {
            site: Some(Site {
                proxy: directory.is_none().then(|| "127.0.0.1:80".parse().unwrap()),
                directory,
                spa: true,
                name: name.to_owned(),
            }),
            role: None,
        };
        let settings = site(Some(folder.path().to_owned()), "site").settings(None).unwrap();
        assert!(settings.tunnel[0].spa && settings.tunnel[0].r#type == "site");
        let proxied = site(None, "site").settings(None).unwrap();
        assert_eq!(proxied.tunnel[0].r#type, "http-server");
        let error = |said: Said, config: Option<&Path>| said.settings(config).unwrap_err().to_string();
        assert!(error(site(Some(folder.path().join("none")), "site"), None).contains("no folder"));
        assert!(error(site(None, "a/b"), None).contains("letters, digits"));
        let relay = Said { role: Some(Role::Relay), ..Said::default() };
        assert_eq!(relay.settings(None).unwrap().router.role, Role::Relay);
        assert!(error(Said { role: Some(Role::Relay), ..site(None, "site") }, None).contains("role"));
        let config = folder.path().join("ramson.toml");
        std::fs::write(&config, "[router]\nrole = \"relay\"\n").unwrap();
        assert!(error(site(None, "site"), Some(&config)).contains("role"));
    }
}
