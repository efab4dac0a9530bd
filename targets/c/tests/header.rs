//! Oracle: the text of `include/selvedge.h` against the Rust side, so that no C compiler is needed.

use std::collections::BTreeMap;
use std::mem::{offset_of, size_of};

use selvedge::{DType, artifact, op};
use selvedge_c::{
    ABI_VERSION, SESSION_WORDS, SelvedgeArtifactInfo, SelvedgeError, SelvedgeProgress, SelvedgeSession,
    SelvedgeTensorInfo, Status,
};

const SOURCES: &[&str] = &[
    include_str!("../src/artifact.rs"),
    include_str!("../src/names.rs"),
    include_str!("../src/run.rs"),
    include_str!("../src/session.rs"),
    include_str!("../src/tensors.rs"),
];

/// The header without its comments.
fn header() -> String {
    let mut text = String::new();
    let mut rest = include_str!("../include/selvedge.h");
    while let Some((code, comment)) = rest.split_once("/*") {
        text.push_str(code);
        rest = comment.split_once("*/").expect("comments end").1;
    }
    text + rest
}

/// What stands between the braces of `typedef KIND NAME {`.
fn body(kind: &str, name: &str) -> String {
    let header = header();
    let start = header.split_once(&format!("typedef {kind} {name} {{")).expect("declared").1;
    start.split_once('}').expect("braces close").0.to_string()
}

fn enumerators(name: &str) -> BTreeMap<String, u32> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).expect("a number"),
        None => text.parse().expect("a number"),
    };
    let body = body("enum", name);
    let entries = body.split(',').map(|e| e.split_once('=').expect("every enumerator has its number"));
    entries.map(|(name, value)| (name.trim().to_string(), number(value.trim()))).collect()
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn statuses_of_the_header_are_those_of_the_library() {
    let mut found = enumerators("selvedge_status");
    assert_eq!(found.remove("SELVEDGE_STATUS_WIDTH"), Some(0x7fff_ffff));
    let ours = Status::ALL.iter().map(|(status, name)| (name.to_str().expect("ASCII").to_string(), status.0));
    assert_eq!(found, ours.collect());
}

#[test]
fn statuses_below_256_are_all_error_kinds_of_the_runtime() {
    let source = include_str!("../../../runtime/core/src/error.rs");
    let body = source.split_once("pub enum ErrorKind {").expect("the enum").1.split_once("\n}").expect("its end").0;
    let kinds = body.lines().filter_map(|line| line.trim().strip_suffix(',')?.split_once(" = "));
    let kinds: BTreeMap<u32, String> = kinds.map(|(name, n)| (n.parse().expect("a number"), name.into())).collect();
    let ours = Status::ALL.iter().filter(|(status, _)| (1..256).contains(&status.0));
    // BadMagic and SELVEDGE_BAD_MAGIC differ in case and underscores only.
    let plain = |name: &str| name.replace("SELVEDGE_", "").replace('_', "").to_lowercase();
    let ours: BTreeMap<u32, String> = ours.map(|(s, name)| (s.0, plain(name.to_str().expect("ASCII")))).collect();
    assert!(kinds.len() > 20, "{kinds:?}");
    assert_eq!(ours, kinds.into_iter().map(|(n, name)| (n, plain(&name))).collect());
}

#[test]
fn element_types_of_the_header_are_those_of_the_runtime() {
    let mut found = enumerators("selvedge_dtype");
    assert_eq!(found.remove("SELVEDGE_DTYPE_WIDTH"), Some(0x7fff_ffff));
    let ours = (0..=u8::MAX).filter_map(DType::from_u8);
    assert_eq!(found, ours.map(|t| (format!("SELVEDGE_{}", t.name().to_uppercase()), t as u32)).collect());
}

#[test]
fn constants_of_the_header_are_those_of_the_library() {
    let header = header();
    for (name, value) in [
        ("SELVEDGE_ABI_VERSION", ABI_VERSION as usize),
        ("SELVEDGE_SESSION_WORDS", SESSION_WORDS),
        ("SELVEDGE_ALIGNMENT", artifact::ALIGNMENT),
        ("SELVEDGE_MAX_RANK", size_of::<[u32; 6]>() / size_of::<u32>()),
    ] {
        assert!(header.contains(&format!("#define {name} {value}\n")), "{name} is {value}");
    }
    assert_eq!(size_of::<SelvedgeSession>(), SESSION_WORDS * size_of::<usize>());
}

/// Name, C type, offset of each member.
type Members = &'static [(&'static str, &'static str, usize)];

#[test]
fn structs_of_the_header_have_the_layout_of_the_library() {
    macro_rules! members {
        ($type:ty { $($name:ident: $c:literal),* }) => {
            (&[$((stringify!($name), $c, offset_of!($type, $name))),*] as Members, size_of::<$type>())
        };
    }
    let structs = [
        (
            "selvedge_artifact_info",
            members!(SelvedgeArtifactInfo {
                version_major: "uint32_t",
                version_minor: "uint32_t",
                total_bytes: "uint32_t",
                arena_bytes: "uint32_t",
                alignment: "uint32_t",
                inputs: "uint32_t",
                outputs: "uint32_t",
                steps: "uint32_t",
                digest: "uint8_t"
            }),
        ),
        (
            "selvedge_tensor_info",
            members!(SelvedgeTensorInfo {
                dtype: "selvedge_dtype",
                rank: "uint32_t",
                dims: "uint32_t",
                elements: "uint32_t",
                bytes: "uint32_t",
                quantized: "uint32_t",
                scale: "float",
                zero_point: "int32_t"
            }),
        ),
        (
            "selvedge_progress",
            members!(SelvedgeProgress { done: "uint32_t", next_step: "uint32_t", steps: "uint32_t" }),
        ),
        (
            "selvedge_error",
            members!(SelvedgeError {
                status: "selvedge_status",
                step: "int32_t",
                op: "uint32_t",
                format: "uint32_t",
                detail: "uint32_t"
            }),
        ),
    ];
    for (name, (members, size)) in structs {
        let body = body("struct", name);
        let declared: Vec<&str> = body.split(';').map(str::trim).filter(|d| !d.is_empty()).collect();
        assert_eq!(declared.len(), members.len(), "{name}: {declared:?}");
        let mut offset = 0;
        for (declaration, (member, c_type, at)) in declared.iter().zip(members) {
            let (array, elements) = match declaration.split_once('[') {
                Some((before, "SELVEDGE_MAX_RANK]")) => (before, 6),
                Some((before, after)) => (before, after.trim_end_matches(']').parse().expect("a length")),
                None => (*declaration, 1),
            };
            assert_eq!(words(array), format!("{c_type} {member}"), "{name}");
            assert_eq!(offset, *at, "{name}.{member}");
            offset += elements * if *c_type == "uint8_t" { 1 } else { 4 };
        }
        assert_eq!(offset, size, "{name}");
    }
}

/// The C spelling of a Rust type of the interface.
fn c_type(rust: &str) -> String {
    if let Some(target) = rust.strip_prefix("*mut ") {
        let target = c_type(target);
        return format!("{target}{}*", if target.ends_with('*') { "" } else { " " });
    }
    if let Some(target) = rust.strip_prefix("*const ") {
        return format!("const {} *", c_type(target));
    }
    let name = match rust {
        "c_void" => "void",
        "c_char" => "char",
        "i8" => "int8_t",
        "u32" => "uint32_t",
        "usize" => "size_t",
        "f32" => "float",
        "Status" => "selvedge_status",
        "SelvedgeSession" => "selvedge_session",
        "SelvedgeArtifactInfo" => "selvedge_artifact_info",
        "SelvedgeTensorInfo" => "selvedge_tensor_info",
        "SelvedgeProgress" => "selvedge_progress",
        "SelvedgeError" => "selvedge_error",
        _ => panic!("{rust} has no place in the interface"),
    };
    name.to_string()
}

/// `type name` without a blank behind the asterisks, as the header writes it.
fn declare(rust: &str, name: &str) -> String {
    let c = c_type(rust);
    if c.ends_with('*') { format!("{c}{name}") } else { format!("{c} {name}") }
}

#[test]
fn prototypes_of_the_header_are_those_of_the_library() {
    let mut ours = Vec::new();
    for source in SOURCES {
        for function in source.split("extern \"C\" fn ").skip(1) {
            let (signature, _) = function.split_once('{').expect("a body");
            let (name, rest) = signature.split_once('(').expect("parameters");
            let (parameters, result) = rest.split_once(')').expect("parameters end");
            let result = result.trim().strip_prefix("-> ").expect("a result");
            let parameters = parameters.split(',').map(str::trim).filter(|p| !p.is_empty());
            let parameters: Vec<String> = parameters
                .map(|p| p.split_once(": ").expect("a type"))
                .map(|(name, rust)| declare(rust, name))
                .collect();
            let parameters = if parameters.is_empty() { "void".to_string() } else { parameters.join(", ") };
            ours.push(format!("{}({parameters})", declare(result, name)));
        }
    }
    // Weak, in assembler: `src/panic.rs`.
    ours.push("void selvedge_panic(void)".to_string());
    let header = header();
    let declared = header.split(';').map(words).filter(|d| d.contains("selvedge_") && d.ends_with(')'));
    let declared = declared.map(|d| d.rsplit_once("} ").map_or(d.clone(), |(_, last)| last.to_string()));
    let mut declared: Vec<String> = declared.collect();
    declared.sort();
    ours.sort();
    assert_eq!(declared, ours);
}

#[test]
fn the_largest_op_name_fits_the_48_characters_the_header_promises() {
    for entry in op::ALL {
        let name = format!("{}<{}>", entry.code.name(), entry.format.name());
        assert!(name.len() < 48, "{name}");
    }
}
