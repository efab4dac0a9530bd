//! The simulator as the model that is calibrated or compared.

use super::{FloatModel, Observe, Sample};
use crate::data::ArrayData;
use crate::simulate::Simulator;

impl FloatModel for Simulator {
    fn run(&mut self, sample: &Sample, observe: &mut Observe<'_>) -> Result<(), String> {
        let inputs: Vec<ArrayData> = sample.tensors.iter().map(|tensor| tensor.data.clone()).collect();
        Simulator::run(self, &inputs, observe).map(|_| ()).map_err(|error| error.to_string())
    }
}
