//! Inputs to calibrate and compare with.

use super::CalibrateError;
use crate::data::Array;
use crate::graph::{DType, Graph};

/// One run's inputs: a tensor for each graph input that is no state, in the graph's order. The samples of a
/// model with state are the frames of one stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub tensors: Vec<Array>,
}

impl Sample {
    /// A sample for a model with one f32 input.
    pub fn f32(dims: impl Into<Vec<usize>>, data: Vec<f32>) -> Self {
        Sample { tensors: vec![Array::f32(dims.into(), data)] }
    }

    /// Splits an array with many entries along its first axis into samples of
    /// a graph with one input of shape `[b, …]`: `b` entries a sample, or
    /// the array is one sample without a batch axis more.
    ///
    /// # Errors
    /// [`CalibrateError::Stack`] where the shapes do not fit or entries are
    /// left over, [`CalibrateError::InputCount`] for several inputs.
    pub fn stack(graph: &Graph, array: &Array) -> Result<Vec<Sample>, CalibrateError> {
        let &[input] = graph.plain_inputs().as_slice() else {
            return Err(CalibrateError::InputCount { sample: 0, expected: graph.plain_inputs().len(), found: 1 });
        };
        let (shape, size) = (&graph.value(input).shape, graph.value(input).elements());
        let (dims, data) = (array.shape.as_slice(), &array.data);
        let fits = dims.iter().product::<usize>() == data.len()
            && size > 0
            && data.len() % size == 0
            && (dims == shape || dims.get(1..) == shape.get(1..) || dims.get(1..) == Some(shape));
        if !fits {
            let input = graph.value(input).name.clone();
            return Err(CalibrateError::Stack { input, expected: shape.clone(), found: dims.to_vec() });
        }
        let cut = |start: usize| Array { shape: shape.clone(), data: data.slice(start..start + size) };
        Ok((0..data.len()).step_by(size).map(|start| Sample { tensors: vec![cut(start)] }).collect())
    }

    /// Checks the sample against the graph's inputs.
    pub(crate) fn check(&self, graph: &Graph, sample: usize) -> Result<(), CalibrateError> {
        let inputs = graph.plain_inputs();
        if self.tensors.len() != inputs.len() {
            let (expected, found) = (inputs.len(), self.tensors.len());
            return Err(CalibrateError::InputCount { sample, expected, found });
        }
        for (tensor, &input) in self.tensors.iter().zip(&inputs) {
            let value = graph.value(input);
            let input = value.name.clone();
            if tensor.shape != value.shape || tensor.data.len() != value.elements() {
                let (expected, found) = (value.shape.clone(), tensor.shape.clone());
                return Err(CalibrateError::Shape { sample, input, expected, found });
            }
            let expected = value.io_dtype.unwrap_or(value.dtype);
            // Inputs on an integer grid also take real numbers.
            if tensor.data.dtype() != expected && !(value.dtype == DType::F32 && tensor.data.dtype() == DType::F32) {
                let (expected, found) = (format!("{expected:?}"), format!("{:?}", tensor.data.dtype()));
                return Err(CalibrateError::Type { sample, input, expected, found });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ArrayData;
    use crate::graph::Value;

    fn graph(shape: &[usize]) -> Graph {
        let mut graph = Graph::default();
        let x = graph.add_value(Value::new("x", DType::F32, shape.to_vec()));
        graph.inputs.push(x);
        graph
    }

    #[test]
    fn arrays_are_split_into_runs() {
        let data: Vec<f32> = (0..24).map(|i| i as f32).collect();
        let array = |shape: &[usize]| Array::f32(shape.to_vec(), data.clone());
        let samples = Sample::stack(&graph(&[1, 2, 3]), &array(&[4, 2, 3])).expect("fits");
        assert_eq!(samples.len(), 4);
        assert_eq!(samples[3], Sample::f32([1, 2, 3], data[18..].to_vec()));
        assert_eq!(Sample::stack(&graph(&[2, 3]), &array(&[4, 2, 3])).expect("fits").len(), 4);
        assert_eq!(Sample::stack(&graph(&[2, 2, 3]), &array(&[4, 2, 3])).expect("fits").len(), 2);
        let error = Sample::stack(&graph(&[1, 3, 2]), &array(&[4, 2, 3])).expect_err("other shape");
        assert!(error.to_string().contains("[4, 2, 3]") && error.to_string().contains("[1, 3, 2]"));
        assert!(Sample::stack(&graph(&[3, 2, 3]), &array(&[4, 2, 3])).is_err());
    }

    #[test]
    fn wrong_samples_are_named() {
        let graph = graph(&[1, 2]);
        let error = Sample::f32([2, 1], vec![0.0; 2]).check(&graph, 7).expect_err("shape");
        assert_eq!(error.to_string(), "sample 7, input 'x': expected shape [1, 2], found [2, 1]");
        let bytes = Array { shape: vec![1, 2], data: ArrayData::I8(vec![0; 2]) };
        let error = Sample { tensors: vec![bytes] }.check(&graph, 0).expect_err("type");
        assert_eq!(error.to_string(), "sample 0, input 'x': expected F32, found I8");
        assert!(Sample { tensors: Vec::new() }.check(&graph, 0).is_err());
    }
}
