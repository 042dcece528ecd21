//! Asks the gateway before us for ports that lead here: by PCP, NAT-PMP, and UPnP.
//!
//! ```text
//! the way out leads through a gateway, and our address is private (IPv6: any)
//!   -> PCP, which falls back to NAT-PMP -> UPnP      the first that grants one; asked anew every two minutes
//!   -> In::Mapped, In::Unmapped
//! ```
//! A gateway that was restarted has forgotten us; being asked again so often costs it nothing. What it says is bounded by
//! the libraries in length, and here in time; whether the mapping is worth anything, peers test.

mod route;

use super::interfaces::source;
use super::{Heard, ReachKeeper};
use crate::series::control;
use crate::series::outcomes::GatewayOutcome;
use actix::prelude::*;
use crab_nat::{GatewayAddress, InternetProtocol, PortMapping, PortMappingOptions, PortMappingType, TimeoutConfig};
use igd_next::aio::tokio::{Tokio, search_gateway};
use igd_next::{AddPortError, PortMappingProtocol, SearchOptions};
use ramson_protocol::data::router_address::is_public;
use ramson_protocol::dialing::Transport;
use ramson_protocol::reach::{Config, Gateway, In, Mapping, Publish};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

/// How often mappings are asked for anew.
const AGAIN: Duration = Duration::from_secs(120);

/// After a round that led to nothing; twice as long after each further one, up to an hour.
const AFTER_FAILURE: Duration = Duration::from_secs(120);
const LONGEST: Duration = Duration::from_secs(3600);

/// How long one request may take, whatever the libraries think.
const PATIENCE: Duration = Duration::from_secs(12);

/// Giving mappings back may hold up the end for so long.
const FAREWELL: Duration = Duration::from_secs(2);

/// For how long a mapping is asked for, in seconds: what the router dies of must not leave it open for ever.
const LIFETIME: u32 = 3600;

/// What stands in a gateway's list beside our mappings.
const NAME: &str = "router";

/// Ports that are to be mapped.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// By family, IPv4 first: what listens there.
    ports: [Vec<(Transport, NonZeroU16)>; 2],
    /// A private address outside is as good as any.
    private: bool,
}

impl Wanted {
    /// What the configuration leaves to be found out; `None` if it leaves nothing.
    pub(super) fn of(config: &Config) -> Option<Self> {
        let offers = [(Transport::Ntcp2, &config.ntcp2), (Transport::Ssu2, &config.ssu2)];
        let ports = [true, false].map(|v4| {
            let automatic = offers.iter().filter_map(|(transport, offer)| {
                let offer = offer.as_ref().filter(|offer| offer.publish == Publish::Auto)?;
                let at = offer.listen.iter().find(|at| at.is_ipv4() == v4)?;
                Some((*transport, NonZeroU16::new(at.port())?))
            });
            automatic.collect::<Vec<_>>()
        });
        let any = ports.iter().any(|ports| !ports.is_empty()) && !config.hidden;
        any.then_some(Self { ports, private: config.private })
    }
}

/// The task that asks, until it is told to end.
pub(super) struct Task {
    end: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl Task {
    /// Begins to ask.
    pub(super) fn start(wanted: Wanted, to: Addr<ReachKeeper>) -> Self {
        let ((end, told), (over, ended)) = (oneshot::channel(), oneshot::channel());
        actix::spawn(async move {
            ask_on(wanted, to, told).await;
            // Whoever waits for it may have lost patience.
            let _ = over.send(());
        });
        Self { end, ended }
    }

    /// Gives back what the gateway holds for us.
    pub(super) async fn end(self) {
        if self.end.send(()).is_ok() {
            let _ = timeout(FAREWELL, self.ended).await;
        }
    }
}

/// What a gateway holds for us.
enum Held {
    /// By PCP or NAT-PMP.
    Pcp(Box<PortMapping>),
    /// By UPnP.
    Upnp(Box<igd_next::aio::Gateway<Tokio>>, PortMappingProtocol, u16),
}

/// A mapping that stands.
struct Standing {
    transport: Transport,
    v4: bool,
    mapping: Mapping,
    held: Held,
}

async fn ask_on(wanted: Wanted, to: Addr<ReachKeeper>, mut told: oneshot::Receiver<()>) {
    let mut standing: Vec<Standing> = Vec::new();
    let mut pause = AFTER_FAILURE;
    loop {
        let mut granted = Vec::new();
        for v4 in [true, false] {
            let asked = ask(&wanted, v4, &standing);
            tokio::select! {
                found = asked => granted.extend(found),
                _ = &mut told => return give_back(standing).await,
            }
        }
        for old in &standing {
            if !granted.iter().any(|new| (new.transport, new.v4) == (old.transport, old.v4)) {
                to.do_later(In::Unmapped { transport: old.transport, v4: old.v4 }).await;
            }
        }
        for new in &granted {
            to.do_later(In::Mapped(new.transport, new.mapping)).await;
        }
        pause = if granted.is_empty() { (pause * 2).min(LONGEST) } else { AFTER_FAILURE };
        let wait = if granted.is_empty() { pause / 2 } else { AGAIN };
        standing = granted;
        tokio::select! {
            () = sleep(wait) => {}
            _ = &mut told => return give_back(standing).await,
        }
    }
}

/// Tells the keeper, and waits until it has taken it.
trait DoLater {
    async fn do_later(&self, input: In);
}

impl DoLater for Addr<ReachKeeper> {
    async fn do_later(&self, input: In) {
        // A keeper that has ended ends the node.
        let _ = self.send(Heard(input)).await;
    }
}

/// All mappings of a family that a gateway grants.
async fn ask(wanted: &Wanted, v4: bool, before: &[Standing]) -> Vec<Standing> {
    let ports = &wanted.ports[usize::from(!v4)];
    let Some((gateway, local)) = route::default_gateway(v4).filter(|_| !ports.is_empty()) else { return Vec::new() };
    // Whoever has a public address needs no mapping, but over IPv6 perhaps a hole in the gateway's firewall.
    if v4 && is_public(local) {
        return Vec::new();
    }
    let mut all = Vec::new();
    for (transport, port) in ports {
        let held = before.iter().find(|old| (old.transport, old.v4) == (*transport, v4));
        if let Some(new) = by_pcp(*transport, *port, gateway, local, held).await {
            all.push(new);
        }
    }
    if all.is_empty() && v4 {
        all = by_upnp(ports, local, before).await;
    }
    all.retain(|new| {
        wanted.private || is_public(new.mapping.external.ip()) || {
            control::GATEWAY.add([new.mapping.by.label(), GatewayOutcome::Private.label()], 1);
            false
        }
    });
    all
}

/// Asks by PCP, and by NAT-PMP where that is not understood.
async fn by_pcp(
    transport: Transport,
    port: NonZeroU16,
    gateway: GatewayAddress,
    local: IpAddr,
    held: Option<&Standing>,
) -> Option<Standing> {
    let quick = TimeoutConfig {
        initial_timeout: Duration::from_millis(500),
        max_retries: 2,
        max_retry_timeout: Some(Duration::from_secs(2)),
    };
    let protocol = match transport {
        Transport::Ntcp2 => InternetProtocol::Tcp,
        Transport::Ssu2 => InternetProtocol::Udp,
    };
    let mapping = match held {
        Some(Standing { held: Held::Pcp(mapping), .. }) if mapping.gateway() == gateway => {
            let mut mapping = mapping.clone();
            timeout(PATIENCE, mapping.renew()).await.ok()?.ok().map(|()| mapping)
        }
        _ => None,
    };
    let external_port = held.and_then(|old| NonZeroU16::new(old.mapping.external.port())).or(Some(port));
    let options = PortMappingOptions { external_port, lifetime_seconds: Some(LIFETIME), timeout_config: Some(quick) };
    let mapping = match mapping {
        Some(mapping) => *mapping,
        None => match timeout(PATIENCE, PortMapping::new(gateway, local, protocol, port, options)).await {
            Ok(Ok(mapping)) => mapping,
            Ok(Err(error)) => {
                tracing::debug!(%error, "the gateway maps no port by PCP or NAT-PMP");
                control::GATEWAY.add([Gateway::Pcp.label(), GatewayOutcome::Refused.label()], 1);
                return None;
            }
            Err(_) => {
                control::GATEWAY.add([Gateway::Pcp.label(), GatewayOutcome::TimedOut.label()], 1);
                return None;
            }
        },
    };
    let (ip, by) = match mapping.mapping_type() {
        PortMappingType::Pcp { external_ip, .. } => (external_ip.to_canonical(), Gateway::Pcp),
        PortMappingType::NatPmp => {
            let asked = crab_nat::natpmp::external_address(gateway, Some(quick));
            (IpAddr::V4(timeout(PATIENCE, asked).await.ok()?.ok()?), Gateway::NatPmp)
        }
    };
    control::GATEWAY.add([by.label(), GatewayOutcome::Mapped.label()], 1);
    let external = SocketAddr::new(ip, mapping.external_port().get());
    let v4 = local.is_ipv4();
    (external.is_ipv4() == v4).then(|| Standing {
        transport,
        v4,
        mapping: Mapping { external, by },
        held: Held::Pcp(Box::new(mapping)),
    })
}

/// Asks by UPnP.
async fn by_upnp(ports: &[(Transport, NonZeroU16)], local: IpAddr, before: &[Standing]) -> Vec<Standing> {
    let mut options = SearchOptions::default();
    options.bind_addr = SocketAddr::new(local, 0);
    options.timeout = Some(PATIENCE / 3);
    options.single_search_timeout = Some(PATIENCE / 4);
    let Ok(gateway) = search_gateway(options).await else {
        control::GATEWAY.add([Gateway::Upnp.label(), GatewayOutcome::NoGateway.label()], 1);
        return Vec::new();
    };
    let Ok(Ok(ip)) = timeout(PATIENCE, gateway.get_external_ip()).await else {
        control::GATEWAY.add([Gateway::Upnp.label(), GatewayOutcome::NoAddress.label()], 1);
        return Vec::new();
    };
    let mut all = Vec::new();
    for (transport, port) in ports {
        let protocol = match transport {
            Transport::Ntcp2 => PortMappingProtocol::TCP,
            Transport::Ssu2 => PortMappingProtocol::UDP,
        };
        let held = before.iter().find(|old| old.transport == *transport && old.v4);
        let outside = held.map_or(port.get(), |old| old.mapping.external.port());
        let added = timeout(PATIENCE, add_port(&gateway, protocol, outside, SocketAddr::new(local, port.get()))).await;
        let Ok(Some(outside)) = added else {
            control::GATEWAY.add([Gateway::Upnp.label(), GatewayOutcome::Refused.label()], 1);
            continue;
        };
        control::GATEWAY.add([Gateway::Upnp.label(), GatewayOutcome::Mapped.label()], 1);
        all.push(Standing {
            transport: *transport,
            v4: true,
            mapping: Mapping { external: SocketAddr::new(ip, outside), by: Gateway::Upnp },
            held: Held::Upnp(Box::new(gateway.clone()), protocol, outside),
        });
    }
    all
}

/// The port outside that leads to `local` now: the one wished for, or another if that is taken.
async fn add_port(
    gateway: &igd_next::aio::Gateway<Tokio>,
    protocol: PortMappingProtocol,
    wish: u16,
    local: SocketAddr,
) -> Option<u16> {
    let wished = gateway.add_port(protocol, wish, local, LIFETIME, NAME).await;
    match wished {
        Ok(()) => Some(wish),
        // Some know only mappings without end. They go when we end, or with the gateway's memory.
        Err(AddPortError::OnlyPermanentLeasesSupported) => {
            gateway.add_port(protocol, wish, local, 0, NAME).await.ok().map(|()| wish)
        }
        Err(AddPortError::PortInUse) => gateway.add_any_port(protocol, local, LIFETIME, NAME).await.ok(),
        Err(error) => {
            tracing::debug!(%error, "the gateway maps no port by UPnP");
            None
        }
    }
}

async fn give_back(standing: Vec<Standing>) {
    for old in standing {
        match old.held {
            // What it does not take back ends with its lifetime.
            Held::Pcp(mapping) => drop(timeout(FAREWELL, mapping.try_drop()).await),
            Held::Upnp(gateway, protocol, port) => drop(timeout(FAREWELL, gateway.remove_port(protocol, port)).await),
        }
    }
}

/// Our address towards a gateway.
fn local_towards(gateway: SocketAddr) -> Option<IpAddr> {
    source(gateway)
}
