//! Campanile's wire types: bindings of `proto/` (written by `cargo xtask codegen`, committed), their canonical JSON,
//! and the campaign file people write. Knows shapes only: whether a campaign makes sense is decided elsewhere, and
//! nothing here does I/O.

/// The messages, clients and servers of package `campanile.v1`.
#[allow(clippy::all, clippy::unwrap_used, unreachable_pub, missing_docs)]
pub mod v1 {
    include!("gen/campanile.v1.rs");
}

/// The descriptors of all our files and their imports, encoded as a `FileDescriptorSet`; for reflection and JSON.
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptors.bin");

pub mod campaign_file;
pub mod field_mask;
pub mod file_fault;
pub mod file_keys;
pub mod filed;
pub mod json;
pub mod new_file;
pub mod schema;
pub mod settings_file;
pub mod short_form;
pub mod test_file;

mod file_conveniences;
mod file_duration;
mod json_text;
mod yaml_print;
mod yaml_text;
mod yaml_traps;
mod yaml_tree;
