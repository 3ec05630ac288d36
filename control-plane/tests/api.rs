//! The API from outside: served over TLS with an authority of its own, driven by the `kube` crate and by kubectl.

#[cfg(test)]
mod api {
    mod kube_client;
    mod kubectl;
    mod served;
}
