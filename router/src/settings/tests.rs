//! The configuration as an operator writes it.

use super::Settings;
use super::key::Life;
use super::publish::Published;
use crate::units::Rate;
use std::collections::HashSet;

fn checked(text: &str) -> Result<Settings, String> {
    let settings = Settings::parse(text)?;
    settings.check()?;
    Ok(settings)
}

#[test]
fn an_unknown_key_names_the_nearest_and_its_line() {
    let error = Settings::parse("[network]\nid = 99\nboostrap = []\n").unwrap_err();
    assert!(error.contains("did you mean `bootstrap`?"), "{error}");
    assert!(error.contains("line 3"), "{error}");
    let error = Settings::parse("[netwrok]\nid = 99\n").unwrap_err();
    assert!(error.contains("did you mean `network`?"), "{error}");
}

#[test]
fn a_far_key_is_given_no_wrong_hint() {
    let error = |text: &str| Settings::parse(text).unwrap_err();
    let far = error("[router]\nlisten = \"0.0.0.0:1\"\n");
    assert!(!far.contains("did you mean") && far.contains("is a key of [ntcp2], [ssu2], [metrics]"), "{far}");
    let foreign = error("ipv4 = true\n");
    assert!(!foreign.contains("did you mean") && foreign.contains("instead of `ipv4` write"), "{foreign}");
    assert!(error("[router]\nloglevel = \"info\"\n").contains("write log.level"));
    let nonsense = error("[router]\nzzz = 1\n");
    assert!(!nonsense.contains("did you mean") && !nonsense.contains("instead of"), "{nonsense}");
}

#[test]
fn a_value_of_another_kind_says_what_the_key_takes() {
    for (text, words) in [
        ("[bandwidth]\ninbound = 25\n", "`25` is no rate: write a number and a unit, such as \"25MB/s\""),
        ("[bandwidth]\noutbound = 1.5\n", "`1.5` is no rate"),
        ("[ntcp2]\nidle_close = 30\n", "`30` is no duration: write a number and a unit, such as \"30s\""),
        ("[bandwidth]\ninbound = true\n", "bandwidth.inbound takes: rate, such as"),
        ("[ntcp2]\nenabled = \"yes\"\n", "ntcp2.enabled takes: `true` or `false`"),
        ("[transit]\nmax_tunnels = -1\n", "transit.max_tunnels takes: number"),
        ("[network]\nid = 300\n", "network.id takes: number"),
        ("[network]\nbootstrap = \"/x\"\n", "network.bootstrap takes: list of paths"),
        ("[network]\nreseed = 1\n", "network.reseed takes: `true`, `false`, or a list of hosts"),
        ("[ntcp2]\nlisten = \"relay.example.org:20003\"\n", "host names are not taken"),
        ("[ssu2]\nlisten = 20003\n", "\"0.0.0.0:20003\""),
        ("[ssu2]\nlisten = [\"20003\"]\n", "\"0.0.0.0:20003\""),
        ("[metrics]\nlisten = \"localhost:9656\"\n", "host names are not taken"),
    ] {
        let error = Settings::parse(text).unwrap_err();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn metrics_can_be_switched_off() {
    for off in ["false", "\"\"", "\"off\""] {
        let settings = checked(&format!("[metrics]\nlisten = {off}\n")).unwrap();
        assert_eq!(settings.metrics.listen.0, None, "{off}");
    }
}

#[test]
fn a_renamed_key_names_the_one_that_took_its_place() {
    let error = Settings::parse("[ntcp2]\nenabled = true\nthreads = 2\n").unwrap_err();
    assert!(error.contains("ntcp2.threads is named router.io_threads now") && error.contains("line 3"), "{error}");
    assert_eq!(checked("[router]\nio_threads = 2\n").unwrap().router.io_threads, 2);
    let error = Settings::parse("[ssu2]\nthreads = 2\n").unwrap_err();
    assert!(!error.contains("io_threads"), "it was never a key of this section: {error}");
}

#[test]
fn every_renamed_key_leads_to_one_that_is_known() {
    let known: HashSet<String> =
        Settings::sections().into_iter().flat_map(|(_, _, keys)| keys).map(|k| k.name).collect();
    for (section, key, now) in super::RENAMED {
        assert!(known.contains(now) && !known.contains(&format!("{section}.{key}")), "{section}.{key} -> {now}");
    }
}

#[test]
fn a_full_file_is_read() {
    let text = "[network]\nid = 99\nallow_private_addresses = true\n[ntcp2]\nlisten = [\"10.3.0.1:20003\", \"[::]:20003\"]\n\
                publish = [\"10.3.0.1:20003\", \"[::1]:20003\"]\n[bandwidth]\ninbound = \"25MB/s\"\n";
    let settings = checked(text).unwrap();
    assert_eq!(settings.network.id, 99);
    assert!(matches!(settings.ntcp2.publish, Published::At(all) if all.len() == 2));
    assert_eq!(settings.bandwidth.inbound, Rate(25_000_000));
}

#[test]
fn a_private_address_is_not_published_to_the_live_network() {
    let error = checked("[ntcp2]\npublish = \"10.3.0.1:20003\"\n").unwrap_err();
    assert!(error.contains("allow_private_addresses"), "{error}");
}

#[test]
fn a_floodfill_that_nobody_can_call_is_refused() {
    for text in [
        "[router]\nfloodfill = true\n[ntcp2]\npublish = \"none\"\n[ssu2]\npublish = []\n",
        "[router]\nfloodfill = true\n[ntcp2]\npublish = \"none\"\n[ssu2]\nenabled = false\n",
        "[router]\nfloodfill = true\nhidden = true\n",
    ] {
        let error = checked(text).unwrap_err();
        assert!(error.contains("router.floodfill"), "{text}: {error}");
    }
    assert!(checked("[router]\nfloodfill = true\n").is_ok(), "the address may be found out");
    assert!(checked("[router]\nfloodfill = \"auto\"\n").is_ok());
    assert!(checked("[router]\nhidden = true\n[ssu2]\npublish = \"9.9.9.9:9\"\n").unwrap_err().contains("hidden"));
}

#[test]
fn a_relay_with_tunnels_for_programs_is_refused() {
    let tunnel = "[[tunnel]]\nname = \"site\"\ntype = \"server\"\ntarget = \"127.0.0.1:80\"\n";
    let error = checked(&format!("[router]\nrole = \"relay\"\n{tunnel}")).unwrap_err();
    assert!(error.contains("remove [[tunnel]]"), "{error}");
    assert!(checked("[router]\nrole = \"relay\"\n").is_ok() && checked(tunnel).is_ok());
    assert!(Settings::parse("[router]\nrole = \"bridge\"\n").unwrap_err().contains("role"));
}

#[test]
fn a_delay_that_would_be_felt_is_refused() {
    let delay = |text: &str| checked(&format!("[bandwidth]\nmax_delay = \"{text}\"\n"));
    assert!(delay("0ms").is_ok() && delay("5ms").is_ok());
    assert!(delay("1s").unwrap_err().contains("max_delay"));
}

#[test]
fn values_that_cannot_be_name_their_key() {
    for (text, key) in [
        ("[bandwidth]\ntransit_share = 1.5\n", "bandwidth.transit_share"),
        ("[exploratory]\nlength = 8\n", "exploratory.length"),
        ("[ssu2]\nmtu = 9000\n", "ssu2.mtu"),
        ("[ssu2]\nlisten = []\n", "ssu2.listen"),
        ("[log]\nlevel = \"a=b=c\"\n", "log.level"),
        ("[log]\nlevel = \"warning\"\n", "log.level"),
        ("[bandwidth]\ninbound = \"0MB/s\"\n", "bandwidth.inbound"),
        ("[bandwidth]\noutbound = \"1B/s\"\n", "bandwidth.outbound"),
        ("[ntcp2]\nidle_close = \"0s\"\n", "ntcp2.idle_close"),
        ("[ssu2]\nmax_handshakes = 0\n", "ssu2.max_handshakes"),
        ("[netdb]\nmax_routers = 0\n", "netdb.max_routers"),
        ("[exploratory]\nquantity = 100000\n", "exploratory.quantity"),
        ("[router]\nio_threads = 1000000\n", "router.io_threads"),
        ("[network]\nid = 0\n", "network.id"),
        ("[network]\nreseed = [\"reseed.example.org\"]\n", "network.reseed"),
        ("[ntcp2]\npublish = \"203.0.112.7:0\"\n", "ntcp2.publish"),
        ("[ntcp2]\nlisten = \"0.0.0.0:1\"\npublish = \"[2a01::7]:20003\"\n", "ntcp2.listen"),
        ("[network]\nallow_private_addresses = true\n[ssu2]\npublish = \"0.0.0.0:20003\"\n", "ssu2.publish"),
        ("[ssu2]\npublish = [\"203.0.112.7:1\", \"203.0.112.8:1\"]\n", "ssu2.publish"),
        ("[ntcp2]\nenabled = false\n[ssu2]\nenabled = false\n", "ntcp2.enabled"),
    ] {
        let error = checked(text).unwrap_err();
        assert!(error.contains(key), "{text}: {error}");
    }
}

#[test]
fn a_rate_without_unit_says_what_to_write() {
    let error = Settings::parse("[bandwidth]\ninbound = \"25\"\n").unwrap_err();
    assert!(error.contains("25MB/s"), "{error}");
}

#[test]
fn the_defaults_written_out_are_the_defaults() {
    let mut text = String::new();
    for (section, _, keys) in Settings::sections() {
        text += &format!("[{section}]\n");
        for key in keys {
            let name = key.name.strip_prefix(&format!("{section}.")).unwrap();
            text += &format!("{name} = {}\n", key.default);
        }
    }
    let written = checked(&text).unwrap();
    assert_eq!(written.changes(&Settings::default()), [], "{text}");
}

#[test]
fn a_change_says_what_it_was_and_when_it_takes_effect() {
    let before = checked("[bandwidth]\ninbound = \"25MB/s\"\n").unwrap();
    let now = checked("[bandwidth]\ninbound = \"2MB/s\"\n[ntcp2]\nlisten = \"0.0.0.0:1\"\n").unwrap();
    let changes = now.changes(&before);
    let told: Vec<_> = changes.iter().map(|c| (c.name.as_str(), c.before.as_str(), c.now.as_str(), c.life)).collect();
    assert_eq!(
        told,
        [
            ("ntcp2.listen", "\"auto\"", "\"0.0.0.0:1\"", Life::Start),
            ("bandwidth.inbound", "\"25MB/s\"", "\"2MB/s\"", Life::Live),
        ]
    );
}
