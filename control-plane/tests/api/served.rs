//! A store in a folder of its own and an API on a port of its own, for one test.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use control_plane::api::{Api, Authenticator, Session, SessionRequest, Sessions, serve};
use control_plane::registry::{Settings, Status, founding};
use control_plane::store::Store;
use futures::FutureExt;
use futures::future::BoxFuture;
use proto::session_frame::Frame;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) const TOKEN: &str = "a-token-for-tests";
/// How long a test waits for something that must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A served API; ends when dropped.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    _store: Store,
    ca_pem: String,
    client_pem: String,
    client_key_pem: String,
    folder: tempfile::TempDir,
    _shutdown: DropGuard,
}

impl Served {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("store"), Settings::default()).expect("a store");
        for founded in store.submit_all(founding()).await.expect("the store answers") {
            founded.expect("a founding namespace");
        }
        let authority = Authority::new();
        let (server_pem, server_key) = authority.issue("127.0.0.1", "", ExtendedKeyUsagePurpose::ServerAuth);
        let (client_pem, client_key) =
            authority.issue("tester", "system:masters", ExtendedKeyUsagePurpose::ClientAuth);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (_front, front) = watch::channel(serde_json::json!({"endpoints": []}));
        let api = Api {
            store: store.clone(),
            authenticator: Arc::new(Authenticator::new().with_token(TOKEN)),
            sessions: Arc::new(Echo),
            front,
        };
        let shutdown = CancellationToken::new();
        tokio::spawn(serve(listener, authority.server(server_pem, server_key), api, shutdown.clone()));
        Self {
            address,
            _store: store,
            ca_pem: authority.certificate_pem,
            client_pem,
            client_key_pem: client_key.serialize_pem(),
            folder,
            _shutdown: shutdown.drop_guard(),
        }
    }

    /// A kubeconfig that uses the client certificate.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        let write = |name: &str, text: &str| {
            let path = self.folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let (ca, cert) = (write("ca.pem", &self.ca_pem), write("client.pem", &self.client_pem));
        let key = write("client.key", &self.client_key_pem);
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
             clusters: [{{name: test, cluster: {{server: 'https://{}', certificate-authority: {}}}}}]\n\
             users: [{{name: test, user: {{client-certificate: {}, client-key: {}}}}}]\n\
             contexts: [{{name: test, context: {{cluster: test, user: test}}}}]\n",
            self.address,
            ca.display(),
            cert.display(),
            key.display()
        );
        write("kubeconfig", &text)
    }

    /// A folder for a test's own files.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// A client that uses the token, or none.
    pub(crate) fn client(&self, token: Option<&str>) -> kube::Client {
        let url = format!("https://{}", self.address).parse().expect("a URL");
        let mut config = kube::Config::new(url);
        let pem = self.ca_pem.as_bytes();
        config.root_cert = Some(vec![pem_to_der(pem)]);
        config.auth_info.token = token.map(Into::into);
        kube::Client::try_from(config).expect("a client")
    }
}

fn pem_to_der(pem: &[u8]) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject;
    CertificateDer::from_pem_slice(pem).expect("one certificate").to_vec()
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    certificate: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self {
            certificate_pem: certificate.pem(),
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    fn issue(&self, name: &str, organisation: &str, usage: ExtendedKeyUsagePurpose) -> (String, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        if !organisation.is_empty() {
            params.distinguished_name.push(DnType::OrganizationName, organisation);
        }
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key)
    }

    fn server(&self, pem: String, key: KeyPair) -> Arc<rustls::ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("our own authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .expect("a verifier");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![pem_to_der(pem.as_bytes()).into()], key)
            .expect("a certificate with its key");
        Arc::new(config)
    }
}

/// A node that answers every log with two lines, and every exec and connection with what it was told.
struct Echo;

impl Sessions for Echo {
    fn open(&self, request: SessionRequest) -> BoxFuture<'_, Result<Session, Status>> {
        let (to_node, mut said) = mpsc::channel(16);
        let (answers, from_node) = mpsc::channel(16);
        tokio::spawn(async move {
            let send = async |frame| {
                // The client may have left already.
                let _gone = answers.send(proto::SessionFrame { frame: Some(frame) }).await;
            };
            let exec = match request.open.kind {
                Some(proto::open_session::Kind::Exec(exec)) => exec,
                Some(proto::open_session::Kind::PortForward(_)) => {
                    proto::ExecRequest { stdin: true, ..Default::default() }
                }
                Some(proto::open_session::Kind::Log(_)) | None => {
                    return send(Frame::Stdout("one\ntwo\n".into())).await;
                }
            };
            let told = exec.command.join(" ");
            if !told.is_empty() {
                send(Frame::Stdout(format!("{told}\n").into())).await;
            }
            if exec.stdin {
                while let Some(proto::SessionFrame { frame: Some(Frame::Stdin(bytes)) }) = said.recv().await {
                    send(Frame::Stdout(bytes)).await;
                }
            }
            let code = told.strip_prefix("exit ").and_then(|code| code.parse().ok()).unwrap_or(0);
            send(Frame::ExitCode(code)).await;
        });
        async { Ok(Session { to_node, from_node }) }.boxed()
    }
}

/// Labels as the `kube` crate wants them.
pub(crate) fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
