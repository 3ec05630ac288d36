use super::*;

#[test]
fn paths_are_those_of_kubernetes() {
    let place = |kind, namespace| Place { kind, namespace };
    assert_eq!(place(Kind::Pod, Some("shop")).path("a", "log"), "/api/v1/namespaces/shop/pods/a/log");
    assert_eq!(place(Kind::Deployment, None).path("", ""), "/apis/apps/v1/deployments");
    assert_eq!(place(Kind::Node, Some("shop")).path("n", ""), "/api/v1/nodes/n");
    assert_eq!(place(Kind::Pod, Some("../a")).path("b/c?", ""), "/api/v1/namespaces/..%2Fa/pods/b%2Fc%3F");
}

#[test]
fn selectors_are_encoded() {
    let query = Query { labels: Some("app in (a,b)".into()), fields: None };
    let request = request(Method::GET, "/api/v1/pods", &query.parameters(), JSON, None).unwrap();
    assert_eq!(request.uri(), "/api/v1/pods?labelSelector=app%20in%20%28a%2Cb%29");
}
