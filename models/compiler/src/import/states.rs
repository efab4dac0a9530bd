//! Models that run frame by frame: which outputs an input takes over from the run before.
use super::ImportOptions;
use super::error::{ImportError, Result};
use crate::graph::{DType, Graph, Node, Op, Recurrent, State, Value, ValueId};

/// Marks the states that the options name, and gives recurrent layers theirs.
pub(super) fn mark(graph: &mut Graph, options: &ImportOptions) -> Result<()> {
    for (input, output) in &options.states {
        named(graph, input, output)?;
    }
    if options.stream {
        for index in 0..graph.nodes.len() {
            recurrent(graph, index)?;
        }
    }
    for index in 0..graph.states.len() {
        bare(graph, index);
    }
    Ok(())
}

fn error(input: &str, reason: String, remedy: String) -> ImportError {
    ImportError::Input { input: input.into(), reason, remedy }
}

fn named(graph: &mut Graph, input: &str, output: &str) -> Result<()> {
    let names = |ids: &[ValueId]| ids.iter().map(|&id| graph.value(id).name.clone()).collect::<Vec<_>>();
    let place = |ids: &[ValueId], name: &str| ids.iter().position(|&id| graph.value(id).name == name);
    let (Some(from), Some(to)) = (place(&graph.inputs, input), place(&graph.outputs, output)) else {
        let remedy = format!(
            "name one of the inputs {:?} and one of the outputs {:?}",
            names(&graph.inputs),
            names(&graph.outputs)
        );
        return Err(error(input, format!("the state {input}={output} names no input and output of the model"), remedy));
    };
    if graph.states.iter().any(|state| state.input == from || state.output == to) {
        let remedy = "name each input and output once".into();
        return Err(error(input, format!("`{input}` or `{output}` is in two states"), remedy));
    }
    let (before, after) = (graph.value(graph.inputs[from]), graph.value(graph.outputs[to]));
    if (before.dtype, &before.shape, before.io_dtype) != (after.dtype, &after.shape, after.io_dtype) {
        let reason = format!(
            "it is {:?} {:?}, the output `{output}` {:?} {:?}",
            before.dtype, before.shape, after.dtype, after.shape
        );
        return Err(error(input, reason, "a state needs an input and an output of one type and shape".into()));
    }
    graph.states.push(State { input: from, output: to, initial: Vec::new() });
    Ok(())
}

/// Gives a recurrent layer whose state is not given one that lasts.
fn recurrent(graph: &mut Graph, index: usize) -> Result<()> {
    let Op::Recurrent(layer) = graph.nodes[index].op.clone() else { return Ok(()) };
    let name = graph.nodes[index].name.clone();
    let operand = |graph: &Graph, slot: usize| graph.nodes[index].inputs.get(slot).copied().flatten();
    let states = graph.nodes[index].outputs.len() - usize::from(layer.sequence);
    for which in 0..states {
        let slot = [Recurrent::STATE_H, Recurrent::STATE_C][which];
        let given = operand(graph, slot).map(|id| graph.value(id).clone());
        if given.as_ref().is_some_and(|value| !value.is_constant()) {
            continue;
        }
        if layer.reverse || operand(graph, Recurrent::LENGTHS).is_some() {
            let reason = "a layer that runs backwards or to lengths of its own cannot run frame by frame";
            return Err(error(&name, reason.into(), "leave --stream out, or export a forward layer".into()));
        }
        let output = graph.nodes[index].outputs[usize::from(layer.sequence) + which];
        let shape = graph.value(output).shape.clone();
        let part = ["h", "c"][which];
        let before = graph.add_value(Value::new(format!("{name}/{part}_before"), DType::F32, shape.clone()));
        let initial = given.and_then(|value| value.f32s().map(<[f32]>::to_vec)).unwrap_or_default();
        // The model may give the same value away as an output.
        let after = match graph.is_output(output) {
            false => output,
            true => {
                let copy = graph.add_value(Value::new(format!("{name}/{part}_after"), DType::F32, shape));
                let node = Node {
                    name: format!("{name}/{part}"),
                    op: Op::Reshape,
                    inputs: vec![Some(output)],
                    outputs: vec![copy],
                };
                graph.nodes.push(node);
                copy
            }
        };
        graph.nodes[index].inputs[slot] = Some(before);
        graph.inputs.push(before);
        graph.outputs.push(after);
        let state = State { input: graph.inputs.len() - 1, output: graph.outputs.len() - 1, initial };
        graph.states.push(state);
    }
    Ok(())
}

/// Takes reshapes at both ends of a state away: what lies between two runs has no shape of its own.
fn bare(graph: &mut Graph, index: usize) {
    let State { input, output, .. } = graph.states[index];
    let (mut before, mut after) = (graph.inputs[input], graph.outputs[output]);
    let mut dropped = Vec::new();
    loop {
        let mut readers = (0..graph.nodes.len()).filter(|&n| graph.nodes[n].inputs.contains(&Some(before)));
        let (Some(reader), None) = (readers.next(), readers.next()) else { break };
        let node = &graph.nodes[reader];
        if node.op != Op::Reshape
            || graph.is_output(node.outputs[0])
            || graph.is_output(before)
            || dropped.contains(&reader)
        {
            break;
        }
        dropped.push(reader);
        before = node.outputs[0];
    }
    let producers = graph.producers();
    while let Some(producer) = producers[after.index()] {
        let node = &graph.nodes[producer];
        let Some(from) = node.inputs.first().copied().flatten().filter(|_| node.op == Op::Reshape) else { break };
        let held = graph.is_output(from) || graph.inputs.contains(&from) || graph.value(from).is_constant();
        if held || dropped.contains(&producer) {
            break;
        }
        after = from;
    }
    let shapes = graph.value(before).shape == graph.value(after).shape;
    let once = graph.outputs.iter().filter(|&&id| id == graph.outputs[output]).count() == 1;
    if !(shapes && once) || before == after {
        return;
    }
    let (name, end) = (graph.value(graph.inputs[input]).name.clone(), graph.value(graph.outputs[output]).name.clone());
    if before != graph.inputs[input] {
        graph.value_mut(graph.inputs[input]).name.push_str("/onnx");
        graph.value_mut(before).name = name;
    }
    if after != graph.outputs[output] {
        graph.value_mut(graph.outputs[output]).name.push_str("/onnx");
        graph.value_mut(after).name = end;
    }
    (graph.inputs[input], graph.outputs[output]) = (before, after);
    // Of the nodes in front of the input's new place none is read any more; the others are dead code.
    let mut number = 0..;
    graph.nodes.retain(|_| !dropped.contains(&number.next().unwrap_or_default()));
    super::prune::prune(graph);
}
