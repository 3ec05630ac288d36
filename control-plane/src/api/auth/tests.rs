use http::HeaderValue;
use rcgen::{CertificateParams, DnType, KeyPair};

use super::*;

fn caller(name: &str, organisation: &str) -> Caller {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, organisation);
    Caller { certificate: Some(params.self_signed(&key).expect("a certificate").der().clone()) }
}

fn with_token(token: &str) -> HeaderMap {
    let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("a header");
    HeaderMap::from_iter([(header::AUTHORIZATION, value)])
}

#[test]
fn a_master_is_known_by_certificate() {
    let identity =
        Authenticator::new().identify(&caller("alice", MASTERS), &HeaderMap::new()).expect("known");
    assert_eq!(identity.name, "alice");
}

#[test]
fn a_node_may_not_use_the_api() {
    let refusal = Authenticator::new().identify(&caller("system:node:n1", "system:nodes"), &HeaderMap::new());
    assert_eq!(refusal.expect_err("a node").code(), 403);
}

#[test]
fn only_the_right_token_is_accepted() {
    let authenticator = Authenticator::new().with_token("right");
    authenticator.identify(&Caller::default(), &with_token("right")).expect("known");
    for wrong in [with_token("wrong"), with_token(""), HeaderMap::new()] {
        assert_eq!(authenticator.identify(&Caller::default(), &wrong).expect_err("unknown").code(), 401);
    }
}

#[test]
fn a_wrong_token_is_not_saved_by_a_good_certificate() {
    let refusal = Authenticator::new().identify(&caller("alice", MASTERS), &with_token("guess"));
    assert_eq!(refusal.expect_err("a guess").code(), 401);
}
