//! Asks hosts outside of the network for RouterInfos when too few are known.
//!
//! State owned: the [`Plan`], the files of the round that runs. In: a look at the number of known routers every few
//! seconds, and what the hosts brought. Out: RouterInfos to the netDb, files to be kept, and in words how it stands. Mailbox: the usual one; each
//! message is the answer to a question of ours, of which two are open at a time.
//!
//! A host is asked on a thread for blocking work, and what it brings is verified there. Nothing of it counts before the
//! plan says that enough signers stand for it.

use crate::netdb::NetDb;
use crate::series::control;
use crate::series::outcomes::{FetchOutcome, ReseedOutcome};
use crate::shared::Shared;
use crate::supervise::Vital;
use actix::prelude::*;
use bytes::Bytes;
use parking_lot::Mutex;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::reseed::bundle::{self, Bundle};
use ramson_protocol::reseed::certificate::Signers;
use ramson_protocol::reseed::plan::{Config, In, Out, Plan};
use ramson_protocol::reseed::sources::combine;
use rand::RngExt;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often the number of known routers is looked at. The first look leaves time for the database and for files.
const LOOK: Duration = Duration::from_secs(3);

/// How it stands while hosts are asked.
const NOW: &str = "reseeding now";

/// What a reseeder needs of the world.
pub trait Outside: Send + Sync {
    /// The file that a host offers. It blocks, and ends within a minute or two.
    ///
    /// # Errors
    /// Why there is none, in words.
    fn fetch(&self, host: usize) -> Result<Vec<u8>, String>;

    /// Keeps a signer's file for worse times, in place of his former one. It blocks.
    fn keep(&self, signer: &str, file: &[u8]);

    /// All files that were kept. It blocks.
    fn kept(&self) -> Vec<Vec<u8>>;
}

/// Whom to ask, and whom to believe.
pub struct ReseedConfig {
    /// The hosts, as the operator knows them.
    pub hosts: Vec<String>,
    /// Signers that must have been heard.
    pub needed: usize,
    /// Who may sign.
    pub signers: Signers,
    /// The way to them.
    pub outside: Arc<dyn Outside>,
}

/// How it stands, in words for the operator; clones share it.
#[derive(Clone, Debug)]
pub struct Reseeding(Arc<Mutex<String>>);

impl Default for Reseeding {
    fn default() -> Self {
        let off = "network.reseed is off, so give some with network.bootstrap, `ramson reseed` or `ramson import`";
        Self(Arc::new(Mutex::new(off.to_owned())))
    }
}

impl Reseeding {
    pub(crate) fn get(&self) -> String {
        self.0.lock().clone()
    }

    fn set(&self, words: String) {
        *self.0.lock() = words;
    }
}

/// The actor around the plan.
pub(crate) struct Reseeder {
    shared: Shared,
    netdb: NetDb,
    hosts: Vec<String>,
    needed: usize,
    signers: Arc<Signers>,
    outside: Arc<dyn Outside>,
    plan: Plan,
    words: Reseeding,
    /// The files of this round, by signer.
    files: BTreeMap<String, Vec<u8>>,
    /// Why hosts brought nothing in this round.
    failures: Vec<String>,
    timer: Option<SpawnHandle>,
    _vital: Vital,
}

/// What came of asking a host.
#[derive(Message)]
#[rtype(result = "()")]
struct Fetched {
    host: usize,
    outcome: Result<(Bundle, Vec<u8>), Failure>,
}

struct Failure {
    label: &'static str,
    words: String,
}

impl Reseeder {
    /// One that waits for its first look.
    pub(crate) fn new(shared: Shared, netdb: NetDb, config: ReseedConfig, words: Reseeding) -> Self {
        let ReseedConfig { hosts, needed, signers, outside } = config;
        let plan = Config { hosts: hosts.len(), needed };
        let plan = Plan::new(plan, shared.rng().random(), shared.now().mono);
        words.set("about to reseed".to_owned());
        let _vital = shared.vitals().guard("the reseeder");
        Self {
            shared,
            netdb,
            hosts,
            needed,
            signers: Arc::new(signers),
            outside,
            plan,
            words,
            files: BTreeMap::new(),
            failures: Vec::new(),
            timer: None,
            _vital,
        }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        let known = self.netdb.counts().0;
        self.plan.handle_input(self.shared.now().mono, In::Known(known));
        self.drain(ctx);
    }

    fn drain(&mut self, ctx: &mut Context<Self>) {
        while let Some(out) = self.plan.poll_output() {
            match out {
                Out::Fetch(host) => self.fetch(host, ctx),
                Out::Take(routers, signers) => self.take(routers, signers),
                Out::GaveUp(signers, rest) => self.give_up(signers, rest, ctx),
            }
        }
        let due = self.plan.poll_timeout();
        self.shared.set_timer(&mut self.timer, due, ctx, |actor: &mut Self, ctx| {
            actor.plan.handle_timeout(actor.shared.now().mono);
            actor.drain(ctx);
        });
    }

    fn fetch(&mut self, host: usize, ctx: &mut Context<Self>) {
        if self.words.get() != NOW {
            tracing::info!(known = self.netdb.counts().0, hosts = self.hosts.len(), "too few routers known: reseeding");
            self.words.set(NOW.to_owned());
        }
        let (outside, signers) = (Arc::clone(&self.outside), Arc::clone(&self.signers));
        let (rules, shared) = (self.netdb.rules_of(), self.shared.clone());
        let asked = actix_rt::task::spawn_blocking(move || {
            let file =
                outside.fetch(host).map_err(|words| Failure { label: FetchOutcome::Unreachable.label(), words })?;
            let opened = bundle::open(&file, &signers, &rules, shared.now().wall);
            opened.map(|bundle| (bundle, file)).map_err(|e| Failure { label: e.label(), words: e.to_string() })
        });
        ctx.spawn(asked.into_actor(self).map(move |outcome, actor, ctx| {
            let ended = || Failure {
                label: FetchOutcome::Unreachable.label(),
                words: "the thread that asked it has ended".to_owned(),
            };
            let outcome = outcome.unwrap_or_else(|_| Err(ended()));
            actor.on_fetched(Fetched { host, outcome }, ctx);
        }));
    }

    fn on_fetched(&mut self, Fetched { host, outcome }: Fetched, ctx: &mut Context<Self>) {
        let name = self.hosts.get(host).map_or("?", String::as_str);
        let bundle = match outcome {
            Ok((bundle, file)) => {
                control::RESEED_FETCHES.add([FetchOutcome::Good.label()], 1);
                let (signer, routers) = (&bundle.signer, bundle.routers.len());
                let left_out = bundle::counted(&bundle.refused);
                tracing::info!("reseed host {name}: {routers} routers, signed by {signer}; left out: {left_out}");
                self.files.insert(bundle.signer.clone(), file);
                Some(bundle)
            }
            Err(Failure { label, words }) => {
                control::RESEED_FETCHES.add([label], 1);
                tracing::warn!("reseed host {name}: {words}");
                self.failures.push(format!("{name}: {words}"));
                None
            }
        };
        self.plan.handle_input(self.shared.now().mono, In::Fetched(host, bundle));
        self.drain(ctx);
    }

    fn take(&mut self, routers: Vec<RouterInfo>, signers: usize) {
        control::RESEEDS.add([ReseedOutcome::Taken.label()], 1);
        self.failures.clear();
        self.words.set(format!("reseeded with {} routers of {signers} signers", routers.len()));
        let (files, outside) = (std::mem::take(&mut self.files), Arc::clone(&self.outside));
        actix_rt::task::spawn_blocking(move || files.iter().for_each(|(signer, file)| outside.keep(signer, file)));
        import(self.netdb.clone(), routers, "reseeded");
    }

    fn give_up(&mut self, heard: usize, rest: Duration, ctx: &mut Context<Self>) {
        self.files.clear();
        let failures = std::mem::take(&mut self.failures);
        let last = failures.last().map_or("no host has answered in time", String::as_str);
        let minutes = rest.as_secs().div_ceil(60);
        let words = format!(
            "reseeding failed: {heard} of the {} signers that are needed were heard, the last failure was {last}; it is tried again in \
             {minutes} min",
            self.needed
        );
        tracing::warn!("{words}");
        self.words.set(words);
        let (outside, signers) = (Arc::clone(&self.outside), Arc::clone(&self.signers));
        let (rules, now, needed) = (self.netdb.rules_of(), self.shared.now().wall, self.needed);
        let kept = actix_rt::task::spawn_blocking(move || {
            let files = outside.kept();
            let good: Vec<_> = files.iter().filter_map(|file| bundle::open(file, &signers, &rules, now).ok()).collect();
            combine(&good, needed)
        });
        ctx.spawn(kept.into_actor(self).map(|routers, actor, _| match routers {
            Ok(routers) if !routers.is_empty() => {
                control::RESEEDS.add([ReseedOutcome::Kept.label()], 1);
                import(actor.netdb.clone(), routers, "took the bundles that were kept of an earlier reseed");
            }
            Ok(_) | Err(_) => control::RESEEDS.add([ReseedOutcome::Failed.label()], 1),
        }));
    }
}

fn import(netdb: NetDb, routers: Vec<RouterInfo>, what: &'static str) {
    actix::spawn(async move {
        let bytes: Vec<Bytes> = routers.iter().map(|info| info.as_bytes().clone()).collect();
        let imported = netdb.bootstrap(bytes).await;
        tracing::info!("{what}: {imported}");
    });
}

impl Actor for Reseeder {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.shared.stop_when_over(self, ctx);
        ctx.run_interval(LOOK, Self::look);
    }
}
