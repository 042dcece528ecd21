//! The command line.

use crate::name::NameCommand;
use crate::settings::router::Role;
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// An I2P router built to carry traffic fast.
#[derive(Debug, Parser)]
#[command(name = "ramson", version = crate::version::long())]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the node. SIGTERM drains and stops it, a second one stops it at once; SIGHUP reloads the configuration.
    Run {
        /// The configuration file; without it all keys have their defaults.
        #[arg(long)]
        config: Option<PathBuf>,
        /// The folder for keys, RouterInfo and database.
        #[arg(long, default_value_os_t = default_data())]
        data: PathBuf,
        /// Whom the router is for, whatever the configuration says.
        #[arg(long)]
        role: Option<Role>,
        /// Stop when standard input is closed: for a parent process that must not leave us behind.
        #[arg(long, hide = true)]
        while_stdin_is_open: bool,
    },
    /// Run a router with a site on it, and say its address: a folder, or what a web server of this machine shows.
    Site {
        /// The folder.
        #[arg(required_unless_present = "proxy", conflicts_with = "proxy")]
        directory: Option<PathBuf>,
        /// Where the web server listens.
        #[arg(long, value_name = "HOST:PORT")]
        proxy: Option<SocketAddr>,
        /// Show the folder's index.html for whatever is not there, for programs that run in the browser.
        #[arg(long, conflicts_with = "proxy")]
        spa: bool,
        /// The name by which the site's keys are kept: it has the same address each time.
        #[arg(long, default_value = "site")]
        name: String,
        /// The configuration file; without it all keys have their defaults.
        #[arg(long)]
        config: Option<PathBuf>,
        /// The folder for keys, RouterInfo and database.
        #[arg(long, default_value_os_t = default_data())]
        data: PathBuf,
    },
    /// Run a private network of routers on this machine, with a verified stream of tunnel messages through it.
    Testnet {
        /// How many routers, beside the one that sends and receives.
        #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(4..=60))]
        routers: u8,
        /// End after so many seconds; without it Ctrl-C ends the network.
        #[arg(long)]
        seconds: Option<u64>,
        /// Megabytes per second to offer.
        #[arg(long, default_value_t = 2.0)]
        rate: f64,
        /// Where the folders of the routers go; by default a temporary folder, removed at the end.
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Say what the router that runs is, what others think of it, and what it is busy with.
    Status {
        /// The data folder of the router.
        #[arg(long, default_value_os_t = default_data())]
        data: PathBuf,
        /// As JSON, in one line.
        #[arg(long)]
        json: bool,
        /// Again every two seconds, until Ctrl-C.
        #[arg(long)]
        watch: bool,
    },
    /// Say what of this machine keeps a router from its best, and the command that mends it. Nothing is changed or sent.
    Doctor {
        /// The configuration file.
        #[arg(long)]
        config: Option<PathBuf>,
        /// The data folder of the router.
        #[arg(long, default_value_os_t = default_data())]
        data: PathBuf,
    },
    /// Show our router hash, RouterInfo file and addresses.
    Info {
        /// The data folder.
        #[arg(long, default_value_os_t = default_data())]
        data: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Ask a destination whether it is there, through the router that runs: how long each answer takes. Servers answer, clients do not.
    Ping {
        /// A name of the address book, a `.b32.i2p` name or a destination in base 64.
        whom: String,
        /// How often, 1 to 16.
        #[arg(long, short = 'c', default_value_t = 4)]
        count: u8,
        /// The data folder.
        #[arg(long, default_value_os_t = default_data())]
        data: PathBuf,
    },
    /// Show the destinations of the data folder: their names, and by what name others reach them; while the router runs also those
    /// of programs, and what tunnels and streams each has.
    Destinations {
        /// The data folder.
        #[arg(long, default_value_os_t = default_data())]
        data: PathBuf,
        /// Print what stands as JSON, with whom there are streams.
        #[arg(long, conflicts_with = "register")]
        json: bool,
        /// Print the line by which a service that registers names gives this one to a destination.
        #[arg(long, value_name = "NAME.i2p", requires = "of")]
        register: Option<String>,
        /// Which destination, by the name of its tunnel.
        #[arg(long, value_name = "TUNNEL", requires = "register")]
        of: Option<String>,
    },
    /// Make a key with which a client reads an encrypted LeaseSet, as lines for the configurations of both sides.
    ClientKey,
    /// Print the tunnels of i2pd (tunnels.conf, with tunnels.d beside it) or Java I2P (i2ptunnel.config, with its folder) as
    /// [[tunnel]] of our configuration; comments say what has no place there.
    ImportTunnels {
        /// Where the key files lie; by default beside each file.
        #[arg(long)]
        keys: Option<PathBuf>,
        /// Files and folders.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Take RouterInfos into the database: files, or netDb folders of i2pd, Java I2P or Ramson. A node that runs is given
    /// them.
    Import {
        /// The configuration file, for the number of the network; without it, that of our RouterInfo counts, or the live one.
        #[arg(long)]
        config: Option<PathBuf>,
        /// The data folder.
        #[arg(long, default_value_os_t = default_data())]
        data: PathBuf,
        /// Files and folders.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Which destination a name is: the address book.
    Name {
        /// The data folder.
        #[arg(long, global = true, default_value_os_t = default_data())]
        data: PathBuf,
        /// What to do.
        #[command(subcommand)]
        command: NameCommand,
    },
    /// List who is banned by the router that runs, ban somebody, or lift a ban.
    Bans {
        /// The data folder of the router.
        #[arg(long, default_value_os_t = default_data(), global = true)]
        data: PathBuf,
        /// The list as JSON.
        #[arg(long)]
        json: bool,
        /// What to do; without it the bans are listed.
        #[command(subcommand)]
        what: Option<BansCommand>,
    },
    /// Make the key of a family of routers. Every router of the family gets a copy, and names it with router.family.
    Family {
        /// The family's name: letters, digits, dots, dashes.
        name: String,
        /// The file to write. An existing one is not replaced.
        #[arg(long)]
        file: PathBuf,
    },
    /// Take RouterInfos from a signed bundle (i2pseeds.su3), or make and offer such bundles.
    Reseed(Reseeding),
    /// The configuration file.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a page of the reference.
    #[command(subcommand, hide = true)]
    Doc(Page),
}

/// What can be done with bans.
#[derive(Debug, Subcommand)]
pub(crate) enum BansCommand {
    /// Ban a router, an address, or a network: its sessions end, and it is neither let in nor called.
    Add {
        /// A router hash in I2P's base 64, an address, a /24 of IPv4 or a /48 of IPv6.
        who: String,
        /// For how long, such as 10min, 2h or 30d.
        #[arg(long = "for", default_value = "1d")]
        time: String,
        /// Why, for the list.
        #[arg(long, default_value = "by the operator")]
        reason: String,
    },
    /// Lift a ban, and forget what led to it.
    Lift {
        /// As `ramson bans` writes it.
        who: String,
    },
}

/// A bundle to be taken, or what else can be done with bundles.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Reseeding {
    /// What to do with bundles; without it one is taken into the database, or given to the node that runs.
    #[command(subcommand)]
    pub command: Option<ReseedCommand>,
    /// The bundle: a file, or an address that begins with https://.
    #[arg(required = true)]
    pub source: Option<String>,
    /// The configuration file, for the number of the network, the proxy, and who may sign.
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// The data folder.
    #[arg(long, default_value_os_t = default_data())]
    pub data: PathBuf,
}

/// Bundles of our own.
#[derive(Debug, Subcommand)]
pub(crate) enum ReseedCommand {
    /// Make a bundle of routers that are fresh and can be called.
    Make(Making),
    /// Offer bundles over HTTPS, made anew every hour.
    Serve(Serving),
}

/// What goes into a bundle.
#[derive(Debug, Args)]
pub(crate) struct Offering {
    /// RouterInfos to choose from: files and netDb folders. Without any, those that the router of the data folder knows.
    pub paths: Vec<PathBuf>,
    /// The data folder of a router, whether it runs or not.
    #[arg(long, default_value_os_t = default_data())]
    pub data: PathBuf,
    /// The number of the network.
    #[arg(long, default_value_t = 2)]
    pub network: u8,
    /// Also routers at addresses that are not public, as in a private network.
    #[arg(long)]
    pub private: bool,
    /// Routers in a bundle, at most.
    #[arg(long, default_value_t = ramson_protocol::reseed::bundle::USUAL)]
    pub count: usize,
}

/// How a bundle is made.
#[derive(Debug, Args)]
pub(crate) struct Making {
    /// What goes into it.
    #[command(flatten)]
    pub offer: Offering,
    /// Who signs: an id like you@mail.i2p. Key and certificate are made if there are none.
    #[arg(long)]
    pub signer: String,
    /// The folder for them.
    #[arg(long, default_value = "reseed-keys")]
    pub keys: PathBuf,
    /// The file to write.
    #[arg(long, default_value = "i2pseeds.su3")]
    pub out: PathBuf,
}

/// How bundles are offered.
#[derive(Debug, Args)]
pub(crate) struct Serving {
    /// What goes into them.
    #[command(flatten)]
    pub offer: Offering,
    /// Who signs: an id like you@mail.i2p. Key and certificate are made if there are none.
    #[arg(long)]
    pub signer: String,
    /// The folder for them, and for https.crt and https.key.
    #[arg(long, default_value = "reseed-keys")]
    pub keys: PathBuf,
    /// Where to listen.
    #[arg(long, default_value = "0.0.0.0:8443")]
    pub listen: SocketAddr,
    /// A name or address at which others call us, for a certificate of HTTPS that is made now; may be given several times.
    #[arg(long)]
    pub name: Vec<String>,
}

/// What can be done with a configuration file.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say what is wrong with it, or what it changes: each key that has not its default.
    Check {
        /// The configuration file.
        #[arg(long)]
        config: Option<PathBuf>,
    },
}

/// What is made from the sources: pages of `docs/`, and files of packages.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Page {
    /// The keys of the configuration, in Markdown.
    Configuration,
    /// A configuration file in which every key stands with its default, as a comment.
    Example,
    /// The series of `/metrics`, in Markdown.
    Metrics,
    /// Manual pages, one for each command.
    Man {
        /// The folder to write them to.
        folder: PathBuf,
    },
    /// Completions for a shell.
    Completions {
        /// Which.
        shell: clap_complete::Shell,
    },
}

/// `$XDG_DATA_HOME/ramson`, or `~/.local/share/ramson`, or `./ramson-data` without a home.
fn default_data() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".local/share"));
    match std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).or_else(home) {
        Some(base) => base.join("ramson"),
        None => PathBuf::from("ramson-data"),
    }
}
