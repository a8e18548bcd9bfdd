//! Makes bindgen's output safe, portable and readable: no `unsafe` helper for flexible arrays,
//! layout checks that hold on every machine, no numbered names.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use quote::ToTokens;
use syn::{Attribute, Expr, Fields, File, Item, Type, parse_quote};

use super::generate::BPF_CONSTANTS;

/// bindgen's replacement for a C flexible array; an empty array serves the same purpose without
/// `unsafe`.
const FLEXIBLE_ARRAY: &str = "__IncompleteArrayField";
/// bindgen's names for anonymous enums, numbered in the order of the headers.
const NAMELESS: &str = "_bindgen_ty_";
/// A struct that contains a pointer, so its layout checks hold on 64-bit machines only.
const HOLDS_POINTER: &str = "sock_fprog";
/// Structs with fields of `__attribute__((aligned(8)))`. bindgen omits the attribute, which has no
/// effect on x86-64, but has one on 32-bit x86.
const ALIGNED_TO_8: [&str; 3] = ["proc_event", "bpf_attr_map_create", "bpf_attr_prog_load"];

/// Edits the Rust in `source`. The result is not formatted.
pub(crate) fn tidy(source: &str) -> Result<String> {
    let mut file: File = syn::parse_str(source).context("the output of bindgen is not Rust")?;
    file.items.retain(|item| !defines_flexible_array(item) && !is_unused_bpf(item));
    inline_nameless(&mut file.items);
    for item in &mut file.items {
        match item {
            Item::Struct(item) => {
                replace_flexible_arrays(&mut item.fields);
                if ALIGNED_TO_8.iter().any(|name| item.ident == name) {
                    item.attrs.retain(|attribute| !attribute.path().is_ident("repr"));
                    item.attrs.insert(0, parse_quote!(#[repr(C, align(8))]));
                }
            }
            Item::Const(item) if item.ident == "_" => {
                item.attrs.extend(condition(&item.expr));
            }
            _ => {}
        }
    }

    let text = prettyplease::unparse(&file);
    for unwanted in ["unsafe", FLEXIBLE_ARRAY, NAMELESS] {
        ensure!(!text.contains(unwanted), "`{unwanted}` is left in the bindings: see {}", file!());
    }
    Ok(text)
}

fn defines_flexible_array(item: &Item) -> bool {
    match item {
        Item::Struct(item) => item.ident == FLEXIBLE_ARRAY,
        Item::Impl(item) => last_segment(&item.self_ty).is_some_and(|name| name == FLEXIBLE_ARRAY),
        _ => false,
    }
}

/// Whether this is a constant of bpf.h that is not in use.
fn is_unused_bpf(item: &Item) -> bool {
    let Item::Const(item) = item else { return false };
    let name = item.ident.to_string();
    // The remaining enum constants are counts for the kernel's own use.
    name.contains("BPF_") && !BPF_CONSTANTS.contains(&name.as_str())
}

fn replace_flexible_arrays(fields: &mut Fields) {
    for field in fields {
        if last_segment(&field.ty).is_some_and(|name| name == FLEXIBLE_ARRAY) {
            field.ty = parse_quote!([__u8; 0usize]);
        }
    }
}

/// Replaces the type of constants of anonymous enums, an alias, by its integer type.
fn inline_nameless(items: &mut Vec<Item>) {
    let mut types = HashMap::new();
    items.retain(|item| match item {
        Item::Type(alias) if alias.ident.to_string().starts_with(NAMELESS) => {
            types.insert(alias.ident.to_string(), alias.ty.clone());
            false
        }
        _ => true,
    });
    for item in items {
        if let Item::Const(item) = item {
            if let Some(ty) = last_segment(&item.ty).and_then(|name| types.get(&name)) {
                item.ty.clone_from(ty);
            }
        }
    }
}

/// The machines on which a block of layout checks holds; `None` for all machines.
fn condition(checks: &Expr) -> Option<Attribute> {
    let first_check = format!("\"Size of {HOLDS_POINTER}\"");
    let text = checks.to_token_stream().to_string();
    text.contains(&first_check).then(|| parse_quote!(#[cfg(target_pointer_width = "64")]))
}

fn last_segment(ty: &Type) -> Option<String> {
    let Type::Path(path) = ty else { return None };
    Some(path.path.segments.last()?.ident.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flexible_arrays_and_numbered_names_disappear() {
        let source = "
            pub struct __IncompleteArrayField<T>(T);
            impl<T> __IncompleteArrayField<T> { pub fn f() {} }
            pub const A: _bindgen_ty_7 = 1;
            pub type _bindgen_ty_7 = u32;
            #[repr(C)]
            pub struct proc_event { pub data: __IncompleteArrayField<__u8> }
        ";
        let expected = "pub const A: u32 = 1;
#[repr(C, align(8))]
pub struct proc_event {
    pub data: [__u8; 0usize],
}
";
        assert_eq!(tidy(source).unwrap(), expected);
    }

    #[test]
    fn only_checks_of_what_holds_a_pointer_are_conditional() {
        let source = r#"const _: () = { ["Size of sock_fprog"][0]; };
const _: () = { ["Size of sock_filter"][0]; };"#;
        assert_eq!(tidy(source).unwrap().matches("#[cfg").count(), 1);
    }

    #[test]
    fn constants_of_bpf_are_kept_by_name() {
        let source = "pub const BPF_JNE: u32 = 80; pub const BPF_TCP_LISTEN: u32 = 10;
            pub const __MAX_BPF_CMD: u32 = 39; pub const NLMSG_DONE: u32 = 3;";
        let expected = "pub const BPF_JNE: u32 = 80;\npub const NLMSG_DONE: u32 = 3;\n";
        assert_eq!(tidy(source).unwrap(), expected);
    }

    #[test]
    fn unsafe_that_is_left_is_an_error() {
        // Split, so that a search for this keyword does not match here.
        assert!(tidy(&["pub", "unsafe", "fn f() {}"].join(" ")).is_err());
        assert!(tidy("pub fn f() {}").is_ok());
    }
}
