use proptest::prelude::*;

use super::*;

fn key(kind: Kind, namespace: &str, name: &str) -> Key {
    Key::new(kind, namespace, name)
}

#[test]
fn paths_lead_to_objects_and_what_is_below_them() {
    let object = |key| Route::Resource(Resource::Object(key));
    let cases = [
        ("/api/v1/namespaces/default/pods/p", object(key(Kind::Pod, "default", "p"))),
        ("/api/v1/namespaces/default", object(key(Kind::Namespace, "", "default"))),
        ("/api/v1/namespaces/default/", object(key(Kind::Namespace, "", "default"))),
        ("/api/v1/nodes/n", object(key(Kind::Node, "", "n"))),
        ("/api/v1/namespaces/x/status", Route::Resource(Resource::Status(key(Kind::Namespace, "", "x")))),
        (
            "/apis/apps/v1/namespaces/d/deployments/x/scale",
            Route::Resource(Resource::Scale(key(Kind::Deployment, "d", "x"))),
        ),
        ("/api/v1/namespaces/d/pods/p/log", Route::Resource(Resource::Log(key(Kind::Pod, "d", "p")))),
        ("/version/", Route::Version),
        ("/readyz", Route::Healthz),
    ];
    for (path, expected) in cases {
        assert_eq!(parse(path).expect(path), expected, "{path}");
    }
}

#[test]
fn a_collection_is_of_one_namespace_or_of_all() {
    let place = |namespace: Option<&str>| {
        let namespace = namespace.map(ToOwned::to_owned);
        Route::Resource(Resource::Collection(Place { kind: Kind::Pod, namespace, name: None }))
    };
    assert_eq!(parse("/api/v1/pods").expect("all"), place(None));
    assert_eq!(parse("/api/v1/namespaces/d/pods").expect("one"), place(Some("d")));
}

#[test]
fn a_path_that_leads_nowhere_names_no_object() {
    let nowhere = [
        "/",
        "/api/v2",
        "/api/v1/podz",
        "/apis/apps/v1/pods",
        "/api/v1/pods/p",
        "/api/v1/namespaces/d/nodes/n",
    ];
    for path in nowhere {
        let status = parse(path).expect_err(path);
        assert_eq!((status.code(), status.details), (404, None), "{path}");
    }
}

proptest! {
    #[test]
    fn no_path_makes_it_panic(path in "(/(api|apis|v1|apps|namespaces|pods|status|[a-z.%]{0,5})){0,8}/?") {
        let _either = parse(&path);
    }
}
