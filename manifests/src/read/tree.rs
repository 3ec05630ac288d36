//! YAML text to trees of values that remember their lines. Aliases are followed and merge keys carried out, within
//! limits that no text can talk its way around.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};
use serde_saphyr::granit_parser::{self, ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::{Limits, escape, scalar};

/// A place in the text, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// A value and where it was written.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: At,
    pub(super) content: Content,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a map, where it was written, and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: At,
    pub(super) node: Node,
}

/// What is wrong with the text itself.
#[derive(Debug, Clone)]
pub(super) struct Flaw {
    pub(super) at: At,
    pub(super) message: String,
}

impl Node {
    /// The value under a key.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|entry| entry.key == key),
            Content::Scalar(_) | Content::List(_) => None,
        }
    }

    pub(super) fn to_value(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => items.iter().map(Node::to_value).collect(),
            Content::Map(entries) => Value::Object(self::to_map(entries)),
        }
    }

    /// How many nodes this is, and how many levels.
    fn extent(&self) -> (usize, usize) {
        let inner: &mut dyn Iterator<Item = &Node> = match &self.content {
            Content::Scalar(_) => return (1, 1),
            Content::List(items) => &mut items.iter(),
            Content::Map(entries) => &mut entries.iter().map(|entry| &entry.node),
        };
        let (size, height) =
            inner.map(Node::extent).fold((0, 0), |(size, height), (s, h)| (size + s, height.max(h)));
        (size + 1, height + 1)
    }
}

fn to_map(entries: &[Entry]) -> Map<String, Value> {
    entries.iter().map(|entry| (entry.key.clone(), entry.node.to_value())).collect()
}

/// The documents of a text, and all its flaws. After a flaw of syntax, or a limit, nothing more is read.
pub(super) fn documents(text: &str, limits: &Limits) -> (Vec<Node>, Vec<Flaw>) {
    let mut text = Cow::Borrowed(text);
    let mut repairs = 0;
    loop {
        let mut builder = Builder::new(limits);
        let Some(error) = builder.read(&text) else { return (builder.documents, builder.flaws) };
        match escape::repaired(&text, error.marker().index()).filter(|_| repairs < escape::REPAIRS_MAX) {
            Some(better) if *error.kind() == ErrorKind::UnknownQuotedScalarEscape => {
                text = Cow::Owned(better)
            }
            _ => {
                builder.flaws.push(syntax(&error));
                return (builder.documents, builder.flaws);
            }
        }
        repairs += 1;
    }
}

fn syntax(error: &ScanError) -> Flaw {
    let mark = error.marker();
    Flaw {
        at: At { line: mark.line(), column: mark.col() + 1 },
        message: format!("not YAML: {}", error.info()),
    }
}

fn at(span: &Span) -> At {
    At { line: span.start.line(), column: span.start.col() + 1 }
}

/// A list or map that is still open.
#[derive(Debug)]
struct Open {
    at: At,
    anchor: usize,
    kind: OpenKind,
}

#[derive(Debug)]
enum OpenKind {
    List(Vec<Node>),
    Map(OpenMap),
}

#[derive(Debug, Default)]
struct OpenMap {
    entries: Vec<Entry>,
    /// The key that waits for its value.
    key: Option<(String, At)>,
    /// The keys so far, to find those that come twice.
    seen: HashSet<String>,
    /// The values of `<<`.
    merged: Vec<Node>,
}

#[derive(Debug)]
struct Builder<'l> {
    limits: &'l Limits,
    documents: Vec<Node>,
    flaws: Vec<Flaw>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'l> Builder<'l> {
    fn new(limits: &'l Limits) -> Builder<'l> {
        Builder {
            limits,
            documents: Vec::new(),
            flaws: Vec::new(),
            open: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
        }
    }

    /// Reads a text to its end, a limit, or an error of syntax.
    fn read(&mut self, text: &str) -> Option<ScanError> {
        let options = granit_parser::options! { emit_comments: false };
        for next in Parser::new_from_str_with_options(text, options) {
            let (event, span) = match next {
                Ok(next) => next,
                Err(error) => return Some(error),
            };
            if let Err(flaw) = self.take(event, span) {
                self.flaws.push(flaw);
                break;
            }
        }
        None
    }

    /// Takes one event of the parser. An error ends the reading.
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Flaw> {
        let at = at(&span);
        match event {
            Event::DocumentStart(..) => {
                self.anchors.clear();
                if self.documents.len() == self.limits.documents {
                    return Err(self.limit(at, format!("more than {} documents", self.limits.documents)));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref(), at);
                self.count(1, at)?;
                self.place(Node { at, content: Content::Scalar(value) }, anchor);
            }
            Event::SequenceStart(_, anchor, _) => self.start(at, anchor, OpenKind::List(Vec::new()))?,
            Event::MappingStart(_, anchor, _) => {
                self.start(at, anchor, OpenKind::Map(OpenMap::default()))?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.alias(anchor, at)?,
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            // Comments and the like, which the options above keep out.
            Event::Anchor(..) | Event::UnresolvedAlias(_) | _ => {}
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, at: At) -> Value {
        match tag.map(|tag| tag.core_suffix().unwrap_or("")) {
            Some("str") => return Value::String(text.to_owned()),
            Some("") => self.flaw(at, "a YAML tag that is not understood; leave it out"),
            _ => {}
        }
        // A key is text, whatever it looks like: `80: web`.
        if style == ScalarStyle::Plain && !self.expects_key() { scalar::plain(text) } else { text.into() }
    }

    fn expects_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { kind: OpenKind::Map(OpenMap { key: None, .. }), .. }))
    }

    fn start(&mut self, at: At, anchor: usize, kind: OpenKind) -> Result<(), Flaw> {
        self.count(1, at)?;
        if self.open.len() >= self.limits.depth {
            return Err(self.limit(at, format!("nested more than {} levels deep", self.limits.depth)));
        }
        self.open.push(Open { at, anchor, kind });
        Ok(())
    }

    fn end(&mut self) {
        let Some(open) = self.open.pop() else { return };
        let content = match open.kind {
            OpenKind::List(items) => Content::List(items),
            OpenKind::Map(map) => Content::Map(merge(map)),
        };
        self.place(Node { at: open.at, content }, open.anchor);
    }

    fn alias(&mut self, anchor: usize, at: At) -> Result<(), Flaw> {
        let Some(node) = self.anchors.get(&anchor) else {
            self.flaw(at, "an alias of something that contains it");
            self.place(Node { at, content: Content::Scalar(Value::Null) }, 0);
            return Ok(());
        };
        let (size, height) = node.extent();
        if self.open.len() + height > self.limits.depth {
            return Err(self.limit(at, format!("nested more than {} levels deep", self.limits.depth)));
        }
        let node = node.clone();
        self.count(size, at)?;
        self.place(node, 0);
        Ok(())
    }

    /// Puts a finished node where it belongs: into what is open, or it is a document.
    fn place(&mut self, node: Node, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node);
            return;
        };
        match &mut open.kind {
            OpenKind::List(items) => items.push(node),
            OpenKind::Map(map) => {
                if let Some(flaw) = map.take(node) {
                    self.flaws.push(flaw);
                }
            }
        }
    }

    fn count(&mut self, nodes: usize, at: At) -> Result<(), Flaw> {
        self.nodes += nodes;
        if self.nodes > self.limits.nodes {
            return Err(self.limit(at, format!("more than {} values, aliases followed", self.limits.nodes)));
        }
        Ok(())
    }

    fn flaw(&mut self, at: At, message: &str) {
        self.flaws.push(Flaw { at, message: message.to_owned() });
    }

    fn limit(&self, at: At, what: String) -> Flaw {
        Flaw { at, message: format!("refused: {what}") }
    }
}

impl OpenMap {
    /// Takes a key, or the value of the key before it.
    fn take(&mut self, node: Node) -> Option<Flaw> {
        if let Some((key, at)) = self.key.take() {
            if key == "<<" {
                self.merged.push(node);
            } else {
                self.entries.push(Entry { key, at, node });
            }
            return None;
        }
        let at = node.at;
        let (key, problem) = match node.content {
            Content::Scalar(Value::String(key)) => (key, None),
            Content::Scalar(other) => (other.to_string(), None),
            Content::List(_) | Content::Map(_) => {
                (String::new(), Some("a key must be plain text".to_owned()))
            }
        };
        let is_new = key == "<<" || self.seen.insert(key.clone());
        let twice = (!is_new).then(|| format!("key {key:?} is already set in this map"));
        self.key = Some((key, at));
        problem.or(twice).map(|message| Flaw { at, message })
    }
}

/// Carries out `<<`: what the merged maps have and the map itself lacks, earlier ones first.
fn merge(map: OpenMap) -> Vec<Entry> {
    let OpenMap { mut entries, mut seen, merged, .. } = map;
    let maps = merged.into_iter().flat_map(|node| match node.content {
        Content::List(items) => items,
        content @ (Content::Map(_) | Content::Scalar(_)) => vec![Node { at: node.at, content }],
    });
    for map in maps {
        let Content::Map(inherited) = map.content else { continue };
        entries.extend(inherited.into_iter().filter(|entry| seen.insert(entry.key.clone())));
    }
    entries
}
