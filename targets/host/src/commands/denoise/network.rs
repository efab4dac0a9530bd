//! The network of a denoiser, run over tiles.

use super::picture::Picture;
use crate::error::Failure;
use crate::files::open_artifact;
use indicatif::ProgressBar;
use selvedge::denoise::{Border, Layout, Prediction, ScoreModel, Shape, Tiled, Tiling, Tweedie};
use selvedge::{AlignedBuf, Artifact, Error, Session, SessionScore};
use selvedge_compiler::import::ImportOptions;
use selvedge_compiler::quantize::QuantScheme;
use selvedge_compiler::{CompileOptions, compile};
use selvedge_zoo::denoiser;
use std::path::Path;

/// Side of the zoo's tiles.
pub const TILE: usize = 96;

/// An artifact of a denoiser.
pub struct Network {
    file: AlignedBuf,
    name: String,
    tile: (usize, usize),
    halo: usize,
    /// Tiles begin at multiples of it.
    align: usize,
    kind: Prediction,
}

impl Network {
    /// The zoo's denoiser in f32, for tiles of `side` pixels: what int8 loses shows where the noise is faint.
    pub fn of_zoo(side: usize) -> Result<Self, Failure> {
        let shapes = vec![("noisy".to_string(), vec![1, 1, side, side])];
        let import = ImportOptions { shapes, ..ImportOptions::default() };
        let options = CompileOptions { import, scheme: QuantScheme::f32(), ..CompileOptions::default() };
        let compiled = compile(denoiser::ONNX, &options).map_err(Failure::bad)?;
        let file = AlignedBuf::from(&compiled.artifact[..]);
        let name = "the zoo's denoiser".to_string();
        Ok(Network { file, name, tile: (side, side), halo: denoiser::HALO, align: 2, kind: Prediction::Residual })
    }

    pub fn open(path: &Path, halo: usize, kind: Prediction) -> Result<Self, Failure> {
        let file = open_artifact(path)?;
        let name = path.display().to_string();
        let failed = |e: Error| Failure::bad(format!("{name}: {e}"));
        let artifact = Artifact::parse(&file).map_err(failed)?;
        let dims = |tensors: &[u16]| -> Result<Vec<u32>, Failure> {
            let first = tensors.first().copied().unwrap_or(u16::MAX);
            Ok(artifact.tensor(first as usize).map_err(failed)?.dims.to_vec())
        };
        let (input, output) = (dims(artifact.inputs())?, dims(artifact.outputs())?);
        let tile = match input[..] {
            [1, 1, h, w] | [1, h, w, 1] if output == input => (h as usize, w as usize),
            _ => {
                return Err(Failure::bad(format!(
                    "{name}: it makes {output:?} of {input:?}; a denoiser takes one plane [1, 1, H, W] and gives as much \
                     (compile with --shape {}=1x1x96x96)",
                    artifact.inputs().first().and_then(|&i| artifact.name(i as usize)).unwrap_or("INPUT")
                )));
            }
        };
        if artifact.inputs().len() > 2 {
            return Err(Failure::bad(format!(
                "{name}: it has {} inputs; a denoiser takes the picture, and the level of its noise or nothing more",
                artifact.inputs().len()
            )));
        }
        if 2 * halo >= tile.0.min(tile.1) {
            return Err(Failure::bad(format!(
                "--halo {halo} leaves nothing of a tile of {}x{} pixels; compile for larger tiles",
                tile.1, tile.0
            )));
        }
        Ok(Network { file, name, tile, halo, align: 1, kind })
    }

    fn tiling(&self, (height, width): (usize, usize)) -> Result<Tiling, Failure> {
        let shape = Shape { height, width, channels: 1, layout: Layout::Planar };
        let tiling = Tiling::new(shape, self.tile, (self.halo, self.halo), Border::Reflect).map_err(Failure::bad)?;
        tiling.aligned(self.align).map_err(Failure::bad)
    }

    /// Tiles of a plane of a picture.
    pub fn tiles(&self, picture: &Picture) -> Result<usize, Failure> {
        Ok(self.tiling(picture.size())?.count())
    }

    /// Denoises a plane of Gaussian noise of `sigma`.
    pub fn denoise(
        &self,
        gaussian: &Tweedie,
        sigma: f64,
        plane: &[f32],
        size: (usize, usize),
        out: &mut [f32],
        bar: &ProgressBar,
    ) -> Result<(), Failure> {
        let failed = |e: Error| Failure::bad(format!("{}: {e}", self.name));
        let artifact = Artifact::parse(&self.file).map_err(failed)?;
        let levels = artifact.inputs().len() > 1;
        let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
        let mut session = Session::new(artifact, &mut arena).map_err(failed)?;
        let mut model = SessionScore::new(&mut session, self.kind).map_err(failed)?;
        if levels {
            model = model.with_level(1).map_err(failed)?;
        }
        let tiling = self.tiling(size)?;
        let mut scratch = vec![0.0; 2 * tiling.tile_len()];
        let counted = Counted { model, bar };
        let mut tiled = Tiled::new(counted, tiling, &mut scratch).map_err(Failure::bad)?;
        let done = gaussian.denoise(&mut tiled, sigma as f32, plane, out, &mut []);
        done.map(drop).map_err(|e| Failure::bad(format!("{}: {e}", self.name)))
    }
}

/// A model that moves a progress bar.
struct Counted<'b, M> {
    model: M,
    bar: &'b ProgressBar,
}

impl<M: ScoreModel<f32>> ScoreModel<f32> for Counted<'_, M> {
    type Error = M::Error;

    fn prediction(&self) -> Prediction {
        self.model.prediction()
    }

    fn predict(&mut self, x: &[f32], level: f32, out: &mut [f32]) -> Result<(), M::Error> {
        self.bar.inc(1);
        self.model.predict(x, level, out)
    }
}
