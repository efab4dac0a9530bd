//! One file a subcommand.
pub mod adapter;
pub mod bench;
pub mod certify;
pub mod compare;
pub mod compile;
pub mod demo;
mod demo_certificate;
pub mod denoise;
pub mod factorize;
pub mod inspect;
pub mod low_bit;
pub mod run;
pub mod verify;
