//! `If` whose condition follows from the shapes: the branch that is taken, in its place.
//!
//! A subgraph reads names of the graphs around it. While an `If` waits for its condition, these names stand among
//! its inputs, so that order, liveness and checks see them.
use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto};

use super::attrs::node_name;
use super::error::{Result, invalid, refused};
use super::validate;

/// Greatest depth of subgraphs within subgraphs.
const MAX_DEPTH: usize = 64;
/// Most nodes that one file may come to when its branches are put in place.
const MAX_NODES: usize = 1 << 20;

pub(super) const IF: &str = "If";

/// Gives every `If` of the graph the names its branches read as inputs behind the condition.
pub(super) fn expose(graph: &mut GraphProto) -> Result<()> {
    let nodes = graph.node.iter().flat_map(|n| &n.output);
    let names = graph.initializer.iter().map(|t| &t.name).chain(graph.input.iter().map(|i| &i.name)).chain(nodes);
    let known: HashSet<String> = names.cloned().collect();
    for node in graph.node.iter_mut().filter(|n| n.op_type == IF) {
        let mut read = Vec::new();
        for attribute in &node.attribute {
            if let Some(branch) = &attribute.g {
                names_read(branch, 1, &mut read)?;
            }
        }
        let own: HashSet<String> = node.output.iter().cloned().collect();
        let mut seen: HashSet<String> = node.input.iter().take(1).cloned().collect();
        node.input.truncate(1);
        for name in read {
            if known.contains(&name) && !own.contains(&name) && seen.insert(name.clone()) {
                node.input.push(name);
            }
        }
    }
    Ok(())
}

/// Every name that a graph or one within it reads.
fn names_read(graph: &GraphProto, depth: usize, read: &mut Vec<String>) -> Result<()> {
    if depth > MAX_DEPTH {
        return refused(
            format!("graph `{}`", graph.name),
            format!("subgraphs deeper than {MAX_DEPTH}"),
            "simplify the model",
        );
    }
    read.extend(graph.output.iter().map(|o| o.name.clone()));
    for node in &graph.node {
        read.extend(node.input.iter().filter(|i| !i.is_empty()).cloned());
        for attribute in &node.attribute {
            for inner in attribute.g.iter().chain(&attribute.graphs) {
                names_read(inner, depth + 1, read)?;
            }
        }
    }
    Ok(())
}

/// Puts the chosen branch in the place of each `If`, which its first output names.
pub(super) fn inline(graph: &mut GraphProto, chosen: &[(String, bool)]) -> Result<()> {
    let nodes = graph.node.iter().flat_map(|n| &n.output);
    let names = graph.initializer.iter().map(|t| &t.name).chain(graph.input.iter().map(|i| &i.name)).chain(nodes);
    let mut taken: HashSet<String> = names.cloned().collect();
    let mut out = Vec::with_capacity(graph.node.len());
    for node in std::mem::take(&mut graph.node) {
        let choice = chosen.iter().find(|(output, _)| node.op_type == IF && first_output(&node) == Some(output));
        let Some(&(_, condition)) = choice else {
            out.push(node);
            continue;
        };
        let mut branch = branch(&node, condition)?;
        rename(&mut branch, &mut taken);
        graph.initializer.append(&mut branch.initializer);
        graph.sparse_initializer.append(&mut branch.sparse_initializer);
        out.append(&mut branch.node);
        for (output, from) in node.output.iter().zip(&branch.output).filter(|(output, _)| !output.is_empty()) {
            out.push(NodeProto {
                op_type: "Identity".into(),
                name: format!("{}/{output}", node_name(&node)),
                input: vec![from.name.clone()],
                output: vec![output.clone()],
                ..Default::default()
            });
        }
        if out.len() > MAX_NODES {
            return refused(validate::at(&node), format!("more than {MAX_NODES} nodes"), "simplify the model");
        }
    }
    graph.node = out;
    Ok(())
}

/// The name that stands for a node.
pub(super) fn first_output(node: &NodeProto) -> Option<&String> {
    node.output.iter().find(|o| !o.is_empty())
}

fn branch(node: &NodeProto, condition: bool) -> Result<GraphProto> {
    let name = if condition { "then_branch" } else { "else_branch" };
    let find = |a: &&AttributeProto| a.name == name;
    let Some(branch) = node.attribute.iter().find(find).and_then(|a| a.g.clone()) else {
        return invalid(validate::at(node), format!("it has no graph `{name}`"));
    };
    if !branch.input.is_empty() {
        return invalid(validate::at(node), format!("its graph `{name}` has inputs"));
    }
    if branch.output.len() != node.output.len() {
        let (found, wanted) = (branch.output.len(), node.output.len());
        return invalid(validate::at(node), format!("its graph `{name}` has {found} outputs, the node {wanted}"));
    }
    Ok(branch)
}

/// Gives what a branch defines names that are not taken.
fn rename(branch: &mut GraphProto, taken: &mut HashSet<String>) {
    let mut new: HashMap<String, String> = HashMap::new();
    let defined = branch.node.iter().flat_map(|n| &n.output);
    for name in branch.initializer.iter().map(|t| &t.name).chain(defined).filter(|name| !name.is_empty()) {
        let mut fresh = name.clone();
        while !taken.insert(fresh.clone()) {
            fresh.push('_');
        }
        if fresh != *name {
            new.insert(name.clone(), fresh);
        }
    }
    if new.is_empty() {
        return;
    }
    for t in &mut branch.initializer {
        swap(&new, &mut t.name);
    }
    renamed(branch, &new);
}

fn swap(new: &HashMap<String, String>, name: &mut String) {
    if let Some(fresh) = new.get(name.as_str()) {
        name.clone_from(fresh);
    }
}

fn renamed(graph: &mut GraphProto, new: &HashMap<String, String>) {
    graph.output.iter_mut().for_each(|o| swap(new, &mut o.name));
    for node in &mut graph.node {
        node.input.iter_mut().chain(&mut node.output).for_each(|name| swap(new, name));
        for attribute in &mut node.attribute {
            attribute.g.iter_mut().chain(&mut attribute.graphs).for_each(|inner| renamed(inner, new));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> GraphProto {
        let mut graph = GraphProto::default();
        if depth > 0 {
            let inner = AttributeProto { name: "then_branch".into(), g: Some(nested(depth - 1)), ..Default::default() };
            graph.node.push(NodeProto {
                op_type: IF.into(),
                input: vec!["c".into()],
                output: vec![format!("y{depth}")],
                attribute: vec![inner],
                ..Default::default()
            });
        }
        graph
    }

    #[test]
    fn deep_graphs_are_refused() {
        assert!(expose(&mut nested(MAX_DEPTH)).is_ok());
        assert!(expose(&mut nested(MAX_DEPTH + 2)).is_err());
    }
}
