//! Pure. Text of YAML or JSON -> one tree of nodes for each document, each node with its place in the text.
//! Finds what is wrong with the text as YAML (syntax, duplicate keys, aliases without bound, traps that change what was
//! meant); knows nothing of campaigns. `file_conveniences` walks the trees.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, StructureStyle, Tag};

use crate::file_fault::{FileFault, FilePlace};
use crate::yaml_traps;

/// A campaign file is at most so large; a hundred times the largest one ought to be.
pub(crate) const FILE_BYTES_MAX: usize = 4 << 20;
/// Mappings and lists nest at most so deep: a body of 64 levels inside a campaign.
pub(crate) const DEPTH_MAX: usize = 80;
/// A file holds at most so many values, those that aliases repeat counted again.
pub(crate) const NODES_MAX: usize = 200_000;
/// A file is answered with at most so many faults.
pub(crate) const FAULTS_MAX: usize = 100;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: FilePlace,
    /// The byte at which it begins.
    pub(crate) start: usize,
    pub(crate) shape: Shape,
}

/// What a value is, before anybody says what it means.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    /// Nothing was written.
    Empty,
    /// Text in quotes or in a block.
    Text(String),
    /// Unquoted; `yaml_traps::meaning` says what.
    Plain(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping in the order written; no key twice.
    Map(Vec<(Key, Node)>),
    /// Something a fault was already recorded for.
    Faulty,
}

/// A key of a mapping and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) place: FilePlace,
    pub(crate) text: String,
}

/// Reads every document that is not empty. Documents after one that cannot be read are read all the same.
pub(crate) fn read(source: &str, faults: &mut Vec<FileFault>) -> Vec<Node> {
    let start = FilePlace { line: 1, column: 1 };
    if source.len() > FILE_BYTES_MAX {
        faults.push(FileFault::new("", start, format!("more than {FILE_BYTES_MAX} bytes in one file")));
        return Vec::new();
    }
    let options = granit_parser::options! {
        emit_unresolved_aliases: true,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut parser = Parser::new_from_str_with_options(source, options);
    let mut builder = Builder {
        source,
        faults,
        open: Vec::new(),
        anchors: HashMap::new(),
        nodes_left: NODES_MAX,
        suspect: None,
        documents: Vec::new(),
    };
    while !builder.is_full() {
        match parser.next() {
            None => break,
            Some(Ok((event, span))) => builder.take(event, &span),
            Some(Err(error)) => {
                builder.refuse(&error);
                if !parser.proceed_next_document().unwrap_or(false) {
                    break;
                }
            }
        }
    }
    builder.documents
}

struct Builder<'a> {
    source: &'a str,
    faults: &'a mut Vec<FileFault>,
    /// The collections that are not closed yet, outermost first.
    open: Vec<Open>,
    /// Values that aliases may repeat, and how many nodes each holds.
    anchors: HashMap<usize, (Node, usize)>,
    nodes_left: usize,
    /// The last value that may have been meant to go on where YAML ended it.
    suspect: Option<Suspect>,
    documents: Vec<Node>,
}

struct Open {
    place: FilePlace,
    start: usize,
    flow: bool,
    anchor: usize,
    /// Whether this and everything in it is thrown away: it began with `{{`.
    doubtful: bool,
    nodes_left_before: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Node>),
    Map(OpenMap),
}

#[derive(Default)]
struct OpenMap {
    entries: Vec<(Key, Node)>,
    /// The key whose value comes next.
    key: Option<Key>,
    /// Keys so far, with their lines.
    seen: HashMap<String, u32>,
}

#[derive(Clone, Copy)]
struct Suspect {
    place: FilePlace,
    start: usize,
    in_flow: bool,
}

impl Builder<'_> {
    fn is_full(&self) -> bool {
        self.nodes_left == 0 || self.faults.len() >= FAULTS_MAX
    }

    fn take(&mut self, event: Event<'_>, span: &Span) {
        let place = place_of(span);
        let start = span.start.byte_offset().unwrap_or_default();
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let empty = span.is_empty() && style == ScalarStyle::Plain;
                if !self.in_flow() && self.awaits_value() {
                    self.suspect = Some(Suspect { place, start, in_flow: false });
                }
                let shape = self.scalar(text, style, tag.as_deref(), empty, place);
                self.keep(Node { place, start, shape }, anchor);
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), place);
                self.begin(place, start, style, anchor, Inside::List(Vec::new()));
            }
            Event::MappingStart(style, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), place);
                self.begin(place, start, style, anchor, Inside::Map(OpenMap::default()));
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(id) => self.repeat(id, place, start),
            Event::UnresolvedAlias(_) => {
                self.suspect = Some(Suspect { place, start, in_flow: self.in_flow() });
                self.trap(place, start);
                self.keep(Node { place, start, shape: Shape::Faulty }, 0);
            }
            _ => {}
        }
    }

    fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        tag: Option<&Tag>,
        empty: bool,
        place: FilePlace,
    ) -> Shape {
        match tag {
            Some(tag) if tag.is_yaml_core_schema_tag("str") => {
                Shape::Text(if empty { String::new() } else { text.into_owned() })
            }
            Some(_) => {
                self.refuse_tag(tag, place);
                Shape::Faulty
            }
            None if empty => Shape::Empty,
            None if style == ScalarStyle::Plain => Shape::Plain(text.into_owned()),
            None => Shape::Text(text.into_owned()),
        }
    }

    fn begin(
        &mut self,
        place: FilePlace,
        start: usize,
        style: StructureStyle,
        anchor: usize,
        inside: Inside,
    ) {
        let in_flow = self.in_flow();
        let flow = style == StructureStyle::Flow;
        let doubtful = flow && self.source.get(start..).is_some_and(|rest| rest.starts_with("{{"));
        if doubtful {
            self.suspect = Some(Suspect { place, start, in_flow });
        }
        let nodes_left_before = self.nodes_left;
        self.open.push(Open { place, start, flow, anchor, doubtful, nodes_left_before, inside });
    }

    fn end(&mut self) {
        let Some(open) = self.open.pop() else { return };
        let (place, start) = (open.place, open.start);
        let shape = match open.inside {
            _ if open.doubtful => {
                self.trap(place, start);
                Shape::Faulty
            }
            Inside::List(nodes) => Shape::List(nodes),
            Inside::Map(map) => Shape::Map(map.entries),
        };
        let inside = open.nodes_left_before.saturating_sub(self.nodes_left);
        let node = Node { place, start, shape };
        if open.anchor != 0 {
            self.anchors.insert(open.anchor, (node.clone(), inside + 1));
        }
        self.keep(node, 0);
    }

    /// Puts a finished node where it belongs: as a key, a value, an element or a document.
    fn keep(&mut self, node: Node, anchor: usize) {
        self.spend(1, node.place);
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), 1));
        }
        match self.open.last_mut().map(|open| &mut open.inside) {
            None if matches!(node.shape, Shape::Empty) => {}
            None => self.documents.push(node),
            Some(Inside::List(nodes)) => nodes.push(node),
            Some(Inside::Map(map)) => match map.key.take() {
                Some(key) => map.entries.push((key, node)),
                None => self.keep_key(node),
            },
        }
    }

    fn keep_key(&mut self, node: Node) {
        let place = node.place;
        let doubtful = self.open.iter().any(|open| open.doubtful);
        let text = match node.shape {
            Shape::Text(text) | Shape::Plain(text) => text,
            Shape::List(_) | Shape::Map(_) if !doubtful => {
                self.fault(place, "a key is text, not a list or a mapping");
                String::new()
            }
            _ => String::new(),
        };
        let Some(Open { inside: Inside::Map(map), .. }) = self.open.last_mut() else { return };
        let first = map.seen.insert(text.clone(), place.line);
        map.key = Some(Key { place, text });
        if let Some(line) = first.filter(|_| !doubtful) {
            self.fault(place, format!("this key is here twice, also on line {line}: remove one of them"));
        }
    }

    fn repeat(&mut self, id: usize, place: FilePlace, start: usize) {
        self.suspect = Some(Suspect { place, start, in_flow: self.in_flow() });
        let Some((node, nodes)) = self.anchors.get(&id) else {
            self.fault(place, "an alias cannot stand inside what it repeats");
            self.keep(Node { place, start, shape: Shape::Faulty }, 0);
            return;
        };
        if node.shape.depth() + self.open.len() > DEPTH_MAX {
            self.fault(place, format!("more than {DEPTH_MAX} levels deep, counting what aliases repeat"));
            self.keep(Node { place, start, shape: Shape::Faulty }, 0);
            return;
        }
        let (shape, nodes) = (node.shape.clone(), *nodes);
        self.spend(nodes, place);
        self.keep(Node { place, start, shape }, 0);
    }

    /// Counts nodes against the bound of the file; the last one is answered with a fault.
    fn spend(&mut self, nodes: usize, place: FilePlace) {
        if self.nodes_left > 0 && self.nodes_left <= nodes {
            self.fault(
                place,
                format!("more than {NODES_MAX} values in one file, counting what aliases repeat"),
            );
        }
        self.nodes_left = self.nodes_left.saturating_sub(nodes);
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, place: FilePlace) {
        if let Some(tag) = tag {
            let text = format!(
                "the tag {} means nothing here: leave it out, or write text in quotes",
                tag.original()
            );
            self.fault(place, text);
        }
    }

    /// Records that a value cannot stand unquoted.
    fn trap(&mut self, place: FilePlace, start: usize) {
        let written = yaml_traps::value_from(self.source, start, self.in_flow());
        self.fault(place, yaml_traps::start_fault(&self.key_before(), written));
    }

    /// Records a syntax error, as the trap behind it where there is one, and forgets the document.
    fn refuse(&mut self, error: &ScanError) {
        let marker = error.marker();
        let place = FilePlace { line: count(marker.line()).max(1), column: count(marker.col()) + 1 };
        match self.meant(error, place, marker.byte_offset().unwrap_or_default()) {
            Some(Suspect { place, start, in_flow }) => {
                while self.open.last().is_some_and(|open| open.start >= start) {
                    self.open.pop();
                }
                self.faults.retain(|fault| (fault.line, fault.column) != (place.line, place.column));
                let written = yaml_traps::value_from(self.source, start, in_flow);
                self.fault(place, yaml_traps::start_fault(&self.key_before(), written));
            }
            None => self.fault(place, format!("not YAML: {}", error.info())),
        }
        self.open.clear();
        self.suspect = None;
    }

    /// The value that was meant to stand where a syntax error came up, if one can be told.
    fn meant(&self, error: &ScanError, place: FilePlace, start: usize) -> Option<Suspect> {
        let rest = |start: usize| self.source.get(start..).unwrap_or_default();
        let in_flow = self.in_flow();
        if place.column > 1 && rest(start).starts_with(['@', '%', '`']) {
            return Some(Suspect { place, start, in_flow });
        }
        match error.kind() {
            ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar
                if !in_flow =>
            {
                let quote = yaml_traps::quoted_value_before(self.source, start)?;
                let before = self.source.get(quote..start).unwrap_or_default().chars().count();
                let place = FilePlace { column: place.column.saturating_sub(count(before)), ..place };
                Some(Suspect { place, start: quote, in_flow })
            }
            kind => self.suspect.filter(|suspect| {
                let template_or_glob = rest(suspect.start).starts_with(['{', '*']);
                suspect.place.line == place.line
                    && (template_or_glob || *kind == ErrorKind::MappingValueNotAllowed)
            }),
        }
    }

    fn fault(&mut self, place: FilePlace, text: impl Into<String>) {
        let path = self.path();
        self.faults.push(FileFault::new(&path, place, text));
    }

    fn in_flow(&self) -> bool {
        self.open.last().is_some_and(|open| open.flow)
    }

    /// Whether the next node is a value or an element, and no key.
    fn awaits_value(&self) -> bool {
        match self.open.last().map(|open| &open.inside) {
            Some(Inside::Map(map)) => map.key.is_some(),
            Some(Inside::List(_)) => true,
            None => false,
        }
    }

    /// What a correct line would begin with, such as `to: `.
    fn key_before(&self) -> String {
        match self.open.last().map(|open| &open.inside) {
            Some(Inside::Map(map)) => {
                map.current_key().map_or(String::new(), |key| format!("{}: ", key.text))
            }
            Some(Inside::List(_)) | None => String::new(),
        }
    }

    /// The path of the value that is being read, or was read last.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in self.open.iter().take_while(|open| !open.doubtful) {
            match &open.inside {
                Inside::List(nodes) => path.push_str(&format!("[{}]", nodes.len())),
                Inside::Map(map) => {
                    let Some(key) = map.current_key() else { continue };
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(&key.text);
                }
            }
        }
        path
    }
}

impl OpenMap {
    fn current_key(&self) -> Option<&Key> {
        self.key.as_ref().or(self.entries.last().map(|(key, _)| key))
    }
}

impl Shape {
    fn depth(&self) -> usize {
        match self {
            Self::List(nodes) => 1 + nodes.iter().map(|node| node.shape.depth()).max().unwrap_or(0),
            Self::Map(entries) => 1 + entries.iter().map(|(_, node)| node.shape.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }
}

fn place_of(span: &Span) -> FilePlace {
    FilePlace { line: count(span.start.line()).max(1), column: count(span.start.col()) + 1 }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
