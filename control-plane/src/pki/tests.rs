use std::os::unix::fs::PermissionsExt;

use rand::SeedableRng;
use rand::rngs::StdRng;
use x509_parser::pem::parse_x509_pem;

use super::*;

fn authority(dir: &Path) -> Authority {
    let now: Timestamp = "2028-02-29T12:00:00Z".parse().expect("a date");
    Authority::open(dir, now, &mut StdRng::seed_from_u64(1)).expect("a new authority")
}

#[test]
fn opening_twice_gives_the_same_authority() {
    let dir = tempfile::tempdir().expect("a folder");
    let (first, second) = (authority(dir.path()), authority(dir.path()));
    assert_eq!(first.ca_pem(), second.ca_pem());
    assert_eq!(first.join_token(), second.join_token());
    assert!(first.accepts(second.join_token()));
    assert!(!first.accepts("guess"));
}

#[test]
fn private_files_are_read_by_their_owner_only() {
    let dir = tempfile::tempdir().expect("a folder");
    authority(dir.path());
    for name in ["ca.key", "join.token"] {
        let mode = fs::metadata(dir.path().join(name)).expect("the file").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name} is {mode:o}");
    }
}

#[test]
fn a_request_gets_the_subject_that_we_say_and_not_the_one_it_asks_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let authority = authority(dir.path());
    let key = KeyPair::generate().expect("a key");
    let mut wish = CertificateParams::default();
    wish.distinguished_name = distinguished_name("admin", MASTERS);
    let csr = wish.serialize_request(&key).expect("a request").pem().expect("pem");
    let subject = Subject { common_name: "system:node:node-1".into(), organisation: NODES };
    let now: Timestamp = "2028-02-29T12:00:00Z".parse().expect("a date");
    let pem = authority.sign_request(&csr, &subject, now).expect("a certificate");
    let (_, pem) = parse_x509_pem(pem.as_bytes()).expect("pem");
    let certificate = pem.parse_x509().expect("x509");
    let name = certificate.subject().to_string();
    assert!(name.contains("system:node:node-1") && name.contains(NODES), "{name}");
    assert!(!name.contains(MASTERS), "{name}");
}
