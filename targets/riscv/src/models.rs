//! The models of this image, as the build script chose them.

use selvedge::Aligned;
use selvedge_firmware::Model;

include!(concat!(env!("OUT_DIR"), "/models.rs"));
