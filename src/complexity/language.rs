//! What the grammars call things.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    Python,
    Rust,
    JavaScript,
    TypeScript,
    Tsx,
    Go,
    Java,
    C,
    Cpp,
}

/// Kinds of nodes, by what they mean to a reader.
pub(super) struct Kinds {
    pub(super) functions: &'static [&'static str],
    /// Functions without a name of their own: they count into what they stand in.
    pub(super) closures: &'static [&'static str],
    /// What gives the functions in it a longer name.
    pub(super) scopes: &'static [&'static str],
    pub(super) ifs: &'static [&'static str],
    pub(super) loops: &'static [&'static str],
    pub(super) switches: &'static [&'static str],
    pub(super) cases: &'static [&'static str],
    pub(super) catches: &'static [&'static str],
    pub(super) ternaries: &'static [&'static str],
    pub(super) jumps: &'static [&'static str],
    /// One more path, and no harder to read: the parts of a comprehension.
    pub(super) quiet: &'static [&'static str],
}

impl Language {
    /// By the file's name.
    pub fn of(path: &str) -> Option<Self> {
        let (_, extension) = path.rsplit('/').next()?.rsplit_once('.')?;
        Some(match extension {
            "py" | "pyi" => Language::Python,
            "rs" => Language::Rust,
            "js" | "mjs" | "cjs" | "jsx" => Language::JavaScript,
            "ts" | "mts" | "cts" => Language::TypeScript,
            "tsx" => Language::Tsx,
            "go" => Language::Go,
            "java" => Language::Java,
            "c" => Language::C,
            "cc" | "cpp" | "cxx" | "h" | "hh" | "hpp" | "hxx" => Language::Cpp,
            _ => return None,
        })
    }

    pub(super) fn grammar(self) -> tree_sitter::Language {
        match self {
            Language::Python => tree_sitter_python::LANGUAGE.into(),
            Language::Rust => tree_sitter_rust::LANGUAGE.into(),
            Language::JavaScript => tree_sitter_javascript::LANGUAGE.into(),
            Language::TypeScript => tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(),
            Language::Tsx => tree_sitter_typescript::LANGUAGE_TSX.into(),
            Language::Go => tree_sitter_go::LANGUAGE.into(),
            Language::Java => tree_sitter_java::LANGUAGE.into(),
            Language::C => tree_sitter_c::LANGUAGE.into(),
            Language::Cpp => tree_sitter_cpp::LANGUAGE.into(),
        }
    }

    pub(super) fn kinds(self) -> &'static Kinds {
        match self {
            Language::Python => &PYTHON,
            Language::Rust => &RUST,
            Language::JavaScript | Language::TypeScript | Language::Tsx => &JAVASCRIPT,
            Language::Go => &GO,
            Language::Java => &JAVA,
            Language::C | Language::Cpp => &C,
        }
    }
}

const PYTHON: Kinds = Kinds {
    functions: &["function_definition"],
    closures: &["lambda"],
    scopes: &["class_definition"],
    ifs: &["if_statement"],
    loops: &["for_statement", "while_statement"],
    switches: &["match_statement"],
    cases: &["case_clause"],
    catches: &["except_clause", "except_group_clause"],
    ternaries: &["conditional_expression"],
    jumps: &[],
    quiet: &["for_in_clause", "if_clause"],
};

const RUST: Kinds = Kinds {
    functions: &["function_item"],
    closures: &["closure_expression"],
    scopes: &["impl_item", "trait_item", "mod_item"],
    ifs: &["if_expression"],
    loops: &["for_expression", "while_expression", "loop_expression"],
    switches: &["match_expression"],
    cases: &["match_arm"],
    catches: &[],
    ternaries: &[],
    jumps: &["break_expression", "continue_expression"],
    quiet: &[],
};

const JAVASCRIPT: Kinds = Kinds {
    functions: &["function_declaration", "generator_function_declaration", "method_definition"],
    closures: &["function_expression", "generator_function", "arrow_function"],
    scopes: &["class_declaration", "class", "abstract_class_declaration", "internal_module"],
    ifs: &["if_statement"],
    loops: &["for_statement", "for_in_statement", "while_statement", "do_statement"],
    switches: &["switch_statement"],
    cases: &["switch_case"],
    catches: &["catch_clause"],
    ternaries: &["ternary_expression"],
    jumps: &["break_statement", "continue_statement"],
    quiet: &[],
};

const GO: Kinds = Kinds {
    functions: &["function_declaration", "method_declaration"],
    closures: &["func_literal"],
    scopes: &[],
    ifs: &["if_statement"],
    loops: &["for_statement"],
    switches: &["expression_switch_statement", "type_switch_statement", "select_statement"],
    cases: &["expression_case", "type_case", "communication_case"],
    catches: &[],
    ternaries: &[],
    jumps: &["goto_statement", "break_statement", "continue_statement"],
    quiet: &[],
};

const JAVA: Kinds = Kinds {
    functions: &["method_declaration", "constructor_declaration", "compact_constructor_declaration"],
    closures: &["lambda_expression"],
    scopes: &["class_declaration", "interface_declaration", "enum_declaration", "record_declaration"],
    ifs: &["if_statement"],
    loops: &["for_statement", "enhanced_for_statement", "while_statement", "do_statement"],
    switches: &["switch_expression", "switch_statement"],
    cases: &["switch_label"],
    catches: &["catch_clause"],
    ternaries: &["ternary_expression"],
    jumps: &["break_statement", "continue_statement"],
    quiet: &[],
};

const C: Kinds = Kinds {
    functions: &["function_definition"],
    closures: &["lambda_expression"],
    scopes: &["class_specifier", "struct_specifier", "namespace_definition"],
    ifs: &["if_statement"],
    loops: &["for_statement", "for_range_loop", "while_statement", "do_statement"],
    switches: &["switch_statement"],
    cases: &["case_statement"],
    catches: &["catch_clause"],
    ternaries: &["conditional_expression"],
    jumps: &["goto_statement"],
    quiet: &[],
};
