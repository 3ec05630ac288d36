//! Host and path to a backend, as Ingress defines it. Pure.
//!
//! The order is the specification's: a precise host before a wildcard before any host; within a host the
//! longest path first, an exact path before a prefix of the same length. Prefixes match whole segments.
//! <https://kubernetes.io/docs/concepts/services-networking/ingress/#multiple-matches>

use std::cmp::Reverse;
use std::collections::HashMap;

#[cfg(test)]
mod tests;

/// Routes to values of `T`, ready to be searched.
#[derive(Debug, Clone)]
pub struct Routes<T> {
    precise: HashMap<String, Vec<Rule<T>>>,
    // By what follows `*`, with its dot.
    wildcard: HashMap<String, Vec<Rule<T>>>,
    any: Vec<Rule<T>>,
}

#[derive(Debug, Clone)]
struct Rule<T> {
    path: String,
    exact: bool,
    to: T,
}

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Routes { precise: HashMap::new(), wildcard: HashMap::new(), any: Vec::new() }
    }
}

impl<T> Routes<T> {
    /// From `(host, path, exact, to)`. Of two that match equally well, the first one answers.
    pub fn new(rules: impl IntoIterator<Item = (String, String, bool, T)>) -> Self {
        let mut routes = Routes::default();
        for (host, path, exact, to) in rules {
            let rule = Rule { path: if exact { path } else { without_end_slash(path) }, exact, to };
            routes.rules_of(&host).push(rule);
        }
        let lists = routes.precise.values_mut().chain(routes.wildcard.values_mut());
        for rules in lists.chain([&mut routes.any]) {
            rules.sort_by_key(|rule| (Reverse(rule.path.len()), !rule.exact));
        }
        routes
    }

    /// The best match. `host` may carry a port.
    pub fn find(&self, host: &str, path: &str) -> Option<&T> {
        let host = without_port(host).to_ascii_lowercase();
        let precise = self.precise.get(&host);
        let wildcard = host.find('.').and_then(|dot| self.wildcard.get(&host[dot..]));
        [precise, wildcard, Some(&self.any)]
            .into_iter()
            .flatten()
            .find_map(|rules| rules.iter().find(|rule| rule.matches(path)))
            .map(|rule| &rule.to)
    }

    fn rules_of(&mut self, host: &str) -> &mut Vec<Rule<T>> {
        let host = host.to_ascii_lowercase();
        match host.strip_prefix('*') {
            _ if host.is_empty() => &mut self.any,
            Some(suffix) => self.wildcard.entry(suffix.to_owned()).or_default(),
            None => self.precise.entry(host).or_default(),
        }
    }
}

impl<T> Rule<T> {
    fn matches(&self, path: &str) -> bool {
        match path.strip_prefix(self.path.as_str()) {
            Some(rest) if self.exact => rest.is_empty(),
            Some(rest) => rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }
}

fn without_end_slash(mut path: String) -> String {
    path.truncate(path.trim_end_matches('/').len());
    path
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    }
}
