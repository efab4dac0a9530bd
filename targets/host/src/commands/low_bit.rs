//! Flags about widths of weights, and `selvedge select`.

use super::compile::bytes;
use crate::error::Failure;
use crate::table::thousands;
use selvedge::AlignedBuf;
use selvedge::elastic::Elastic;
use selvedge_compiler::CompileOptions;
use selvedge_compiler::lowbit::{Activations, Width};
use selvedge_compiler::mixed::{MixedOptions, Search};
use selvedge_compiler::prepare::{Method, PrepareOptions};
use selvedge_compiler::quantize::{ActivationFormat, LowBitFormat, QuantScheme, WeightFormat};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct LowBitArgs {
    /// Weights of layers that the file has not quantized; `f16`: IEEE half, computed in f32; with fewer than 8 bits the first layers and the last keep 8;
    /// `auto` chooses a width for each layer (needs --calibration and a budget)
    #[arg(long, default_value = "w8", value_parser = ["f32", "f16", "w8", "w4", "w3", "w2", "ternary", "auto"])]
    pub weights: String,
    /// Weights that share a scale, of formats below 8 bits; 0: all of an output channel
    #[arg(long, default_value = "64", value_parser = ["0", "32", "64", "128"])]
    group: String,
    /// How weights of fewer than 8 bits are found: `nearest` codes, a scale and an `offset` a group, or `gptq`
    /// (needs --calibration, at least as many rows as a layer has columns)
    #[arg(long, default_value = "nearest", value_parser = ["nearest", "offset", "gptq"])]
    method: String,
    /// Give low-bit Dense layers a low-rank branch of this rank (16 to 128) for what their weights lost; needs --calibration
    #[arg(long, value_name = "R", default_value_t = 0)]
    low_rank: usize,
    /// With --low-rank: smooth activations and put the largest singular values of the weights in the branch (SVDQuant)
    #[arg(long, requires = "low_rank")]
    svdquant: bool,
    /// Scale channels between layers, by powers of two, so that the grids fit them better; needs --calibration
    #[arg(long)]
    equalize: bool,
    /// Correct biases for what quantized weights change in each channel's mean output; needs --calibration
    #[arg(long)]
    bias_correction: bool,
    /// Fit every layer again to the float model's outputs, on inputs of which this part is what the quantized layers
    /// before it give and the rest the float model's; corrects biases too; needs --calibration
    #[arg(long, value_name = "PART", num_args = 0..=1, require_equals = true, default_missing_value = "0.5",
        conflicts_with = "svdquant")]
    teacher: Option<f32>,
    /// Activations of quantized layers: `auto` (static int8 grids with --calibration, else at run time),
    /// `dynamic` (int8, at run time), `a4` (at run time, stored in 4 bits), `i16` (with --weights w8 and --calibration:
    /// static int16 grids), `f32` (with --weights w8: only the weights are int8, layers compute in f32)
    #[arg(long, default_value = "auto", value_parser = ["auto", "dynamic", "a4", "i16", "f32"])]
    activations: String,
    /// Give the first layers and the last the same format as the others
    #[arg(long)]
    low_bit_edges: bool,
    /// With --weights auto: bytes the artifact may take
    #[arg(long, value_name = "BYTES")]
    budget_bytes: Option<String>,
    /// With --weights auto: microseconds a run may take on this machine
    #[arg(long, value_name = "US")]
    budget_us: Option<f64>,
    /// With --weights auto: percent of the samples whose largest output has to be the float model's; the smallest
    /// model that reaches it is chosen
    #[arg(long, value_name = "PERCENT")]
    min_agreement: Option<f64>,
    /// With --weights auto: how widths are searched; `best` measures what both find
    #[arg(long, default_value = "best", value_parser = ["best", "knapsack", "genetic"])]
    search: String,
    /// Write an elastic artifact: one file that holds these versions (w8, w4, w3, w2, ternary), of which a device makes one
    #[arg(long, value_name = "WIDTH,…", value_delimiter = ',', conflicts_with_all = ["low_rank", "weights"])]
    pub elastic: Vec<String>,
}

impl LowBitArgs {
    fn group(&self) -> Result<usize, Failure> {
        self.group.parse().map_err(|_| Failure::bad(format!("--group {}: give 0, 32, 64 or 128", self.group)))
    }

    fn format(&self, name: &str) -> Result<Option<WeightFormat>, Failure> {
        let group = self.group()?;
        let low = |width, group| WeightFormat::Low(LowBitFormat { width, group });
        Ok(Some(match name {
            "f32" => WeightFormat::F32,
            "f16" => WeightFormat::F16,
            "w8" => WeightFormat::W8,
            "w4" | "auto" => low(Width::W4, group),
            "w3" => low(Width::W3, group),
            "w2" => low(Width::W2, group),
            // Ternary rows have one scale, as they are trained.
            "ternary" => low(Width::T2, 0),
            _ => return Ok(None),
        }))
    }

    /// Widths of an elastic artifact, by name.
    pub fn versions(&self) -> Result<Vec<(String, WeightFormat)>, Failure> {
        let of = |name: &String| match self.format(name)? {
            Some(format) if !matches!(name.as_str(), "f32" | "f16" | "auto") => Ok((name.clone(), format)),
            _ => Err(Failure::bad(format!("--elastic {name}: give widths out of w8, w4, w3, w2, ternary"))),
        };
        self.elastic.iter().map(of).collect()
    }

    /// The budget of `--weights auto`.
    pub fn mixed(&self) -> Result<Option<MixedOptions>, Failure> {
        let asked = self.budget_bytes.is_some() || self.budget_us.is_some() || self.min_agreement.is_some();
        if self.weights != "auto" {
            return match asked {
                true => Err(Failure::bad("budgets are for --weights auto")),
                false => Ok(None),
            };
        }
        if !asked {
            return Err(Failure::bad("--weights auto needs --budget-bytes, --budget-us or --min-agreement"));
        }
        let size = |text: &String| {
            bytes(text).ok_or_else(|| Failure::bad(format!("--budget-bytes {text}: give bytes, as in 64K")))
        };
        if let Some(percent) = self.min_agreement.filter(|p| !(0.0..=100.0).contains(p)) {
            return Err(Failure::bad(format!("--min-agreement {percent}: give percent, 0 to 100")));
        }
        Ok(Some(MixedOptions {
            bytes: self.budget_bytes.as_ref().map(size).transpose()?,
            micros: self.budget_us,
            agreement: self.min_agreement.map(|percent| percent / 100.0),
            search: match self.search.as_str() {
                "knapsack" => Search::Knapsack,
                "genetic" => Search::Genetic,
                _ => Search::Best,
            },
            group: self.group()?,
        }))
    }

    /// Refuses activations that do not go with the weights.
    fn check_activations(&self, calibrated: bool) -> Result<(), Failure> {
        let (weights, activations) = (self.weights.as_str(), self.activations.as_str());
        match (weights, activations) {
            ("f16", "dynamic" | "a4") => Err(Failure::bad(format!(
                "--activations {activations} is for integer weights, and layers with --weights f16 compute in f32; leave one out"
            ))),
            ("w8", "f32" | "i16") if !self.elastic.is_empty() => {
                Err(Failure::bad(format!("--activations {activations} has one width of weights; leave out --elastic")))
            }
            ("w8", "i16") if !calibrated => Err(Failure::bad(
                "--activations i16 has static grids and needs typical inputs; give --calibration FILE.npz",
            )),
            ("w8", _) => Ok(()),
            (_, "i16") => Err(Failure::bad(format!(
                "--activations i16 is for int8 weights, not for --weights {weights}; give --weights w8"
            ))),
            ("w4" | "w3" | "w2" | "ternary" | "auto", "f32") => Err(Failure::bad(format!(
                "--activations f32 is for weights of 8 or 16 bits, --weights {weights} has fewer; give --weights w8 or f16"
            ))),
            _ => Ok(()),
        }
    }

    /// Puts the flags into `options`.
    pub fn apply(&self, options: &mut CompileOptions, calibrated: bool) -> Result<(), Failure> {
        let weights = self.format(&self.weights)?.unwrap_or(WeightFormat::W8);
        let low_bit = matches!(weights, WeightFormat::Low(_));
        self.check_activations(calibrated)?;
        let method = match self.method.as_str() {
            "gptq" => Method::Gptq,
            "offset" => Method::Asymmetric,
            _ => Method::Nearest,
        };
        let asked = [
            (method != Method::Nearest, "--method"),
            (self.low_rank > 0, "--low-rank"),
            (self.activations == "a4", "--activations a4"),
        ];
        if let Some((_, flag)) = asked.iter().find(|(asked, _)| *asked && !low_bit) {
            return Err(Failure::bad(format!(
                "{flag} is for weights of fewer than 8 bits; give --weights w4, w3, w2 or ternary"
            )));
        }
        let better = [
            (self.equalize, "--equalize"),
            (self.bias_correction, "--bias-correction"),
            (self.teacher.is_some(), "--teacher"),
        ];
        let better: Vec<&str> = better.iter().filter(|(asked, _)| *asked).map(|(_, flag)| *flag).collect();
        if let (Some(flag), false) = (better.first(), calibrated) {
            return Err(Failure::bad(format!("{flag} needs typical inputs; give --calibration FILE.npz")));
        }
        if let (Some(flag), true) = (better.first(), matches!(self.weights.as_str(), "f32" | "f16")) {
            return Err(Failure::bad(format!("{flag} is for quantized weights; give --weights w8 or fewer bits")));
        }
        if let (Some(flag), "f32") = (better.first(), self.activations.as_str()) {
            return Err(Failure::bad(format!("{flag} fits integer layers; leave it out with --activations f32")));
        }
        if let (Some(flag), false) = (better.iter().find(|flag| **flag != "--equalize"), self.elastic.is_empty()) {
            return Err(Failure::bad(format!("{flag} fits biases to one width; an elastic artifact has several")));
        }
        if let Some(part) = self.teacher.filter(|part| !(0.0..=1.0).contains(part)) {
            return Err(Failure::bad(format!("--teacher={part}: give a part between 0 and 1")));
        }
        if !calibrated && (self.low_rank > 0 || method == Method::Gptq || self.weights == "auto") {
            return Err(Failure::bad(
                "--weights auto, GPTQ and low-rank branches need typical inputs; give --calibration FILE.npz",
            ));
        }
        let activations = if self.activations == "a4" { Activations::A4 } else { Activations::A8 };
        let biases = self.bias_correction || self.teacher.is_some();
        options.equalize = self.equalize;
        options.prepare = (biases || low_bit && (calibrated || method != Method::Nearest)).then_some(PrepareOptions {
            method,
            low_rank: self.low_rank,
            svdquant: self.svdquant,
            bias_correction: self.bias_correction,
            teacher: self.teacher,
            activations,
            sensitivities: true,
        });
        options.dynamic = matches!(self.activations.as_str(), "dynamic" | "a4");
        let format = match self.activations.as_str() {
            "f32" => ActivationFormat::F32,
            "i16" => ActivationFormat::I16,
            _ => ActivationFormat::I8,
        };
        let scheme = std::mem::replace(&mut options.scheme, QuantScheme::w8a8());
        options.scheme = QuantScheme {
            weights,
            activations: format,
            edges_w8: !self.low_bit_edges,
            activations_a4: self.activations == "a4",
            ..scheme
        };
        Ok(())
    }
}

#[derive(clap::Args)]
pub struct SelectArgs {
    /// Elastic artifact
    model: PathBuf,
    /// The version to make; without it and --budget-bytes they are listed
    #[arg(long, value_name = "NAME", conflicts_with = "budget_bytes")]
    version: Option<String>,
    /// Make the largest version that fits these bytes together with its arena
    #[arg(long, value_name = "BYTES")]
    budget_bytes: Option<String>,
    /// Artifact to write
    #[arg(short, long, value_name = "OUT.slvg")]
    output: Option<PathBuf>,
}

/// Makes one artifact of an elastic one, as a device does at load.
pub fn select(args: &SelectArgs) -> Result<(), Failure> {
    let name = args.model.display();
    let file = std::fs::read(&args.model).map_err(|e| Failure::bad(format!("{name}: {e}")))?;
    let file = AlignedBuf::from(&file[..]);
    let elastic = Elastic::parse(&file).map_err(|e| {
        Failure::bad(format!("{name}: no elastic artifact ({e}); `selvedge compile --elastic w8,w4` makes one"))
    })?;
    elastic.verify_digest().map_err(|e| Failure::bad(format!("{name}: {e}; copy the file again")))?;
    let chosen = match (&args.version, &args.budget_bytes) {
        (Some(version), _) => Some(elastic.find(version).ok_or_else(|| {
            let names: Vec<&str> = (0..elastic.count()).filter_map(|i| Some(elastic.version(i)?.name)).collect();
            Failure::bad(format!("--version {version}: {name} has {}", names.join(", ")))
        })?),
        (None, Some(text)) => {
            let budget =
                bytes(text).ok_or_else(|| Failure::bad(format!("--budget-bytes {text}: give bytes, as in 64K")))?;
            Some(elastic.fitting(budget).ok_or_else(|| Failure::bad(format!("no version fits {budget} bytes")))?)
        }
        (None, None) => None,
    };
    let Some(index) = chosen else {
        for version in (0..elastic.count()).filter_map(|i| elastic.version(i)) {
            println!(
                "{:10} {:>12} bytes of flash, {:>10} bytes of arena",
                version.name,
                thousands(version.artifact_bytes as u64),
                thousands(version.arena_bytes as u64)
            );
        }
        return Ok(());
    };
    let output = args.output.as_ref().ok_or_else(|| Failure::bad("give -o OUT.slvg for the artifact"))?;
    let version = elastic.version(index).ok_or_else(|| Failure::bad(format!("{name}: a version is damaged")))?;
    let mut memory = AlignedBuf::zeroed(version.artifact_bytes);
    let made = elastic.make(index, &mut memory).map_err(|e| Failure::bad(format!("{name}: {e}")))?;
    std::fs::write(output, made).map_err(|e| Failure::bad(format!("{}: {e}", output.display())))?;
    println!("{}: {}, {} bytes", output.display(), version.name, thousands(version.artifact_bytes as u64));
    Ok(())
}
