//! Which objects a user means by words: `pods`, `pods,svc`, `deploy payment`, `pod/a service/b`, `all`. Pure.

use anyhow::{anyhow, bail};
use manifests::Kind;

/// Objects of one kind: those of these names, or all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) kind: Kind,
    /// Empty: all.
    pub(super) names: Vec<String>,
}

/// Reads the words. Kinds come in the order that they are named in.
pub(super) fn parse(words: &[String]) -> anyhow::Result<Vec<Selection>> {
    let Some((first, names)) = words.split_first() else {
        bail!("say which kind of object, such as: pods, deployments, or pods,services");
    };
    if words.iter().any(|word| word.contains('/')) {
        return with_slashes(words);
    }
    let kinds: Vec<Kind> = first.split(',').map(kinds).collect::<anyhow::Result<Vec<_>>>()?.concat();
    Ok(kinds.into_iter().map(|kind| Selection { kind, names: names.to_vec() }).collect())
}

/// One kind, in any of its names.
pub(super) fn kind(word: &str) -> anyhow::Result<Kind> {
    Kind::find(word).ok_or_else(|| {
        let all = Kind::ALL.iter().map(|kind| kind.info());
        let known = all.flat_map(|info| {
            [info.plural, info.singular].into_iter().chain(info.short_names.iter().copied())
        });
        match manifests::field::nearest(word, known) {
            Some(near) => anyhow!("there is no kind of object called {word:?}; did you mean {near:?}?"),
            None => anyhow!("there is no kind of object called {word:?}"),
        }
    })
}

/// A kind, or the kinds of a category such as `all`.
fn kinds(word: &str) -> anyhow::Result<Vec<Kind>> {
    let of_category = Kind::ALL.into_iter().filter(|kind| kind.info().categories.contains(&word));
    let mut kinds: Vec<Kind> = of_category.collect();
    // What runs comes first, as it does from kubectl.
    kinds.sort_by_key(|kind| *kind != Kind::Pod);
    if kinds.is_empty() { Ok(vec![kind(word)?]) } else { Ok(kinds) }
}

fn with_slashes(words: &[String]) -> anyhow::Result<Vec<Selection>> {
    let mut selections: Vec<Selection> = Vec::new();
    for word in words {
        let Some((kind_word, name)) = word.split_once('/') else {
            bail!("{word:?} has no kind; where one argument is KIND/NAME, all must be");
        };
        if name.is_empty() || name.contains('/') {
            bail!("{word:?} is not of the form KIND/NAME");
        }
        let kind = kind(kind_word)?;
        match selections.iter_mut().find(|selection| selection.kind == kind) {
            Some(selection) => selection.names.push(name.to_owned()),
            None => selections.push(Selection { kind, names: vec![name.to_owned()] }),
        }
    }
    Ok(selections)
}

#[cfg(test)]
mod tests;
