//! Lists.

use store::value::Limits;
use store::value::list::{List, NewNode, NodeRef};

use super::{Type, listpack, nonzero_len, old_listpack};
use crate::error::{Problem, Result};
use crate::read::Reader;
use crate::write::Writer;

/// A node that is one element by itself, and one that is a listpack.
const PLAIN: u64 = 1;
const PACKED: u64 = 2;

pub(super) fn type_of(_: &List) -> Type {
    Type::ListQuicklist2
}

pub(super) fn write(list: &List, out: &mut Writer<'_>) {
    out.count(list.nodes().count());
    for node in list.nodes() {
        match node {
            NodeRef::Plain(element) => {
                out.len(PLAIN);
                out.string(element);
            }
            NodeRef::Packed(listpack) => {
                out.len(PACKED);
                out.string(listpack.as_bytes());
            }
        }
    }
}

pub(super) fn read(value_type: Type, reader: &mut Reader<'_>, limits: &Limits) -> Result<List> {
    let start = reader.clone();
    let list = match value_type {
        Type::ListZiplist => List::from_nodes([NewNode::Packed(old_listpack(reader)?)], limits),
        Type::List => {
            let count = nonzero_len(reader)?;
            let elements = (0..count).map(|_| reader.string()).collect::<Result<Vec<_>>>()?;
            List::from_elements(elements.iter().map(|element| &**element), limits)
        }
        _ => {
            let count = nonzero_len(reader)?;
            let nodes = (0..count).map(|_| node(value_type, reader)).collect::<Result<Vec<_>>>()?;
            List::from_nodes(nodes, limits)
        }
    };
    if list.is_empty() { Err(start.error(Problem::Empty)) } else { Ok(list) }
}

fn node(value_type: Type, reader: &mut Reader<'_>) -> Result<NewNode> {
    if value_type == Type::ListQuicklist {
        return old_listpack(reader).map(NewNode::Packed);
    }
    let start = reader.clone();
    match reader.length()? {
        PLAIN => reader.string().map(|element| NewNode::Plain(element.into_owned())),
        PACKED => listpack(reader).map(NewNode::Packed),
        kind => Err(start.error(Problem::Container(kind))),
    }
}
