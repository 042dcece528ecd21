//! Connections to programs of this machine or its network, plain or by TLS, from an address of the caller's own if that is wanted.
//!
//! Certificates are not verified: the program is named by its address, and what it has is seldom signed by anybody. INTEROP: i2pd does not
//! either.

use crate::http_proxy::connector::read_some;
use crate::unique_local::{self, from_caller};
use hyper_util::client::legacy::connect::{Connected, Connection};
use ramson_protocol::id::DestinationHash;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{self, ClientConfig, DigitallySignedStruct, SignatureScheme};

/// A program that a server tunnel leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Where it listens.
    pub target: SocketAddr,
    /// Whether each caller has an address of his own on this machine.
    pub unique_local: bool,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// A connection to one.
pub(crate) enum Local {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Program {
    /// One that is spoken with plainly, and sees all callers at one address.
    pub fn at(target: SocketAddr) -> Self {
        Self { target, unique_local: false, tls: false }
    }

    /// A connection for a caller.
    pub(crate) async fn connect(&self, who: &DestinationHash) -> io::Result<Local> {
        let from = if self.unique_local { from_caller(self.target, who) } else { None };
        let plain = unique_local::connect(self.target, from).await?;
        // Small packets of interactive programs are not to wait.
        plain.set_nodelay(true)?;
        if !self.tls {
            return Ok(Local::Plain(plain));
        }
        let config = TLS.clone().ok_or_else(|| io::Error::other("there is no TLS on this machine"))?;
        let name = ServerName::IpAddress(self.target.ip().into());
        let tls = TlsConnector::from(config).connect(name, plain).await?;
        Ok(Local::Tls(Box::new(tls)))
    }
}

impl Local {
    /// From which address we speak with the program.
    pub(crate) fn ip(&self) -> io::Result<IpAddr> {
        match self {
            Self::Plain(plain) => plain.local_addr(),
            Self::Tls(tls) => tls.get_ref().0.local_addr(),
        }
        .map(|at| at.ip())
    }
}

static TLS: LazyLock<Option<Arc<ClientConfig>>> = LazyLock::new(|| {
    let provider = Arc::new(ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().ok()?;
    let any = config.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)));
    Some(Arc::new(any.with_no_client_auth()))
});

/// Takes whatever certificate a program has, if it has its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl Connection for Local {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Local {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => read_some(Pin::new(plain), cx, buf),
            // Many programs close without a word of TLS. On this side of a tunnel nobody gains by cutting what they say short.
            Self::Tls(tls) => match Pin::new(tls).poll_read(cx, buf) {
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
                read => read,
            },
        }
    }
}

impl AsyncWrite for Local {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

    #[tokio::test]
    async fn a_program_with_a_certificate_of_its_own_is_spoken_with_by_tls() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = config.with_single_cert(vec![made.cert.der().clone()], key.into()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let program = Program { tls: true, ..Program::at(listener.local_addr().unwrap()) };
        tokio::spawn(async move {
            let (socket, _) = listener.accept().await.unwrap();
            let mut tls = TlsAcceptor::from(Arc::new(config)).accept(socket).await.unwrap();
            let mut heard = [0; 5];
            tls.read_exact(&mut heard).await.unwrap();
            tls.write_all(&heard).await.unwrap();
            tls.flush().await.unwrap();
            // It closes without the alert that TLS would have.
        });
        let mut local = program.connect(&DestinationHash([1; 32])).await.unwrap();
        local.write_all(b"hello").await.unwrap();
        let mut heard = Vec::new();
        local.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"hello");
    }
}
