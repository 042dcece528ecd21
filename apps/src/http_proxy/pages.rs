//! Pages of the proxy's own: what happened, and what the user can do. They need no scripts, fonts or pictures.

use super::accounts::Challenge;
use super::answer::{self, Answer};
use super::local;
use crate::names::{HostName, NameError};
use crate::network::{ConnectError, Stage};
use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, PROXY_AUTHENTICATE, REFERRER_POLICY,
    REFRESH, X_FRAME_OPTIONS,
};
use ramson_protocol::b32::{B32, B32Error};
use ramson_protocol::id::DestinationHash;
use std::cmp::Ordering;
use std::fmt::Write;
use std::time::Duration;

/// Why a browser gets a page of ours.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// Not a request to a proxy.
    NoProxyRequest,
    /// A URL that is none, or has a user and password in it.
    Uri,
    /// A scheme that is not for this proxy.
    Scheme(String),
    /// Who it is has to be said first.
    Account(Challenge),
    /// As many users as can be have a destination of their own.
    Users,
    /// Another method than the only one that this proxy takes.
    OnlyConnect,
    /// This machine, or an address by number.
    Local(String),
    /// Outside I2P.
    Clearnet(String),
    /// No outproxy fetches it.
    Outproxy(String),
    /// No name.
    Name(String, NameError),
    /// No address in base 32.
    Address(String, B32Error),
    /// A name that no book has.
    Unknown(HostName),
    /// A helper that says nothing.
    Helper(HostName),
    /// Whether the name is to be what a helper says.
    Confirm(Box<Confirm>),
    /// No stream to the site.
    Connect(String, ConnectError),
    /// The site's answer is no HTTP, or ended before it was whole.
    Broken(String),
    /// The address book failed.
    Book(String),
    /// An answer to a question that nobody asked, or that was asked too long ago.
    Token,
    /// The proxy has no such page.
    NoPage,
}

/// A question to the user.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Confirm {
    pub(super) name: HostName,
    /// What the helper says.
    pub(super) address: B32,
    /// What the address book says.
    pub(super) ours: Option<DestinationHash>,
    /// The URL without the helper.
    pub(super) plain: String,
    pub(super) token: String,
}

/// What a page says.
struct Words {
    status: StatusCode,
    title: &'static str,
    what: String,
    /// What the user can do.
    next: Vec<String>,
    /// Forms, as HTML.
    forms: String,
}

impl Problem {
    /// The name of the reason in counts and for programs.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::NoProxyRequest => "no_proxy_request",
            Self::Uri => "uri",
            Self::Scheme(_) => "scheme",
            Self::Account(_) => "account",
            Self::Users => "too_many_users",
            Self::OnlyConnect => "only_connect",
            Self::Local(_) => "local",
            Self::Clearnet(_) => "clearnet",
            Self::Outproxy(_) => "outproxy",
            Self::Name(..) => "name",
            Self::Address(..) => "address",
            Self::Unknown(_) => "unknown_name",
            Self::Helper(_) => "bad_helper",
            Self::Confirm(question) if question.ours.is_none() => "new_name",
            Self::Confirm(_) => "name_conflict",
            Self::Connect(_, error) => error.label(),
            Self::Broken(_) => "broken_answer",
            Self::Book(_) => "address_book",
            Self::Token => "token",
            Self::NoPage => "no_page",
        }
    }

    fn words(&self) -> Words {
        let words = |status, title, what: String, next: &[&str]| Words {
            status,
            title,
            what,
            next: next.iter().map(|text| (*text).to_owned()).collect(),
            forms: String::new(),
        };
        let again = "Try again in a minute.";
        match self {
            Self::NoProxyRequest => words(
                StatusCode::BAD_REQUEST,
                "This is an HTTP proxy",
                "You have called the proxy itself. It takes requests of browsers that use it.".to_owned(),
                &["Enter this address as HTTP proxy in your browser, then open an address that ends with .i2p."],
            ),
            Self::Uri => words(
                StatusCode::BAD_REQUEST,
                "No address",
                "The address cannot be read, or it has a user or password in it.".to_owned(),
                &["Look at the address: http://name.i2p/"],
            ),
            Self::Scheme(scheme) => words(
                StatusCode::FORBIDDEN,
                "Not over this proxy",
                format!("The proxy carries http, and https by the method CONNECT. This was a request for “{scheme}”."),
                &["Write http:// in front of the address."],
            ),
            Self::Account(_) => words(
                StatusCode::PROXY_AUTHENTICATION_REQUIRED,
                "Who are you?",
                "This proxy asks for a user name and a password.".to_owned(),
                &["Enter them when the browser asks, or in its settings."],
            ),
            Self::Users => words(
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many users",
                "As many users of this proxy as it takes have a destination of their own.".to_owned(),
                &["Try again when others have left, or raise users in the router's configuration."],
            ),
            Self::OnlyConnect => words(
                StatusCode::METHOD_NOT_ALLOWED,
                "Only for tunnels",
                "This proxy takes the method CONNECT alone.".to_owned(),
                &["Use the HTTP proxy for this."],
            ),
            Self::Local(host) => words(
                StatusCode::FORBIDDEN,
                "An address of your own network",
                format!(
                    "“{host}” is this machine, or an address by number. A site could send you there to look at what is yours, so the proxy does not go."
                ),
                &["Open it without the proxy: enter it among the exceptions in your browser's settings."],
            ),
            Self::Clearnet(host) => words(
                StatusCode::SERVICE_UNAVAILABLE,
                "Not in I2P",
                format!("“{host}” is outside I2P, and no outproxy is set up. Nothing was sent."),
                &["Open addresses that end with .i2p here, and others in another browser."],
            ),
            Self::Outproxy(host) => words(
                StatusCode::SERVICE_UNAVAILABLE,
                "No outproxy answers",
                format!("“{host}” is outside I2P, and none of the outproxies in the configuration has fetched it."),
                &[again, "Look at http_proxy.outproxies in the router's configuration."],
            ),
            Self::Name(host, error) => words(
                StatusCode::BAD_REQUEST,
                "No name",
                format!("“{host}” cannot be a name in I2P: {error}."),
                &["Look for a mistake in the address."],
            ),
            Self::Address(host, error) => words(
                StatusCode::BAD_REQUEST,
                "No address",
                format!("“{host}” is no address: {error}."),
                &["Copy the address again, whole."],
            ),
            Self::Unknown(name) => words(
                StatusCode::SERVICE_UNAVAILABLE,
                "Name unknown",
                format!("Your address book does not have “{name}”. I2P has no authority that could be asked."),
                &[
                    "If you have the site's address, which ends with .b32.i2p, open that.",
                    "Follow a link with an address helper, or take a list over: ramson name import FILE.",
                ],
            ),
            Self::Helper(name) => words(
                StatusCode::NOT_FOUND,
                "The link is damaged",
                format!("The link says whose “{name}” is, but that part of it cannot be read."),
                &["Ask for the link again where you found it."],
            ),
            Self::Confirm(question) => question.words(),
            Self::Connect(host, error) => connect(host, *error),
            Self::Broken(host) => words(
                StatusCode::BAD_GATEWAY,
                "The answer broke off",
                format!("“{host}” closed the connection before its answer was whole, or did not answer with HTTP."),
                &[again],
            ),
            Self::Book(error) => words(
                StatusCode::INTERNAL_SERVER_ERROR,
                "The address book failed",
                format!("{error}."),
                &["Look at the disk and at the router's log."],
            ),
            Self::Token => words(
                StatusCode::FORBIDDEN,
                "Too late",
                "That question was answered already, or was asked too long ago.".to_owned(),
                &["Follow the link again."],
            ),
            Self::NoPage => words(StatusCode::NOT_FOUND, "No such page", "The proxy has no page here.".to_owned(), &[]),
        }
    }
}

impl Confirm {
    fn words(&self) -> Words {
        let Self { name, address, ours, plain, token } = self;
        let form = |action: &str, text: &str| {
            let url = format!("http://{}/helper?token={token}&amp;do={action}", local::HOST);
            format!("<form method=\"post\" action=\"{url}\"><button>{text}</button></form>\n")
        };
        let once = form("once", "Go there this time, and enter nothing");
        match ours {
            None => Words {
                status: StatusCode::CONFLICT,
                title: "A new name",
                what: format!(
                    "The link says that “{name}” is {address}. Your address book does not have the name yet. Whoever made the link chose the address."
                ),
                next: vec!["Enter it only if you trust where the link comes from.".to_owned()],
                forms: form("keep", "Enter the name and go there") + &once,
            },
            Some(ours) => Words {
                status: StatusCode::CONFLICT,
                title: "Another address for a name that you have",
                what: format!(
                    "The link says that “{name}” is {address}. In your address book it is {}.",
                    ours.to_b32()
                ),
                next: vec![format!("Most likely you want the one that you have: {plain}")],
                forms: format!("<p><a href=\"{}\">Go to the one that you have</a></p>\n", escape(plain))
                    + &once
                    + &form("replace", "Give the name to the new address"),
            },
        }
    }
}

/// There is no stream to a site.
fn connect(host: &str, error: ConnectError) -> Words {
    let (status, title, what, next): (_, _, _, &[&str]) = match error {
        ConnectError::NoTunnels => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Not ready yet",
            "has not been called: our tunnels are being built",
            &["It takes about a minute after the start of the router."],
        ),
        ConnectError::NotFound => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Site not found",
            "is offline, or the address is wrong: nobody has its LeaseSet",
            &["Try again later: sites are not always on.", "Look whether the address is right."],
        ),
        ConnectError::Encrypted => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The site is for invited guests",
            "has an encrypted LeaseSet, and we have no key for it",
            &["Ask whoever runs the site for access."],
        ),
        ConnectError::Incompatible => (
            StatusCode::SERVICE_UNAVAILABLE,
            "No common language",
            "speaks no encryption that this router does",
            &["Tell whoever runs the site to renew its keys."],
        ),
        ConnectError::TimedOut => (
            StatusCode::GATEWAY_TIMEOUT,
            "No answer",
            "was called and did not answer in time",
            &["Try again in a minute: the way to a site changes."],
        ),
        ConnectError::Refused => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Refused",
            "refused the connection",
            &["Look at the port in the address.", "Try again later."],
        ),
    };
    Words {
        status,
        title,
        what: format!("“{host}” {what}."),
        next: next.iter().map(|text| (*text).to_owned()).collect(),
        forms: String::new(),
    }
}

const STYLE: &str = "body{font:1.05rem/1.5 system-ui,sans-serif;max-width:42rem;margin:2rem auto;padding:0 1rem;\
color:#1a1a1a;background:#fff;overflow-wrap:anywhere}h1{font-size:1.5rem;line-height:1.25}\
form:first-of-type button{font-weight:600}button{font:inherit;padding:.5rem .8rem;margin:.3rem 0;width:100%;text-align:left;cursor:pointer}\
small{color:#555}@media(prefers-color-scheme:dark){body{color:#eee;background:#16181c}a{color:#8ab4f8}small{color:#aaa}}";

/// A page that tries again by itself does so after so many seconds.
const AGAIN: &str = "5";

/// The page about a problem. One that passes by itself is looked at again if the request `may_come_again`.
pub(super) fn problem(problem: &Problem, jump_services: &[String], may_come_again: bool) -> Answer {
    let mut words = problem.words();
    if let Problem::Unknown(name) = problem {
        words.forms = jumps(name, jump_services);
    }
    let again = may_come_again && matches!(problem, Problem::Connect(_, ConnectError::NoTunnels));
    if again {
        words.next.push("You need not do anything: this page tries again by itself.".to_owned());
    }
    let mut answer = page(&words, problem.label());
    if again {
        answer.headers_mut().insert(REFRESH, HeaderValue::from_static(AGAIN));
    }
    if let Problem::Account(Challenge(challenge)) = problem
        && let Ok(challenge) = HeaderValue::from_str(challenge)
    {
        answer.headers_mut().insert(PROXY_AUTHENTICATE, challenge);
    }
    answer
}

/// The page while a site has not answered: how far the way to it is. It comes again by itself, and then waits itself.
pub(super) fn waiting(host: &str, stage: Stage, waited: Duration) -> Answer {
    let steps = [
        (
            Stage::Tunnels,
            "Tunnels of our own",
            "are being built: it takes about a minute after the start of the router",
        ),
        (Stage::Search, "Where the site is", "is being asked of those who may know"),
        (Stage::Call, "The site itself", "has been called, and has not answered yet"),
    ];
    let mut forms = String::from("<ol>\n");
    for (step, name, now) in steps {
        let said = match step.cmp(&stage) {
            Ordering::Less => "done",
            Ordering::Equal => now,
            Ordering::Greater => "comes after that",
        };
        let current = if step == stage { " aria-current=\"step\"" } else { "" };
        // Writing into a string does not fail.
        let _ = writeln!(forms, "<li{current}>{name}: {said}</li>");
    }
    forms.push_str("</ol>\n");
    let words = Words {
        status: StatusCode::SERVICE_UNAVAILABLE,
        title: "On the way",
        what: format!("“{host}” has not answered within {} seconds, and is still waited for.", waited.as_secs()),
        next: vec!["You need not do anything: the site is shown here when it answers.".to_owned()],
        forms,
    };
    let mut answer = page(&words, "waiting");
    answer.headers_mut().insert(REFRESH, HeaderValue::from_static("1"));
    answer
}

/// The first page at `proxy.i2p`: it shows that the browser uses the proxy.
pub(super) fn home() -> Answer {
    let next = [
        "Open an address that ends with .i2p, such as one that somebody gave you.",
        "Names that you have are listed by: ramson name list. Others come with links that you follow, or out of a list: ramson name import FILE.",
        "A site of your own takes one command: ramson site FOLDER.",
    ];
    let words = Words {
        status: StatusCode::OK,
        title: "The proxy works",
        what: "This browser reaches sites in I2P by this router.".to_owned(),
        next: next.map(str::to_owned).to_vec(),
        forms: String::new(),
    };
    page(&words, "home")
}

fn page(words: &Words, label: &str) -> Answer {
    let mut html = String::with_capacity(2048);
    let title = escape(words.title);
    // Writing into a string does not fail.
    let _ = write!(
        html,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><style>{STYLE}</style></head>\n\
         <body><main><h1>{title}</h1>\n<p>{}</p>\n",
        escape(&words.what)
    );
    if !words.next.is_empty() {
        html.push_str("<ul>\n");
        for next in &words.next {
            let _ = writeln!(html, "<li>{}</li>", escape(next));
        }
        html.push_str("</ul>\n");
    }
    html.push_str(&words.forms);
    let _ = writeln!(html, "<p><small>Ramson HTTP proxy: {label}</small></p></main></body></html>");
    let mut answer = Answer::new(answer::whole(html));
    *answer.status_mut() = words.status;
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; form-action http://{}; frame-ancestors 'none'",
        local::HOST
    );
    let headers: [(HeaderName, &str); 5] = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
        (CONTENT_SECURITY_POLICY, &policy),
    ];
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

/// Links to services that may know a name. What one of them says is an address helper, so the user decides.
fn jumps(name: &HostName, services: &[String]) -> String {
    let link = |service: &String| {
        let (said, url) = service.rsplit_once(' ').unwrap_or(("", service));
        let host = url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).unwrap_or(url);
        let said = if said.is_empty() { host } else { said };
        format!("<p><a href=\"{}\">Ask {}</a></p>\n", escape(&format!("{url}{name}")), escape(said))
    };
    services.iter().map(link).collect()
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
