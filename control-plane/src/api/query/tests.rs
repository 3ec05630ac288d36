use http::HeaderValue;

use super::*;

fn query(text: &str) -> Result<Query, Status> {
    Query::parse(&format!("/x?{text}").parse().expect("a URI"))
}

fn form(accept: &'static str) -> Result<Form, Status> {
    Accept::parse(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))])).form()
}

#[test]
fn a_watch_is_asked_for_in_any_of_the_usual_words() {
    for text in ["watch=true", "watch=1", "watch"] {
        assert!(query(text).expect("read").watch, "{text}");
    }
    assert!(!query("watch=false").expect("read").watch);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for text in ["dryRun=Some", "timeoutSeconds=soon", "fieldValidation=Maybe", "labelSelector=a%20b%20c,,!"]
    {
        assert_eq!(query(text).expect_err(text).code(), 400, "{text}");
    }
}

#[test]
fn a_field_that_a_kind_cannot_be_selected_by_is_refused() {
    let query = query("fieldSelector=spec.nodeName%3Dn1").expect("read");
    query.check_fields(Kind::Pod).expect("pods have it");
    let refusal = query.check_fields(Kind::Service).expect_err("services do not");
    assert_eq!(refusal.message, "field label not supported: spec.nodeName");
}

#[test]
fn the_first_form_that_we_have_is_given() {
    let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
    assert_eq!(form(kubectl).expect("a form"), Form::Table);
    assert_eq!(form("application/vnd.kubernetes.protobuf,application/json").expect("a form"), Form::Json);
    assert_eq!(form("*/*").expect("a form"), Form::Json);
    assert_eq!(
        form("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").expect("a form"),
        Form::PartialMetadata
    );
    assert_eq!(form("text/html").expect_err("no form").code(), 406);
}
