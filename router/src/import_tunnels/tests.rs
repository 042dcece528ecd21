//! Files as the other routers write them.

use super::*;
use crate::settings::Settings;
use crate::units::Span;
use proptest::prelude::*;

const I2PD: &str = "
# comment
[Web Site]
type = http
host = 127.0.0.1
port = 80
keys = web.dat
hostoverride = mine.example
accesslist = qrlbdyekr3yzgqutpntjdrwsdhkqfrpcg4lfkmtqgi7ugbsq3w5q.b32.i2p, ukeu3k5oycgaauneqgtnvselmt4yemvoilkln7jpvamvfx7dnkdq.b32.i2p
inbound.length = 0
outbound.quantity = 40
i2p.streaming.profile = 2
i2cp.leaseSetType = 5
i2cp.leaseSetAuthType = 1
i2cp.leaseSetClient.dh.1 = reader:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=
[irc]
type = client
address = 0.0.0.0
port = 6668
destination = irc.ilita.i2p
destinationport = 6667
keys = shareddest
inbound.quantity = 2
outbound.lengthVariance = -1
inbound.backupQuantity = 20
explicitPeers = AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=, AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=
[udp]
type = udpserver
host = 127.0.0.1
port = 5
keys = u.dat
enableuniquelocal = false
[dns]
type = udpclient
port = 54
destination = dns.i2p
destinationport = 53
datagramversion = 3
[web socket]
type = websocks
port = 6
[named]
type = server
host = backend.lan
port = 5
keys = n.dat
[proxy]
type = httpproxy
port = 4446
outproxy = http://exit.i2p:8080
";

const JAVA: &str = "
#NOTE
tunnel.0.name=I2P HTTP Proxy
tunnel.0.type=httpclient
tunnel.0.interface=127.0.0.1
tunnel.0.listenPort=4444
tunnel.0.sharedClient=true
tunnel.0.proxyList=exit.stormycloud.i2p
tunnel.0.startOnLoad=true
tunnel.0.option.inbound.quantity=4
tunnel.1.name=Irc2P
tunnel.1.type=ircclient
tunnel.1.listenPort=6668
tunnel.1.targetDestination=irc.postman.i2p:6667,irc.echelon.i2p:6667
tunnel.1.startOnLoad=false
tunnel.3.name=I2P webserver
tunnel.3.type=httpserver
tunnel.3.targetHost=127.0.0.1
tunnel.3.targetPort=7658
tunnel.3.spoofedHost=mysite.i2p
tunnel.3.privKeyFile=eepsite/eepPriv.dat
tunnel.3.option.maxPosts=6
tunnel.3.option.maxTotalPosts=20
tunnel.3.option.postCheckTime=300
tunnel.3.option.postBanTime=1
tunnel.0.option.i2cp.closeOnIdle=true
tunnel.0.option.i2cp.closeIdleTime=1200000
tunnel.0.option.i2cp.newDestOnResume=true
tunnel.3.option.i2cp.reduceOnIdle=true
tunnel.3.option.i2cp.reduceQuantity=2
tunnel.3.option.i2p.streaming.maxConnsPerHour=80
tunnel.3.option.rejectUserAgents=true
tunnel.3.option.userAgentRejectList=Mozilla,Opera
tunnel.4.name=both
tunnel.4.type=httpbidirserver
tunnel.4.interface=127.0.0.1
tunnel.4.listenPort=8888
tunnel.4.targetPort=80
tunnel.4.privKeyFile=both.dat
tunnel.4.option.proxyAuth=basic
tunnel.4.option.proxyUsername=me
tunnel.4.option.proxyPassword=secret
tunnel.5.name=radio
tunnel.5.type=streamrclient
tunnel.5.targetDestination=radio.i2p
tunnel.5.targetPort=5000
tunnel.3.option.i2cp.enableAccessList=true
tunnel.3.option.i2cp.accessList=AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=
";

fn toml(text: &str, folder: &Path) -> (String, Vec<Tunnel>) {
    let page = written(taken(text, folder).unwrap());
    let tunnels = Settings::parse(&page).unwrap().tunnel;
    assert_eq!(tunnel::check(&tunnels), Ok(()), "{page}");
    (page, tunnels)
}

#[test]
fn a_file_of_i2pd_becomes_tunnels_that_do_the_same_and_says_what_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("web.dat"), "").unwrap();
    let (page, all) = toml(I2PD, folder.path());
    let [web, irc, udp, dns, proxy] = &all[..] else { panic!("{page}") };
    assert_eq!(
        (web.name.as_str(), web.r#type.as_str(), web.host.as_str()),
        ("web-site", "http-server", "mine.example")
    );
    assert_eq!((web.target.0, web.port), (Some("127.0.0.1:80".parse().unwrap()), 80));
    assert_eq!(web.keys, folder.path().join("web.dat").to_string_lossy());
    assert_eq!(
        (web.encrypted, &web.readers[..]),
        (true, &["AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=".to_owned()][..])
    );
    assert_eq!((web.allow.len(), web.inbound_length, web.quantity), (2, 1, 16));
    assert_eq!(
        (irc.destination.as_str(), irc.port, irc.keys.as_str(), irc.quantity),
        ("irc.ilita.i2p", 6667, "transient-shared", 2)
    );
    assert_eq!((irc.length_variance, irc.backup_quantity, irc.explicit_peers.len()), (-1, 14, 2));
    assert_eq!(proxy.outproxies, ["exit.i2p:8080"]);
    assert_eq!((irc.listen.0, proxy.quantity), (Some("0.0.0.0:6668".parse().unwrap()), 5));
    assert_eq!((proxy.r#type.as_str(), proxy.keys.as_str()), ("http-proxy", "transient"));
    assert_eq!((udp.r#type.as_str(), udp.port, udp.unique_local), ("udp-server", 5, false));
    assert_eq!((dns.r#type.as_str(), dns.port, dns.datagrams), ("udp-client", 53, 3));
    for words in [
        "no tunnel of type websocks",
        "backend.lan: host names",
        "inbound.length = 0 became 1",
        "like i2p.streaming.profile",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
}

#[test]
fn a_file_of_java_becomes_tunnels_and_what_was_off_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    let (page, all) = toml(JAVA, folder.path());
    let [proxy, site, server, client, radio] = &all[..] else { panic!("{page}") };
    assert_eq!((server.r#type.as_str(), client.r#type.as_str()), ("http-server", "http-proxy"));
    assert_eq!((client.auth.as_str(), &client.accounts[..]), ("basic", &["me:secret".to_owned()][..]));
    assert_eq!((radio.r#type.as_str(), radio.target.0), ("streamr-client", Some("127.0.0.1:5000".parse().unwrap())));
    assert_eq!(proxy.outproxies, ["exit.stormycloud.i2p"]);
    assert_eq!(
        (site.max_conns_per_hour, &site.reject_user_agents[..]),
        (80, &["Mozilla".to_owned(), "Opera".to_owned()][..])
    );
    assert_eq!((proxy.r#type.as_str(), proxy.keys.as_str(), proxy.quantity), ("http-proxy", "transient-shared", 4));
    assert_eq!(
        (site.host.as_str(), site.max_posts, site.max_total_posts, site.keys.as_str()),
        ("mysite.i2p", 6, 20, "")
    );
    let seconds = |span: Span| span.0.as_secs();
    assert_eq!([site.post_check_time, site.post_ban_time, site.post_total_ban_time].map(seconds), [300, 10, 600]);
    assert_eq!((site.reduce_on_idle, site.reduce_quantity, site.close_on_idle), (true, 2, false));
    assert_eq!((proxy.close_on_idle, proxy.new_keys_on_idle, seconds(proxy.close_after)), (true, true, 1200));
    assert_eq!(site.allow, [DestinationHash([1; 32]).to_b32()]);
    for words in ["#[[tunnel]]", "of several destinations the first", "no key file", "not started"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    // One file for each tunnel has the same keys without a number.
    let single: String =
        JAVA.lines().filter_map(|line| line.strip_prefix("tunnel.3.")).map(|line| format!("{line}\n")).collect();
    assert_eq!(toml(&single, folder.path()).1.len(), 1);
    assert!(taken("a=b\n", folder.path()).is_err());
}

#[test]
fn folders_beside_a_file_are_read_as_the_routers_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tunnels.conf");
    fs::create_dir(folder.path().join("tunnels.d")).unwrap();
    for name in ["tunnels.conf", "tunnels.d/b.conf", "tunnels.d/a.conf", "tunnels.d/old.conf~"] {
        fs::write(folder.path().join(name), I2PD).unwrap();
    }
    let found: Vec<_> = with_folders(&file).into_iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(found, ["tunnels.conf", "a.conf", "b.conf"]);
}

proptest! {
    #[test]
    fn whatever_stands_in_a_file_what_is_written_is_a_configuration(
        lines in prop::collection::vec(("(tunnel\\.[0-9]\\.)?(type|port|host|listenPort|destination|targetHost|name|keys|accesslist|option.inbound.length)", "\\PC{0,12}|client|server|http|80|127.0.0.1"), 0..12),
        section in "(\\[\\PC{0,9}\\])?",
    ) {
        let text: String = lines.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        if let Ok(all) = taken(&format!("{section}\n{text}"), Path::new("/nowhere")) {
            let page = written(all);
            let settings = Settings::parse(&page);
            prop_assert!(settings.is_ok(), "{}", page);
            prop_assert_eq!(tunnel::check(&settings.unwrap().tunnel), Ok(()), "{}", page);
        }
    }
}

#[test]
fn tunnels_of_a_file_run_beside_those_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let (file, config) = (folder.path().join("tunnels.conf"), folder.path().join("ramson.toml"));
    fs::write(&file, I2PD).unwrap();
    let own = "[[tunnel]]\nname = \"web-site\"\ntype = \"server\"\ntarget = \"127.0.0.1:1\"\n";
    fs::write(&config, format!("[router]\ntunnel_files = [{file:?}]\n{own}")).unwrap();
    let settings = Settings::load(Some(&config)).unwrap();
    let names: Vec<_> = settings.tunnel.iter().map(|tunnel| tunnel.name.as_str()).collect();
    assert_eq!((names.len(), &names[..2]), (6, &["web-site", "web-site-2"][..]), "{names:?}");
    assert_eq!(settings.left_out, [(file.to_string_lossy().into_owned(), 2)]);
    fs::remove_file(&file).unwrap();
    let error = Settings::load(Some(&config)).unwrap_err().to_string();
    assert!(error.contains("router.tunnel_files: cannot read"), "{error}");
}
